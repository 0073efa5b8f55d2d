"""A Trio stream over one end of a connection in memory, for whoever is at the other end of a line."""

import operator
from types import TracebackType
from typing import Final

import trio

from voiceagent.pbx.memory import MemoryEndpoint

#: What is received at once unless the receiver says otherwise: 12 frames of 8 kHz.
_CHUNK: Final = 4096


class _Direction:
    """Lets one task in at a time, and says what a socket raises as a stream does. Entered twice for every frame."""

    def __init__(self, what: str, endpoint: MemoryEndpoint) -> None:
        self._what = what
        self._endpoint = endpoint
        self._busy = False

    def __enter__(self) -> None:
        if self._busy:
            raise trio.BusyResourceError(f"another task is {self._what} on this stream")
        self._busy = True

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._busy = False
        if isinstance(error, OSError):
            if self._endpoint.closed:
                raise trio.ClosedResourceError("this stream is closed") from None
            raise trio.BrokenResourceError(str(error)) from error


class MemoryStream(trio.abc.HalfCloseableStream):
    """Owns `endpoint`. Keeps the contract of Trio's streams; waiting is parking, nothing is polled."""

    def __init__(self, endpoint: MemoryEndpoint) -> None:
        self._endpoint = endpoint
        self._ended = False
        self._sending = _Direction("sending", endpoint)
        self._receiving = _Direction("receiving", endpoint)

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        with self._sending:
            await trio.lowlevel.checkpoint()
            self._check_sendable()
            rest = bytes(data)
            while rest:
                await self._endpoint.wait_writable()
                rest = rest[self._endpoint.send(rest) :]

    async def wait_send_all_might_not_block(self) -> None:
        with self._sending:
            await trio.lowlevel.checkpoint()
            self._check_sendable()
            await self._endpoint.wait_writable()

    async def send_eof(self) -> None:
        with self._sending:
            await trio.lowlevel.checkpoint()
            self._endpoint.shut_down()
            self._ended = True

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        size = _CHUNK if max_bytes is None else operator.index(max_bytes)
        if size < 1:
            raise ValueError("max_bytes must be at least 1")
        with self._receiving:
            if self._endpoint.readable or self._endpoint.closed:
                await trio.lowlevel.checkpoint()
            await self._endpoint.wait_readable()
            buffer = bytearray(size)
            return bytes(memoryview(buffer)[: self._endpoint.recv_into(buffer)])

    async def aclose(self) -> None:
        if not self._endpoint.closed:
            self._endpoint.close()
        await trio.lowlevel.checkpoint()

    def abort(self) -> None:
        """Tear the connection down: the other end finds a reset."""
        self._endpoint.abort()

    def _check_sendable(self) -> None:
        if self._ended or self._endpoint.closed:
            raise trio.ClosedResourceError("nothing can be sent any more")
