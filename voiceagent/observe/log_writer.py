"""The log of a service whose calls must not wait for whoever reads it: a bounded queue, written out by a thread.

The threads and their end are Trio's: the standard library's QueueListener waits for ever for a reader who stands still.
"""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Final

import trio
from attrs import define, field

from voiceagent.groups import unwrapped
from voiceagent.journal import Event, Journal
from voiceagent.observe.log import line_of, stamped

#: Lines that wait, at most, and as many again may be with the thread: some 200 bytes each, a traceback 20 kB.
#: Further ones are dropped, which the log says as soon as there is room.
QUEUED_LINES: Final = 1000
#: When it is over, what waits is written for at most this long.
FLUSH_S: Final = 2.0


@asynccontextmanager
async def open_log(descriptor: int, instance: str) -> AsyncIterator[Journal]:
    """A journal subscriber that never waits; the log of the service `instance` goes to `descriptor`, which stays open.

    Leaving takes `FLUSH_S` at most, also when cancelled; what is not written by then is lost, and a thread that is
    still at it is left to itself. Errors of writing (a full disk, a reader that has gone) lose lines and nothing else.
    """
    log = _Log(descriptor, instance)
    until_flushed = trio.CancelScope(shield=True)
    with unwrapped() as boundary:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(log.write_out, until_flushed)
            try:
                with boundary.body():
                    yield log.note
            finally:
                until_flushed.deadline = trio.current_time() + FLUSH_S
                log.close()


@define(eq=False)
class _Log:
    descriptor: int
    instance: str
    _dropped: int = 0
    _ends: tuple[trio.MemorySendChannel[str], trio.MemoryReceiveChannel[str]] = field(
        factory=lambda: trio.open_memory_channel[str](QUEUED_LINES)
    )

    def note(self, event: Event) -> None:
        line = line_of(event)
        if line is None:
            return
        try:
            self._ends[0].send_nowait(stamped(line, self.instance))
        except trio.WouldBlock:
            self._dropped += 1

    def close(self) -> None:
        self._ends[0].close()

    async def write_out(self, scope: trio.CancelScope) -> None:
        """Until closed, or cancelled by `scope`."""
        with scope:
            async for line in self._ends[1]:
                await self._write([line, *self._waiting()])

    def _waiting(self) -> list[str]:
        """All that waits by now, and what is to be said of that which found no room."""
        lines = []
        with suppress(trio.WouldBlock, trio.EndOfChannel):
            while True:
                lines.append(self._ends[1].receive_nowait())
        if self._dropped:
            lines.append(stamped(f"log-dropped lines={self._dropped}", self.instance))
            self._dropped = 0
        return lines

    async def _write(self, lines: list[str]) -> None:
        data = "".join(lines).encode(errors="backslashreplace")
        await trio.to_thread.run_sync(_write_all, self.descriptor, data, abandon_on_cancel=True)


def _write_all(descriptor: int, data: bytes) -> None:
    """Not through a file object: a thread that were left with its lock would abort Python when that ends."""
    with suppress(OSError):
        while data:
            data = data[os.write(descriptor, data) :]
