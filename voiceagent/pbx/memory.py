"""The in-memory twin of a connected socket pair: the non-blocking byte stream below all framing.

Writes may be short or refused, the end may be orderly or a reset, exactly as a socket does it; only the kernel is
missing, so that lines, clock and calls run unchanged on a virtual clock.
"""

from typing import Final

#: As much as a socket with our small send buffer takes from a peer that reads.
_CAPACITY: Final = 65536


class _Stream:
    """One direction. Holds at most `capacity` bytes."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.buffer = bytearray()
        self.ended = False
        self.reset = False


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
        room = self._outgoing.capacity - len(self._outgoing.buffer)
        if room <= 0:
            raise BlockingIOError("the other end does not read")
        self._outgoing.buffer += data[:room]
        return min(room, len(data))

    def recv_into(self, buffer: bytearray, /) -> int:
        """As many bytes as are there and fit; 0 at the end. Raises BlockingIOError, ConnectionResetError."""
        self._check()
        if self._incoming.reset:
            raise ConnectionResetError("the other end reset the connection")
        data = self._incoming.buffer[: len(buffer)]
        if not data and not self._incoming.ended:
            raise BlockingIOError("nothing there yet")
        buffer[: len(data)] = data
        del self._incoming.buffer[: len(data)]
        return len(data)

    def limit(self, capacity: int) -> None:
        """From now on at most `capacity` unread bytes fit in the direction this end reads."""
        self._incoming.capacity = capacity

    def fileno(self) -> int:
        return -1

    def close(self) -> None:
        """The other end reads what was sent, then the end; unread bytes on this end make it a reset."""
        if self._incoming.buffer:
            self.abort()
        self.closed = True
        self._outgoing.ended = True
        self._incoming.capacity = 0

    def abort(self) -> None:
        """The other end finds a reset."""
        self.closed = True
        self._outgoing.buffer.clear()
        self._outgoing.reset = True

    def _check(self) -> None:
        if self.closed:
            raise OSError("the endpoint is closed")


def memory_pair(capacity: int = _CAPACITY) -> tuple[MemoryEndpoint, MemoryEndpoint]:
    """Two connected ends; each direction holds at most `capacity` unread bytes."""
    there, back = _Stream(capacity), _Stream(capacity)
    return MemoryEndpoint(there, back), MemoryEndpoint(back, there)
