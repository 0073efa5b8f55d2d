"""Many short calls, one after the other in each of some lanes: `python -m voiceagent.lab.churn`.

Each call connects, says its UUID, sends some frames of 20 ms at their time, hangs up and reads on until the service has
closed as well. Told what to do by a JSON line on standard input (`ChurnSpec`), it reports `progress` each second and at
last `result` (`ChurnResult`) in JSON lines on standard output. It ends early when its standard input does.
"""

import json
import os
import signal
import sys
from collections.abc import Callable
from typing import Final
from uuid import uuid4

import trio
from attrs import asdict, define, field, frozen

from voiceagent.wire.audiosocket import Identity, encode_message, silence_frame

#: From our hang-up to the service's, or from our connecting to being connected.
_PATIENCE_S: Final = 5.0
_FRAME_S: Final = 0.02


@frozen
class ChurnSpec:
    """`calls` in all, `at_once` of them at a time, each of `frames` frames."""

    host: str
    port: int
    calls: int
    at_once: int
    frames: int = 5


@frozen
class ChurnResult:
    """How many calls went as they should, what befell the others, and how long the service took to close (seconds)."""

    completed: int
    failures: dict[str, int]
    close_s: list[float]


@define
class Churn:
    """Runs one spec. `close_s` holds one number per call of a bounded run."""

    spec: ChurnSpec
    begun: int = 0
    completed: int = 0
    failures: dict[str, int] = field(factory=dict)
    close_s: list[float] = field(factory=list)

    async def run(self) -> ChurnResult:
        """Make all calls; takes at most 10 s per call of a lane, far less when the service answers."""
        spec = self.spec
        call_s = (spec.frames + 1) * _FRAME_S
        async with trio.open_nursery() as nursery:
            for lane in range(spec.at_once):
                # Begun evenly, or all of them would connect in the same instant for ever.
                nursery.start_soon(self._lane, lane * call_s / spec.at_once)
        return ChurnResult(self.completed, self.failures, self.close_s)

    async def _lane(self, after_s: float) -> None:
        await trio.sleep(after_s)
        while self.begun < self.spec.calls:
            self.begun += 1
            try:
                await self._call()
                self.completed += 1
            except (OSError, trio.BrokenResourceError, trio.TooSlowError) as error:
                what = str(error) or type(error).__name__
                self.failures[what] = self.failures.get(what, 0) + 1

    async def _call(self) -> None:
        """One call. Raises OSError, BrokenResourceError or TooSlowError when it is cut short or never ends."""
        frame = silence_frame(8000)
        with trio.fail_after(_PATIENCE_S):
            stream = await trio.open_tcp_stream(self.spec.host, self.spec.port)
        async with stream:
            await stream.send_all(encode_message(Identity(uuid4())))
            due = trio.current_time()
            for _ in range(self.spec.frames):
                await stream.send_all(frame)
                due += _FRAME_S
                await trio.sleep_until(due)
            hung_up = trio.current_time()
            with trio.fail_after(_PATIENCE_S):
                await stream.send_eof()
                while await stream.receive_some(65536):
                    pass
            self.close_s.append(trio.current_time() - hung_up)


async def _serve(spec: ChurnSpec, report: Callable[[dict[str, object]], None]) -> None:
    churn = Churn(spec)

    async def tell_progress() -> None:
        while True:
            await trio.sleep(1.0)
            report({"event": "progress", "done": churn.completed})

    async def watch_lifeline() -> None:
        async with trio.lowlevel.FdStream(os.dup(sys.stdin.fileno())) as lifeline:
            async for _ in lifeline:
                pass
        nursery.cancel_scope.cancel()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(tell_progress)
        nursery.start_soon(watch_lifeline)
        report({"event": "result", **asdict(await churn.run())})
        nursery.cancel_scope.cancel()


def main() -> None:
    """Read the spec, run it, report."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # whoever started this ends it
    spec = ChurnSpec(**json.loads(sys.stdin.readline()))

    def report(event: dict[str, object]) -> None:
        sys.stdout.write(json.dumps(event) + "\n")
        sys.stdout.flush()

    trio.run(_serve, spec, report)


if __name__ == "__main__":
    main()
