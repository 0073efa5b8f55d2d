"""`serve` in a process of its own, and Asterisk's end of a call to it."""

import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import uuid4

import pytest
import trio
from attrs import define

from voiceagent.wire.audiosocket import Audio, Decoder, Hangup, Identity, encode_message

#: For tests that talk in real time: one after the other, so that they do not disturb each other.
REAL_TIME = pytest.mark.xdist_group("real time")

#: A test that takes longer has failed; most of it is for starting Python on a busy machine.
PATIENCE_S = 60.0

#: Where `voiceagent` is imported from, unless a test says otherwise.
SOURCE = Path(__file__).parent.parent


@define
class Serving:
    """A running service; `ready` is the line it said so with."""

    process: trio.Process
    ready: str
    log: str = ""

    @property
    def port(self) -> int:
        return int(self.ready.partition(",")[0].rpartition(":")[2])

    async def wait_logged(self, word: str) -> None:
        while word not in self.log:
            assert await self._read_log(), self.log

    async def wait_stopped(self) -> int:
        """The exit code, once everything is logged."""
        while await self._read_log():
            pass
        return await self.process.wait()

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)

    async def _read_log(self) -> bool:
        assert self.process.stderr is not None
        more = await self.process.stderr.receive_some()
        self.log += more.decode()
        return bool(more)


@asynccontextmanager
async def serving(*arguments: str, cwd: Path, source: Path = SOURCE, **environ: str) -> AsyncIterator[Serving]:
    """A `serve` process that is ready; it is killed if the test leaves it running."""
    process = await trio.lowlevel.open_process(
        [sys.executable, "-m", "voiceagent", "serve", *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(source), **environ},
        cwd=cwd,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    try:
        with trio.fail_after(PATIENCE_S):
            ready = b""
            while not ready.endswith(b"\n"):
                more = await process.stdout.receive_some()
                assert more, b"".join([said async for said in process.stderr]).decode()
                ready += more
            yield Serving(process, ready.decode().removesuffix("\n"))
    finally:
        if process.returncode is None:
            process.kill()
            with trio.CancelScope(shield=True):
                await process.wait()


@define
class Leg:
    """Asterisk's end of a call."""

    stream: trio.SocketStream
    decoder: Decoder

    async def next(self) -> Audio | Hangup | None:
        """The next frame; None at the end."""
        while (message := self.decoder.next_message()) is None:
            data = await self.stream.receive_some()
            if not data:
                return None
            self.decoder.receive_data(data)
        assert isinstance(message, Audio | Hangup)
        return message

    async def rest(self) -> list[Audio | Hangup]:
        """Everything until the end."""
        frames = []
        while (frame := await self.next()) is not None:
            frames.append(frame)
        return frames


@asynccontextmanager
async def calling(service: Serving) -> AsyncIterator[Leg]:
    """A call that has begun; it is hung up in the end."""
    uuid = uuid4()
    async with await trio.open_tcp_stream("127.0.0.1", service.port) as stream:
        await stream.send_all(encode_message(Identity(uuid)))
        leg = Leg(stream, Decoder())
        assert isinstance(await leg.next(), Audio)
        await service.wait_logged(f"call-started call={uuid}")
        yield leg
