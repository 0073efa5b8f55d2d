"""Which event goes to whom: by the ids it is about, in order, into bounded mailboxes. Only readers wait."""

from collections import deque
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Final, Self

import trio
from attrs import define, field

from voiceagent.pbx.ari.errors import OverflowedError
from voiceagent.wire.ari.events import Event, subjects

#: Events a mailbox holds, about 3 kB each: 1.5 MB per call at worst. A call is told about 30 in its first second; one
#: that has 500 to read is not following any more. The mailbox that is full is closed.
MAILBOX: Final = 500
#: Unclaimed events kept while the state of things is being asked for: 15 MB at worst. Beyond that the connection is
#: given up, and with it what was kept.
HELD: Final = 5000


@define(eq=False)
class Mailbox:
    """The events about some ids, in the order Asterisk told them. One task reads; leaving the context unsubscribes.

    `overflowed`: it was full, and closed; it takes nothing more.
    """

    _dispatch: "Dispatch"
    _ids: set[str] = field(factory=set)
    _events: deque[Event] = field(factory=deque)
    _reader: trio.lowlevel.ParkingLot = field(factory=trio.lowlevel.ParkingLot)
    overflowed: bool = False

    def extend(self, *ids: str) -> None:
        """Be told of these, too, from now on."""
        self._ids.update(ids)
        self._dispatch.attach(self, ids)

    async def receive(self) -> Event:
        """The next event. Raises OverflowedError at once when events are missing, however many are still there."""
        await trio.lowlevel.checkpoint()
        while not (self._events or self.overflowed):
            await self._reader.park()
        return self.receive_nowait()

    def receive_nowait(self) -> Event:
        """The next event; raises trio.WouldBlock if there is none yet, or OverflowedError."""
        if self.overflowed:
            raise OverflowedError(f"events about {', '.join(sorted(self._ids))}", f"more than {MAILBOX} were waiting")
        if not self._events:
            raise trio.WouldBlock
        return self._events.popleft()

    def close(self) -> None:
        """Unsubscribe. What has not been read is dropped."""
        self._dispatch.detach(self, self._ids)
        self._ids.clear()
        self._events.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def put(self, event: Event) -> bool:
        """For the dispatch: take this. False if it made the mailbox overflow."""
        if self.overflowed:
            return True
        self._reader.unpark_all()
        if len(self._events) < MAILBOX:
            self._events.append(event)
            return True
        self.overflowed = True
        self._events.clear()
        return False


@define(eq=False)
class Dispatch:
    """Hands each event to all mailboxes subscribed to anything it is about, once each.

    What nobody is subscribed to goes to `on_unclaimed`, which must not wait; between `hold` and `release` it is kept
    instead. `overflows` counts mailboxes that were full.
    """

    on_unclaimed: Callable[[Event], None]
    overflows: int = 0
    _mailboxes: dict[str, list[Mailbox]] = field(factory=dict)
    _held: list[Event] | None = None

    def subscribe(self, *ids: str) -> Mailbox:
        """A mailbox for the events about `ids`, those that are held included."""
        mailbox = Mailbox(self)
        mailbox.extend(*ids)
        return mailbox

    def publish(self, event: Event) -> None:
        """Raises OverflowedError when more would have to be held than there is room for."""
        takers = {mailbox: None for id_ in subjects(event) for mailbox in self._mailboxes.get(id_, ())}
        for mailbox in takers:
            self.overflows += not mailbox.put(event)
        if takers:
            return
        if self._held is None:
            self.on_unclaimed(event)
        elif len(self._held) < HELD:
            self._held.append(event)
        else:
            raise OverflowedError("events while the state was asked for", f"more than {HELD} were waiting")

    def hold(self) -> None:
        """Keep unclaimed events from now on, and forget those that were kept before."""
        self._held = []

    def release(self) -> None:
        """Hand out what was kept, in order, to whoever wants it by now."""
        held, self._held = self._held or [], None
        for event in held:
            self.publish(event)

    def attach(self, mailbox: Mailbox, ids: Iterable[str]) -> None:
        """For the mailbox."""
        ids = set(ids)
        for id_ in ids:
            mailboxes = self._mailboxes.setdefault(id_, [])
            if mailbox not in mailboxes:
                mailboxes.append(mailbox)
        if self._held:
            wanted = [event for event in self._held if not ids.isdisjoint(subjects(event))]
            self._held = [event for event in self._held if ids.isdisjoint(subjects(event))]
            for event in wanted:
                self.overflows += not mailbox.put(event)

    def detach(self, mailbox: Mailbox, ids: Iterable[str]) -> None:
        """For the mailbox."""
        for id_ in ids:
            self._mailboxes[id_].remove(mailbox)
            if not self._mailboxes[id_]:
                del self._mailboxes[id_]
