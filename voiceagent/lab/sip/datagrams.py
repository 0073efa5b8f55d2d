"""UDP on loopback with the kernel's times of arrival: however late the process wakes, it knows when a packet came."""

import socket
import struct
import time
from typing import Final

import trio

from voiceagent.lab.connect import LineError

#: asm-generic/socket.h; the time comes as two longs (timespec), of the wall clock.
_SO_TIMESTAMPNS: Final = 35
_TIMESPEC: Final = struct.Struct("@ll")
#: Larger datagrams are cut: SIP messages here have some 1500 bytes.
_LARGEST: Final = 8192
#: What waits in the kernel while the process stands still: some 10 s of one call's packets.
_BUFFER: Final = 1 << 20
#: Free ports that have a free neighbour are found at the first or second attempt, unless thousands are taken.
_ATTEMPTS: Final = 100


class Datagrams:
    """A bound socket. Times are those of `trio.current_time()`, which must not be a virtual clock's."""

    def __init__(self, host: str, port: int = 0) -> None:
        """Port 0 is any free one. Raises OSError."""
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.setblocking(False)  # noqa: FBT003 - the standard library's
        self.socket.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
        self._bind(host, port)
        self.address: tuple[str, int] = self.socket.getsockname()

    def _bind(self, host: str, port: int) -> None:
        try:
            self.socket.bind((host, port))
        except OSError:
            self.socket.close()
            raise

    def close(self) -> None:
        trio.lowlevel.notify_closing(self.socket)
        self.socket.close()

    def send(self, data: bytes, to: tuple[str, int]) -> None:
        """A datagram that the kernel has no room for is lost, as on any network. Raises OSError."""
        try:
            self.socket.sendto(data, to)
        except (BlockingIOError, ConnectionRefusedError):  # refused: an earlier one found nobody there
            return

    async def receive(self) -> list[tuple[bytes, float]]:
        """At least one datagram, and all that are there, with their times."""
        while not (received := self.receive_nowait()):
            await trio.lowlevel.wait_readable(self.socket)
        return received

    def receive_nowait(self) -> list[tuple[bytes, float]]:
        """All that are there, with their times."""
        received: list[tuple[bytes, float]] = []
        ahead: float | None = None
        while True:
            try:
                data, ancillary, _, _ = self.socket.recvmsg(_LARGEST, socket.CMSG_SPACE(_TIMESPEC.size))
            except BlockingIOError:
                return received
            except ConnectionRefusedError:
                continue
            ahead = _trio_ahead() if ahead is None else ahead
            stamps = [
                value for level, kind, value in ancillary if (level, kind) == (socket.SOL_SOCKET, _SO_TIMESTAMPNS)
            ]
            seconds, nanoseconds = _TIMESPEC.unpack(stamps[0])
            received.append((data, seconds + nanoseconds / 1e9 + ahead))


def open_pair(host: str) -> tuple[Datagrams, Datagrams]:
    """For RTP and RTCP, on neighbouring ports: what the other side reports must not reach another call's audio.

    Raises LineError when there are none.
    """
    for _ in range(_ATTEMPTS):
        first = Datagrams(host)
        try:
            return first, Datagrams(host, first.address[1] + 1)
        except (OSError, OverflowError):  # taken, or beyond the last port
            first.close()
    raise LineError(f"{host}: no two neighbouring UDP ports are free")


def _trio_ahead() -> float:
    """How far Trio's clock is ahead of the wall clock, seconds: taken again if the machine stood still meanwhile."""
    best, width = 0.0, float("inf")
    for _ in range(5):
        before, wall, after = trio.current_time(), time.time(), trio.current_time()
        if after - before < width:
            best, width = (before + after) / 2 - wall, after - before
        if width < 0.001:
            break
    return best
