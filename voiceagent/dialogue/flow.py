"""A scripted flow as values: exactly the keys of its TOML file, documented in docs/flows.md.

Every text that is spoken may hold `{name}`: a slot (its spoken form) or one of the flow's `values`.
"""

from collections.abc import Mapping

from attrs import field, frozen

from voiceagent.dialogue.phrases import expand, words
from voiceagent.dialogue.understand import Phrase, Vocabulary

#: Tools after which the call is over.
TERMINAL = frozenset({"hang_up", "transfer"})


@frozen
class Slot:
    """A closed list of things that can be said: canonical value -> its phrases, the first being its spoken form.

    `phrases` are templates of what answers a question for it; none: the bare value.
    """

    values: Mapping[str, tuple[str, ...]]
    phrases: tuple[str, ...] = ()

    def spoken(self, value: str) -> str:
        return self.values[value][0]


@frozen
class Collect:
    """Asks for one slot. `keys` are digits that stand for a value."""

    slot: str
    ask: str
    again: str = ""
    help: str = ""
    keys: Mapping[str, str] = field(factory=dict)


@frozen
class Confirm:
    """Asks whether what was collected is right. `no` is said before everything is asked anew."""

    ask: str
    no: str
    again: str = ""
    help: str = ""
    yes_key: str = ""
    no_key: str = ""


@frozen
class Tool:
    """Something the call is asked to do, what is said when it was done or failed, and where to go when it failed."""

    name: str
    failed: str
    arguments: Mapping[str, str] = field(factory=dict)
    done: str = ""
    failed_goto: str = ""


@frozen
class Node:
    """One step of the conversation, done in this order: say, collect, confirm, tool, then `goto` or `ask`."""

    say: str = ""
    collect: tuple[Collect, ...] = ()
    confirm: Confirm | None = None
    tool: Tool | None = None
    goto: str = ""
    ask: str = ""
    again: str = ""
    help: str = ""
    on: Mapping[str, str] = field(factory=dict)
    keys: Mapping[str, str] = field(factory=dict)


@frozen
class Always:
    """What is understood whatever is being asked: intents and digits to nodes, and the intent that asks to repeat."""

    on: Mapping[str, str] = field(factory=dict)
    keys: Mapping[str, str] = field(factory=dict)
    repeat: str = ""


@frozen
class Fallback:
    """The three steps when a turn helps nobody: ask again, go to `menu`, go to `unclear_last` or `quiet_last`."""

    unclear: str
    quiet: str
    menu: str
    unclear_last: str
    quiet_last: str


@frozen
class Script:
    """The whole file."""

    start: str
    greeting: str
    fallback: Fallback
    nodes: Mapping[str, Node]
    values: Mapping[str, str] = field(factory=dict)
    intents: Mapping[str, tuple[str, ...]] = field(factory=dict)
    slots: Mapping[str, Slot] = field(factory=dict)
    answers: Mapping[str, str] = field(factory=dict)
    always: Always = field(factory=Always)


@frozen
class Flow:
    """A checked script, with its phrases expanded. Immutable: any number of calls share one."""

    script: Script
    #: intent -> everything that says it
    intents: Mapping[str, tuple[Phrase, ...]]
    #: slot -> everything that answers a question for it
    replies: Mapping[str, tuple[Phrase, ...]]
    vocabulary: Vocabulary

    @classmethod
    def of(cls, script: Script) -> "Flow":
        return cls(
            script,
            {name: _all(templates) for name, templates in script.intents.items()},
            {name: _all(slot.phrases or (f"{{{name}}}",)) for name, slot in script.slots.items()},
            {
                name: {words(phrase): value for value, phrases in slot.values.items() for phrase in phrases}
                for name, slot in script.slots.items()
            },
        )


def _all(templates: tuple[str, ...]) -> tuple[Phrase, ...]:
    return tuple(dict.fromkeys(Phrase(phrase) for template in templates for phrase in expand(template)))
