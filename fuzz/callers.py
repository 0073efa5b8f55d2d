"""The other end of a connection, as a plan has it, and an exact record of what crossed the wire and when."""

from collections.abc import Iterator
from itertools import count, repeat
from typing import Final
from uuid import UUID

import trio
from attrs import define, field

from fuzz.plans import Action, Caller, Deaf, Frames, Identify, Key, Listen, Raw, Wait
from voiceagent.pbx.memory import MemoryEndpoint, memory_pair

#: What fits on the way to a caller who reads.
_ROOM: Final = 65536
#: Between attempts to send what did not fit; off the clock's grid of 5 ms.
_RETRY_S: Final = 0.0071
#: Which call the witness is.
WITNESS: Final = 99
#: 0x00 as a frame.
HANG_UP: Final = bytes(3)
_LOUD: Final = b"\x00\x20\x00\xe0"


def uuid_of(who: int) -> UUID:
    return UUID(int=0xF022 << 96 | who)


@define
class Wire:
    """What crossed one connection, each piece with its time, and how it ended."""

    connected: float
    sent: list[tuple[float, bytes]] = field(factory=list)
    received: list[tuple[float, bytes]] = field(factory=list)
    #: When the caller went, orderly or not.
    left: float | None = None
    #: When the service closed its end.
    closed: float | None = None
    #: Whether he ever stopped reading.
    was_deaf: bool = False


class Served(MemoryEndpoint):
    """The service's end. Notes what is sent and hands it over at once to a caller who listens; no task is needed."""

    def __init__(self, twin: MemoryEndpoint, wire: Wire) -> None:
        super().__init__(twin._incoming, twin._outgoing)
        self._wire = wire
        self.caller: LiveCaller | None = None

    def send(self, data: bytes, /) -> int:
        size = super().send(data)
        self._wire.received.append((trio.current_time(), bytes(data[:size])))
        if self.caller is not None:
            self.caller.notice()
        return size

    def close(self) -> None:
        self._note_end()
        super().close()

    def abort(self) -> None:
        self._note_end()
        super().abort()

    def _note_end(self) -> None:
        if self._wire.closed is None:
            self._wire.closed = trio.current_time()
            if self.caller is not None:
                self.caller.note_end()


class LiveCaller:
    """Carries out a caller's part of the plan. `run` returns when the service has closed the connection."""

    def __init__(self, plan: Caller) -> None:
        self.plan = plan
        self.wire = Wire(trio.current_time())
        self.end, twin = memory_pair(_ROOM)
        self.served = Served(twin, self.wire)
        self.served.caller = self
        self._buffer = bytearray(_ROOM)
        self._listens = True
        self._told = trio.Event()
        self.served_no_more = trio.Event()

    async def run(self) -> None:
        await self._act()
        await self.served_no_more.wait()

    async def _act(self) -> None:
        for action in self.plan.actions:
            if self.wire.left is not None or self.wire.closed is not None:
                break
            await self._do(action)
        if self.plan.then == "stay":
            if self.plan.polite:
                await self._told.wait()
                self.leave(abruptly=False)
            return
        self.leave(abruptly=self.plan.then == "abort")

    def notice(self) -> None:
        """The service has sent something."""
        if self._listens:
            self._read()
            if self.wire.received[-1][1] == HANG_UP:
                self._told.set()

    def note_end(self) -> None:
        """The service has closed the connection."""
        self._told.set()
        self.served_no_more.set()

    def leave(self, *, abruptly: bool) -> None:
        if self.wire.left is None:
            self.wire.left = trio.current_time()
            if abruptly:
                self.end.abort()
            else:
                self.end.close()

    def _read(self) -> None:
        while self.wire.left is None and self.end.readable:
            try:
                size = self.end.recv_into(self._buffer)
            except ConnectionResetError:
                self._told.set()
                return
            if not size:
                self._told.set()
                return

    async def _do(self, action: Action) -> None:
        match action:
            case Wait(seconds):
                await trio.sleep(seconds)
            case Deaf(room):
                self._listens, self.wire.was_deaf = False, True
                self.end.limit(room)
            case Listen():
                self._listens = True
                self.end.limit(_ROOM)
                self._read()
            case Raw(data):
                await self._send(bytes.fromhex(data))
            case Frames():
                for number, frame in enumerate(_frames_of(action), 1):
                    await self._send(frame)
                    if self.wire.closed is not None:
                        return
                    if number % action.burst == 0 and action.every:
                        await trio.sleep(action.every)
            case _:
                for frame in _frames_of(action):
                    await self._send(frame)

    async def _send(self, data: bytes) -> None:
        if self.plan.halves and len(data) > 1:
            await self._send_all(data[: len(data) // 2])
            await trio.sleep(self.plan.halves)
            data = data[len(data) // 2 :]
        await self._send_all(data)

    async def _send_all(self, data: bytes) -> None:
        """Send, waiting for room; what a service that has gone does not take is lost."""
        while data:
            try:
                size = self.end.send(data)
            except BlockingIOError:
                if self.wire.closed is not None:
                    return
                await trio.sleep(_RETRY_S)
                continue
            except OSError:
                return
            self.wire.sent.append((trio.current_time(), data[:size]))
            data = data[size:]


def _frames_of(action: Action) -> Iterator[bytes]:
    match action:
        case Identify(who):
            yield _frame(0x01, uuid_of(who).bytes)
        case Key(digit):
            yield _frame(0x03, digit.encode())
        case Frames(kind=kind, size=size, count=many, loud=loud):
            filling = b"5" if kind == 0x03 else _LOUD if loud else b"\0"
            payload = (filling * (size // len(filling) + 1))[:size]
            for _ in range(many):
                yield _frame(kind, payload)


def _frame(kind: int, payload: bytes) -> bytes:
    return bytes((kind,)) + len(payload).to_bytes(2, "big") + payload


class Witness(LiveCaller):
    """A well-behaved caller beside the others: answers each frame with one of his own, until told to leave.

    His frames are all different when `talks`, and silent otherwise.
    """

    def __init__(self, *, talks: bool) -> None:
        super().__init__(Caller(0.0, (Identify(WITNESS),), "stay"))
        self._numbers = count(1) if talks else repeat(0)

    def notice(self) -> None:
        super().notice()
        if self.wire.left is None:
            frame = _frame(0x10, next(self._numbers).to_bytes(2, "little") * 160)
            self.end.send(frame)
            self.wire.sent.append((trio.current_time(), frame))
