"""Callers for test rigs: calls to one service over connections in memory, and what the service says of them.

What the lab must not know itself is handed to it: how to get a connection, and voices.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractContextManager, asynccontextmanager
from typing import Final, TypeAlias, TypeVar
from uuid import UUID, uuid4

import trio
from attrs import define, field, frozen

from voiceagent.audio.pcm import Pcm
from voiceagent.journal import CallEnded, Event, Journal
from voiceagent.lab.caller import Caller, call_over
from voiceagent.lab.timeline import HangUp

#: Says a text: its whole audio.
Speak: TypeAlias = Callable[[str], Awaitable[Pcm]]
#: A connection that is there, and what tears it down at once.
Connection: TypeAlias = tuple[trio.abc.HalfCloseableStream, Callable[[], None]]
EventT = TypeVar("EventT", bound=Event)

#: Events that an unmet expectation tells of: the latest.
_TOLD: Final = 20


class UnmetError(AssertionError):
    """What was expected of the call did not happen; the message tells what did instead."""


@define
class CallEvents:
    """The events of one call so far: some ten per turn, until it ends. Wakes whoever waits for more."""

    call: str
    all: list[Event] = field(factory=list)
    more: trio.lowlevel.ParkingLot = field(factory=trio.lowlevel.ParkingLot)

    def write(self, event: Event) -> None:
        """A journal."""
        if getattr(event, "call", "") == self.call:
            self.all.append(event)
            self.more.unpark_all()

    @property
    def are_complete(self) -> bool:
        return bool(self.all) and isinstance(self.all[-1], CallEnded)


class RigCaller:
    """A caller and the events of his call. Act only inside its `Lab.call`; what happened can be read afterwards.

    `line` is the caller as Asterisk would have him: tapes, timeline, counts.
    """

    def __init__(self, line: Caller, speak: Speak, events: CallEvents) -> None:
        self.line = line
        self._speak = speak
        self._events = events
        self._looked_at = 0

    @property
    def events(self) -> Sequence[Event]:
        """What the journal says of this call, in order; CallEnded is the last."""
        return self._events.all

    async def say(self, what: str | Pcm) -> bool:
        """Speak, and return when it is said. A text is spoken by the caller's voice. False: the call ended before."""
        if isinstance(what, Pcm):
            return await self.line.say(what)
        return await self.line.say(await self._speak(what), what)

    async def press(self, digits: str) -> bool:
        """Press keys, 0.2 s each. False: the call ended before. Raises ValueError for a key no telephone has."""
        return await self.line.press(digits)

    async def wait_for_agent(self, *, quiet: float = 0.7, patience: float = 10.0, timeout: float = 60.0) -> bool:
        """Wait until the agent has spoken since the caller's last act and been silent for `quiet` seconds.

        False: he did not begin within `patience` seconds or finish within `timeout`, or the call is over.
        """
        return await self.line.wait_for_agent(quiet=quiet, patience=patience, timeout=timeout)

    def hang_up(self, how: HangUp = "eof") -> None:
        """End the call now, unless it is over."""
        self.line.hang_up(how)

    async def expect(
        self, kind: type[EventT], where: Callable[[EventT], bool] = lambda _: True, *, within: float
    ) -> EventT:
        """The next event of this `kind` for which `where` holds; waits for it for `within` seconds.

        Looks at every event of the call once and in order: those up to the one returned are done with, also for later
        expectations. Raises UnmetError in the end, or as soon as the call is over.
        """
        first = self._looked_at
        with trio.move_on_after(within):
            while True:
                while self._looked_at < len(self.events):
                    event = self.events[self._looked_at]
                    self._looked_at += 1
                    if isinstance(event, kind) and where(event):
                        return event
                if self._events.are_complete:
                    break
                await self._events.more.park()
        raise UnmetError(self._told(kind.__name__, within, self.events[first:]))

    def _told(self, what: str, within: float, events: Sequence[Event]) -> str:
        when = "before the call was over" if self._events.are_complete else f"within {within:g} s"
        happened = "".join(f"\n  {event}" for event in events[-_TOLD:]) or " nothing"
        return f"no such {what} {when}; what happened:{happened}"


@frozen
class Lab:
    """Makes calls to one service.

    `connect` gives a connection to an agent by name; `voice_of` a voice for its callers.
    """

    _connect: Callable[[str], Awaitable[Connection]]
    _voice_of: Callable[[str], Speak]
    _subscribed: Callable[[Journal], AbstractContextManager[None]]

    @asynccontextmanager
    async def call(
        self,
        agent: str = "",
        *,
        voice: Speak | None = None,
        uuid: UUID | None = None,
        rate: int = 8000,
        max_s: float = 120.0,
    ) -> AsyncIterator[RigCaller]:
        """Telephone `agent` ("": the one who answers the listener) on a channel at `rate` hertz; hang up on leaving.

        The call ends by itself after `max_s` seconds, and is over on both sides when the context has been left; that
        takes 2 s at most, cancelled none. Without a `voice` the caller speaks with the agent's.
        """
        speak = voice or self._voice_of(agent)
        events = CallEvents(str(uuid := uuid or uuid4()))
        with self._subscribed(events.write):
            stream, reset = await self._connect(agent)
            async with call_over(stream, reset, uuid=uuid, rate=rate, max_s=max_s) as line:
                yield RigCaller(line, speak, events)
