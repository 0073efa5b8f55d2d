"""The journal for those who come and go: plain subscribers for a while, and events to iterate over."""

from collections.abc import Iterator
from contextlib import contextmanager

import trio
from attrs import define, field

from voiceagent.journal import Event, Journal


class EventsLostError(Exception):
    """A reader of the journal fell so far behind that events would have been lost; he got all those before."""


class EventStream:
    """The events since the subscription, in order. Holds at most `capacity` (some 200 bytes each) for its reader.

    A reader who falls further behind gets what is held, and then EventsLostError: nothing is skipped unnoticed. The
    iteration ends when the service does.
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._send, self._receive = trio.open_memory_channel[Event](capacity)
        self._lost = False

    def write(self, event: Event) -> None:
        """Takes an event; a journal."""
        try:
            self._send.send_nowait(event)
        except trio.WouldBlock:
            self._lost = True
            self._send.close()
        except trio.ClosedResourceError:
            pass  # full already: the reader will be told

    def close(self) -> None:
        """There are no more events."""
        self._send.close()

    def __aiter__(self) -> "EventStream":
        return self

    async def __anext__(self) -> Event:
        try:
            return await self._receive.receive()
        except trio.EndOfChannel:
            if self._lost:
                raise EventsLostError(f"the reader was more than {self._capacity} events behind") from None
            raise StopAsyncIteration from None


@define
class Subscribers:
    """Hands each event to whoever subscribes at the moment; `write` is a journal."""

    _journals: list[Journal] = field(factory=list)

    def write(self, event: Event) -> None:
        for journal in tuple(self._journals):
            journal(event)

    @contextmanager
    def subscribed(self, journal: Journal) -> Iterator[None]:
        """`journal` gets every event as long as the context is open."""
        self._journals.append(journal)
        try:
            yield
        finally:
            self._journals.remove(journal)
