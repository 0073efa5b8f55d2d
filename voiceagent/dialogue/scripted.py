"""A flow as a Dialogue: the shell around the pure engine."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager

from voiceagent.dialogue.engine import advance
from voiceagent.dialogue.flow import Flow
from voiceagent.dialogue.state import State, expected
from voiceagent.ports import DialogueEvent, Expectation, Turn


class FlowDialogue:
    """One call's conversation by `flow`; `greeting` replaces the flow's own, literally, unless empty.

    Its place in the flow moves when a reply is opened, however much of that reply is taken afterwards: a caller who
    interrupts a question has still been asked it. Never raises ProviderError, never waits.
    """

    def __init__(self, flow: Flow, *, greeting: str = "") -> None:
        self._flow = flow
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


async def _each(events: tuple[DialogueEvent, ...]) -> AsyncGenerator[DialogueEvent, None]:
    for event in events:
        yield event
