"""A flow as a Dialogue: the shell around the pure engine."""

from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing, asynccontextmanager

from attrs import evolve

from voiceagent.dialogue.engine import advance
from voiceagent.dialogue.flow import Flow
from voiceagent.dialogue.state import State, expected
from voiceagent.ports import DialogueEvent, Expectation, Turn


class FlowDialogue:
    """One call's conversation by `flow`; `greeting` replaces the flow's own, literally, unless empty.

    `facts` of this call stand in place of those of the flow's `values` that have their names.

    Its place in the flow moves when a reply is opened, however much of that reply is taken afterwards: a caller who
    interrupts a question has still been asked it. Never raises ProviderError, never waits.
    """

    def __init__(self, flow: Flow, *, greeting: str = "", facts: Mapping[str, str] | None = None) -> None:
        self._flow = _with_facts(flow, facts or {})
        self._greeting = greeting
        self._state = State(flow.script.start)

    @property
    def expected(self) -> Expectation:
        return expected(self._flow, self._state)

    @asynccontextmanager
    async def open_reply(self, turn: Turn) -> AsyncIterator[AsyncIterator[DialogueEvent]]:
        self._state, events = advance(self._flow, self._state, turn, greeting=self._greeting)
        async with aclosing(_each(events)) as reply:
            yield reply


def _with_facts(flow: Flow, facts: Mapping[str, str]) -> Flow:
    known = {name: fact for name, fact in facts.items() if fact and name in flow.script.values}
    return evolve(flow, script=evolve(flow.script, values={**flow.script.values, **known})) if known else flow


async def _each(events: tuple[DialogueEvent, ...]) -> AsyncGenerator[DialogueEvent, None]:
    for event in events:
        yield event
