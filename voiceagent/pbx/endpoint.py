"""What a line needs of a connection: a non-blocking byte stream, below all framing."""

from typing import Protocol


class Endpoint(Protocol):
    """A socket (listener.SocketEndpoint), or its twin in memory (memory.MemoryEndpoint)."""

    def send(self, data: bytes, /) -> int:
        """Take some of `data`; raises BlockingIOError when none fits, another OSError when the peer is gone."""

    def recv_into(self, buffer: bytearray | memoryview, /) -> int:
        """Some bytes, 0 at the end; raises BlockingIOError when there are none yet."""

    def fileno(self) -> int:
        """The descriptor to poll; -1: there is none."""

    def shut_down(self) -> None:
        """Send no more: the peer reads what was sent, then the end. Raises OSError when it is gone."""

    def close(self) -> None:
        """End the stream in order, what was sent is delivered."""

    def abort(self) -> None:
        """End the stream with a reset."""
