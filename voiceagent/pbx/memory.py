"""The in-memory twin of a connected socket pair: the non-blocking byte stream below all framing.

Writes may be short or refused, the end may be orderly or a reset, exactly as a socket does it; only the kernel is
missing, so that lines, clock and calls run unchanged on a virtual clock.
"""

from typing import Final

import trio

#: As much as a socket with our small send buffer takes from a peer that reads.
_CAPACITY: Final = 65536


class _Stream:
    """One direction. Holds at most `capacity` bytes.

    It has `ended` by its sender's will, is `reset` by either end, and `abandoned` when its reader has closed: what is
    sent then is lost, and from the second time on the sender is told.
    """

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.buffer = bytearray()
        self.ended = False
        self.reset = False
        self.abandoned = False
        self.told = False
        self.changed = trio.lowlevel.ParkingLot()


class MemoryEndpoint:
    """One end of a pair. Implements `endpoint.Endpoint`."""

    def __init__(self, incoming: _Stream, outgoing: _Stream) -> None:
        self._incoming = incoming
        self._outgoing = outgoing
        self.closed = False

    @property
    def readable(self) -> bool:
        """Whether `recv_into` would bring bytes, the end, or the reset (what epoll says of a socket)."""
        return bool(self._incoming.buffer) or self._incoming.ended or self._incoming.reset

    def send(self, data: bytes, /) -> int:
        """Takes what fits. Raises BlockingIOError, ConnectionResetError, BrokenPipeError as a socket would."""
        self._check()
        if self._incoming.reset:
            raise ConnectionResetError("the other end reset the connection")
        if self._outgoing.ended:
            raise BrokenPipeError("this end has been shut down")
        if self._outgoing.abandoned:
            return self._send_in_vain(data)
        room = self._outgoing.capacity - len(self._outgoing.buffer)
        if room <= 0:
            raise BlockingIOError("the other end does not read")
        self._outgoing.buffer += data[:room]
        if self._outgoing.changed:  # nobody waits for what the media clock reads
            self._outgoing.changed.unpark_all()
        return min(room, len(data))

    def _send_in_vain(self, data: bytes) -> int:
        """The other end has closed. A socket learns that from the answer to what it sends first."""
        if self._outgoing.told:
            raise BrokenPipeError("the other end has closed")
        self._outgoing.told = True
        return len(data)

    def recv_into(self, buffer: bytearray | memoryview, /) -> int:
        """As many bytes as are there and fit; 0 at the end. Raises BlockingIOError, ConnectionResetError."""
        self._check()
        if self._incoming.reset:
            raise ConnectionResetError("the other end reset the connection")
        data = self._incoming.buffer[: len(buffer)]
        if not data and not self._incoming.ended:
            raise BlockingIOError("nothing there yet")
        buffer[: len(data)] = data
        del self._incoming.buffer[: len(data)]
        if self._incoming.changed:
            self._incoming.changed.unpark_all()
        return len(data)

    async def wait_readable(self) -> None:
        """Wait until `recv_into` would not block. Raises OSError when this end is or gets closed."""
        self._check()
        while not self.readable:
            await self._incoming.changed.park()
            self._check()

    async def wait_writable(self) -> None:
        """Wait until `send` would not block. Raises OSError when this end is or gets closed."""
        self._check()
        while not self._writable:
            await self._outgoing.changed.park()
            self._check()

    @property
    def _writable(self) -> bool:
        there = self._outgoing
        return len(there.buffer) < there.capacity or there.ended or there.abandoned or self._incoming.reset

    def limit(self, capacity: int) -> None:
        """From now on at most `capacity` unread bytes fit in the direction this end reads."""
        self._incoming.capacity = capacity

    def fileno(self) -> int:
        return -1

    def shut_down(self) -> None:
        """Send nothing more: the other end reads what was sent, then the end."""
        self._check()
        self._outgoing.ended = True
        self._wake_all()

    def close(self) -> None:
        """The other end reads what was sent, then the end; unread bytes on this end make it a reset."""
        if self._incoming.buffer:
            self.abort()
        self.closed = True
        self._outgoing.ended = True
        self._incoming.abandoned = True
        self._wake_all()

    def abort(self) -> None:
        """The other end finds a reset."""
        self.closed = True
        self._outgoing.buffer.clear()
        self._outgoing.reset = True
        self._wake_all()

    def _wake_all(self) -> None:
        self._incoming.changed.unpark_all()
        self._outgoing.changed.unpark_all()

    def _check(self) -> None:
        if self.closed:
            raise OSError("the endpoint is closed")


def memory_pair(capacity: int = _CAPACITY) -> tuple[MemoryEndpoint, MemoryEndpoint]:
    """Two connected ends; each direction holds at most `capacity` unread bytes."""
    there, back = _Stream(capacity), _Stream(capacity)
    return MemoryEndpoint(there, back), MemoryEndpoint(back, there)
