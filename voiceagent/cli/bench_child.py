"""Processes that `bench` talks with in JSON lines, and never leaves behind."""

import json
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

import trio
from attrs import define, field

#: A child that has been told to end is killed after this.
END_S: Final = 10.0
#: The longest line a child may send: the arrival histograms and one time per call of a large run are under 1 MB.
_LINE_BYTES: Final = 8 << 20


class BenchError(Exception):
    """The measurement could not be made; the message says what failed."""


@define
class Child:
    """A running child. One task at a time."""

    name: str
    process: trio.Process
    _received: bytearray = field(factory=bytearray)

    @property
    def pid(self) -> int:
        return self.process.pid

    async def tell(self, message: object) -> None:
        """Send one line. Raises BenchError when the child is gone."""
        assert self.process.stdin is not None  # noqa: S101 - we opened it with pipes
        try:
            await self.process.stdin.send_all(json.dumps(message).encode() + b"\n")
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            raise BenchError(f"{self.name} has ended") from None

    async def hear(self, within_s: float) -> dict[str, Any]:
        """The child's next line. Raises BenchError when none comes in time or the child ends."""
        assert self.process.stdout is not None  # noqa: S101 - we opened it with pipes
        with trio.move_on_after(within_s):
            while (end := self._received.find(b"\n")) < 0:
                chunk = await self.process.stdout.receive_some(65536)
                if not chunk or len(self._received) > _LINE_BYTES:
                    raise BenchError(f"{self.name} has ended")
                self._received += chunk
            line = bytes(self._received[:end])
            del self._received[: end + 1]
            message: dict[str, Any] = json.loads(line)
            return message
        raise BenchError(f"{self.name} said nothing for {within_s:g} s")

    async def ask(self, message: object, within_s: float = 10.0) -> dict[str, Any]:
        """Send one line and return the answer."""
        await self.tell(message)
        return await self.hear(within_s)


@asynccontextmanager
async def open_child(name: str, module: str, arguments: Sequence[str] = ()) -> AsyncIterator[Child]:
    """A Python module as a child process; its errors go to our standard error.

    Leaving closes its standard input, which every child takes as the order to end, and kills it if it does not.
    """
    process = await trio.lowlevel.open_process(
        [sys.executable, "-m", module, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        yield Child(name, process)
    finally:
        with trio.CancelScope(shield=True):
            with trio.move_on_after(END_S):
                if process.stdin is not None:
                    await process.stdin.aclose()
                await process.wait()
            if process.returncode is None:
                process.kill()
                await process.wait()
