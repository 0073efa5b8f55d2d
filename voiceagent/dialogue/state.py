"""Where a scripted conversation is, and what the caller can say there. Pure.

A state is a place in a node of the flow: one of its questions, or a tool that has been asked for.
"""

from collections.abc import Mapping
from typing import TypeAlias

from attrs import field, frozen

from voiceagent.dialogue.flow import Flow
from voiceagent.dialogue.understand import Phrase
from voiceagent.ports import Expectation, ToolCall

# Where a call is within its node.


@frozen
class Asking:
    """At the node's own question."""


@frozen
class Collecting:
    index: int


@frozen
class Confirming:
    pass


@frozen
class Working:
    """Waiting for ToolReturned. The same call may be made again with its id when the caller talks in between."""

    call: ToolCall


Step: TypeAlias = Asking | Collecting | Confirming | Working


@frozen
class State:
    """`misses` counts turns in a row that helped nobody, `refused` the times a confirmation got "no"."""

    node: str
    step: Step = Asking()
    slots: Mapping[str, str] = field(factory=dict)
    misses: int = 0
    refused: int = 0
    tools: int = 0
    said: str = ""


# What the words or the digit of a caller can mean.


@frozen
class Go:
    node: str


@frozen
class Answer:
    intent: str


@frozen
class Fill:
    """The slots that were said."""


@frozen
class Yes:
    pass


@frozen
class No:
    pass


@frozen
class Repeat:
    pass


Meaning: TypeAlias = Go | Answer | Fill | Yes | No | Repeat


def listening(flow: Flow, state: State) -> list[tuple[Meaning, tuple[Phrase, ...]]]:
    """Everything that can be said in `state`, the most expected first."""
    script, node = flow.script, flow.script.nodes[state.node]
    found: list[tuple[Meaning, tuple[Phrase, ...]]] = []
    on = dict(script.always.on)
    match state.step:
        case Asking():
            on = {**node.on, **{intent: to for intent, to in on.items() if intent not in node.on}}
        case Collecting(index):
            found.append((Fill(), flow.replies[node.collect[index].slot]))
        case Confirming():
            found += [(Yes(), flow.intents["yes"]), (No(), flow.intents["no"])]
            details = [phrase for collect in node.collect for phrase in flow.replies[collect.slot] if phrase.is_terse]
            corrections = [Phrase(f"no {detail.text}") for detail in details]
            found.append((Fill(), tuple(dict.fromkeys([*details, *corrections]))))
        case Working():
            pass
    found += [(Go(to), flow.intents[intent]) for intent, to in on.items()]
    found += [(Answer(intent), flow.intents[intent]) for intent in script.answers if intent not in on]
    if script.always.repeat:
        found.append((Repeat(), flow.intents[script.always.repeat]))
    return found


def expected(flow: Flow, state: State) -> Expectation:
    """The same as an Expectation: phrases, and those of every slot they name."""
    phrases = tuple(dict.fromkeys(phrase for _, group in listening(flow, state) for phrase in group))
    names = dict.fromkeys(name for phrase in phrases for name in phrase.slots)
    return Expectation(
        tuple(phrase.text for phrase in phrases),
        {name: tuple(" ".join(said) for said in flow.vocabulary[name]) for name in names},
    )
