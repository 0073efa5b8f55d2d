"""The service as `bench` runs it: in a process of its own, reading its own meters.

Its first line on standard input is a list of configuration overrides, each further line asks for a reading; answers
are JSON lines on standard output. It ends when its standard input does.
"""

import gc
import json
import os
import signal
import sys
import time
from collections import Counter, OrderedDict
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final, TextIO

import trio
from attrs import asdict, define, field

from voiceagent.app import Service, StartError, open_service
from voiceagent.cli.bench_figures import Reading
from voiceagent.config import ConfigErrors, load_config
from voiceagent.config.places import DEFAULT_FILE
from voiceagent.dialogue import FlowErrors
from voiceagent.journal import AgentSaid, CallEnded, CallerSaid, Event
from voiceagent.lab.measure import BUCKETS, Lateness, bucket_of
from voiceagent.observe.log import log_to

#: How often the event loop is asked how late it is. More often would be felt in the CPU figure of few calls.
_PROBE_S: Final = 0.1
#: Ended calls remembered, about 0.3 kB each: more than any one load has. More would look like memory the service keeps.
_GONE: Final = 1000


@define(eq=False)
class Meters:
    """Counted since the process began. All of it is bounded by the calls and seconds of one bench run."""

    loop: list[int] = field(factory=lambda: [0] * (BUCKETS + 1))
    worst_loop: float = 0.0
    gc_pauses: int = 0
    gc_seconds: float = 0.0
    gc_worst: float = 0.0
    events: Counter[str] = field(factory=Counter)
    lags: list[float] = field(factory=list)
    replies: list[str] = field(factory=list)
    gone: OrderedDict[str, float] = field(factory=OrderedDict)
    _gc_began: float = 0.0
    _unanswered: set[str] = field(factory=set)

    def journal(self, event: Event) -> None:
        """Note an event, and when, on the clock all processes share."""
        self.events[type(event).__name__] += 1
        match event:
            case CallEnded(call=call):
                self.gone[call] = time.monotonic()
                if len(self.gone) > _GONE:
                    self.gone.popitem(last=False)
            case CallerSaid(call=call, lag=lag):
                self.lags.append(lag)
                self._unanswered.add(call)
            case AgentSaid(call=call, text=text) if call in self._unanswered:
                self._unanswered.remove(call)
                self.replies.append(text)

    def collected(self, phase: str, _info: dict[str, int]) -> None:
        """A `gc.callbacks` function."""
        now = time.monotonic()
        if phase == "start":
            self._gc_began = now
            return
        self.gc_pauses += 1
        self.gc_seconds += now - self._gc_began
        self.gc_worst = max(self.gc_worst, now - self._gc_began)

    async def probe_loop(self) -> None:
        """Note how late the event loop wakes a sleeper, until cancelled."""
        due = trio.current_time()
        while True:
            due += _PROBE_S
            await trio.sleep_until(due)
            lag = trio.current_time() - due
            self.loop[bucket_of(lag)] += 1
            self.worst_loop = max(self.worst_loop, lag)

    def read(self, service: Service) -> Reading:
        clock = service.clock.stats
        lines = [call.line for call in service.calls.values() if call.line is not None]
        peaks = {
            "caller audio waiting for the call, ms": max((line.inbox_peak * 1000 for line in lines), default=0.0),
            "agent audio waiting for the line, ms": max((line.playout.peak * 20.0 for line in lines), default=0.0),
        }
        return Reading(
            at=time.monotonic(),
            due=clock.frames_due,
            sent=clock.frames_sent,
            dropped=clock.frames_dropped,
            lateness=Lateness(clock.lateness, clock.max_lateness),
            loop_lag=Lateness(self.loop, self.worst_loop),
            gc_pauses=self.gc_pauses,
            gc_seconds=self.gc_seconds,
            gc_worst=self.gc_worst,
            tasks=trio.lowlevel.current_statistics().tasks_living,
            live=len(service.calls),
            peaks=peaks,
            events=self.events,
            lags=self.lags,
            replies=self.replies,
            gone=self.gone,
        )


async def serve_measured(log: TextIO) -> None:
    """Run the service and answer for its meters until standard input ends. Its log costs what it costs, into `log`."""
    async with trio.lowlevel.FdStream(os.dup(sys.stdin.fileno())) as orders:
        lines = _lines(orders)
        config = load_config(DEFAULT_FILE, json.loads(await anext(lines)), os.environ)
        meters = Meters()
        journals = [meters.journal, log_to(log, config.service.instance)]
        async with open_service(config, journals=journals) as service, trio.open_nursery() as nursery:
            nursery.start_soon(meters.probe_loop)
            gc.collect()
            gc.freeze()  # as `serve` does
            gc.callbacks.append(meters.collected)
            _tell({"host": service.address[0], "port": service.address[1]})
            async for _ in lines:
                _tell(asdict(meters.read(service)))
            nursery.cancel_scope.cancel()


async def _lines(stream: trio.abc.ReceiveStream) -> AsyncIterator[str]:
    """Lines until the stream ends; our own parent writes them, each short."""
    rest = b""
    async for chunk in stream:
        *whole, rest = (rest + chunk).split(b"\n")
        for line in whole:
            yield line.decode()


def _tell(message: dict[str, Any]) -> None:
    """One line to the parent, who is reading: this does not block longer than it takes to copy."""
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


def main() -> int:
    """Run; the exit code is 1 when the service cannot start, which is then said in one line."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # bench ends us
    try:
        with Path(os.devnull).open("w") as log:
            trio.run(serve_measured, log)
    except (ConfigErrors, FlowErrors, StartError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
