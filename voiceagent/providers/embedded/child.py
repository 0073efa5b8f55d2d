"""A child process with its three pipes, gone for sure on leaving."""

import subprocess
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Final

import trio
from attrs import frozen

_TAIL_BYTES: Final = 2000


class SpawnError(Exception):
    """The machine has no room for a process now, or the program is not there."""


@frozen
class Child:
    process: trio.Process
    stdin: trio.abc.SendStream
    stdout: trio.abc.ReceiveStream
    stderr: trio.abc.ReceiveStream

    async def keep_tail(self, tail: bytearray) -> None:
        """Read stderr to its end and keep the last 2000 bytes: they usually say why a program died."""
        async for data in self.stderr:
            tail += data
            del tail[:-_TAIL_BYTES]


@asynccontextmanager
async def open_child(command: Sequence[str], *, grace_s: float) -> AsyncIterator[Child]:
    """`command` in a session of its own (a terminal's Ctrl-C does not reach it).

    Leaving closes its stdin, gives it `grace_s` seconds to end, then kills it; also when cancelled.
    Entering raises SpawnError.
    """
    pipe = subprocess.PIPE
    try:
        process = await trio.lowlevel.open_process(
            list(command), stdin=pipe, stdout=pipe, stderr=pipe, start_new_session=True
        )
    except (OSError, RuntimeError) as error:  # RuntimeError: no room even for the thread that would start it
        raise SpawnError(f"a process could not be started: {error}") from error
    if not (process.stdin and process.stdout and process.stderr):
        raise RuntimeError("a process was opened without its pipes")
    child = Child(process, process.stdin, process.stdout, process.stderr)
    try:
        yield child
    finally:
        with trio.move_on_after(2 * grace_s, shield=True):
            await child.stdin.aclose()
            with trio.move_on_after(grace_s):
                await process.wait()
            process.kill()  # harmless when it has ended
            await process.wait()
            await child.stdout.aclose()
            await child.stderr.aclose()
