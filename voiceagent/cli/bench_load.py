"""One attempt at a steady load: the service, and beside it the control, metered from outside.

In this order: a control as it starts, the same once calls have ended on it, the service (when it gets many calls, also
few, before and after), and again a control of each kind.
"""

import os
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

import trio
from attrs import asdict, evolve, frozen
from cattrs import Converter

from voiceagent.cli.bench_child import Child, open_child
from voiceagent.cli.bench_figures import FEW_CALLS, Reading, Run, Segment
from voiceagent.lab import meters
from voiceagent.lab.legs import LoadResult, LoadSpec
from voiceagent.lab.measure import Lateness

#: Calls the service has had before it is measured, so that what it does only once is done.
WARM_UP_CALLS: Final = 10
#: Calls hung up one by one, at most.
ONE_BY_ONE: Final = 100
#: From here on a call's cost is compared with that among few.
MANY_CALLS: Final = 500
#: The control is not watched for longer, however long the service is.
_CONTROL_S: Final = 30.0
#: Recognisers build their models, synthesis starts.
START_S: Final = 60.0
#: Silence on a child's side that means it hangs; generators report each second once their calls are connected.
HANG_S: Final = 30.0
#: Calls that were hung up are gone within milliseconds; 0x00 to a peer that does not close takes a second.
_RELEASE_S: Final = 10.0
_CONVERTER: Final = Converter()


@frozen
class Plan:
    """What is to be measured. `questions` (see LoadSpec) and their `answer` only for an agent that talks.

    `controls` is how many there are: the first before the service, others after it.
    """

    calls: int
    seconds: float
    agent: str
    overrides: Sequence[str] = ()
    questions: Sequence[str] = ()
    answer: str = ""
    controls: int = 2

    @property
    def settings(self) -> list[str]:
        """Configuration overrides for the service: room for all calls, for as long as they take."""
        return [
            *self.overrides,
            f"audiosocket.agent={self.agent}",
            f"service.max_calls={self.calls + ONE_BY_ONE}",
            f"agents.{self.agent}.max_call_s={self.seconds + 120:g}",
        ]

    def load_on(self, where: Mapping[str, Any]) -> LoadSpec:
        """The load on the service: its window begins when conversations are under way."""
        spec = self._load(where, self.seconds)
        spec = evolve(spec, one_by_one=min(self.calls, ONE_BY_ONE))
        if self.questions:
            gap_s = min(0.25, 8.0 / self.calls)
            # Greeted (5 s), silence (1 s), asked (2 s), turn over, answered.
            spec = evolve(spec, connect_gap_s=gap_s, settle_s=12.0, questions=self.questions)
        return spec

    def fresh_on(self, where: Mapping[str, Any]) -> LoadSpec:
        """The load on a control as it starts."""
        return self._load(where, min(_CONTROL_S, self.seconds / 2))

    def warmed_on(self, where: Mapping[str, Any]) -> LoadSpec:
        """The load on a control once calls have ended on it."""
        return self._load(where, min(_CONTROL_S, self.seconds) / 4)

    def few_on(self, where: Mapping[str, Any]) -> LoadSpec:
        """A load on the service of few calls."""
        return evolve(self.fresh_on(where), calls=FEW_CALLS)

    def _load(self, where: Mapping[str, Any], seconds: float) -> LoadSpec:
        return LoadSpec(**where, calls=self.calls, seconds=seconds, settle_s=min(1.5, self.seconds / 2))


async def attempt(plan: Plan, title: str) -> Run:
    """One run, with a service and controls of its own. Raises BenchError when it cannot be made."""
    fresh: list[Segment] = []
    warmed: list[Segment] = []
    few: list[Segment] = []

    async def add_control() -> None:
        async with open_child("the control", "voiceagent.lab.control") as control:
            beside = {"host": "127.0.0.1", **await control.hear(START_S)}
            fresh.append(await put(plan.fresh_on(beside), control, f"{title}: control"))
            warmed.append(await put(plan.warmed_on(beside), control, f"{title}: control, warmed"))

    async def add_few() -> None:
        if plan.calls >= MANY_CALLS:
            few.append(await put(plan.few_on(where), service, f"{title}: service, few calls"))

    await add_control()
    async with open_service_child(plan.settings) as (service, where), open_ticker() as ticker:
        empty = meters.resident_bytes(service.pid)
        warm_up = LoadSpec(**where, calls=WARM_UP_CALLS, seconds=0.2, settle_s=0.2)
        await put(warm_up, service, f"{title}: warm-up")
        await add_few()
        start = await released(service)
        watch = Watch(service, ticker)
        measured = await put(plan.load_on(where), service, f"{title}: service", watch.look)
        end = await released(service)
        await add_few()
    for _ in range(1, plan.controls):
        await add_control()
    (steady, _), (over, ticks) = watch.seen
    return Run(
        calls=plan.calls,
        seconds=plan.seconds,
        agent=plan.agent,
        service=measured,
        fresh=fresh,
        warmed=warmed,
        few=few,
        start=start,
        steady=steady,
        over=over,
        end=end,
        ticker=ticks,
        resident_empty=empty,
        answer=plan.answer,
        cpus=os.cpu_count() or 1,
    )


@asynccontextmanager
async def open_service_child(settings: Sequence[str]) -> AsyncIterator[tuple[Child, dict[str, Any]]]:
    """A service in a process of its own with nothing in its state directory, and where it listens: `host`, `port`."""
    with tempfile.TemporaryDirectory(prefix="voiceagent-bench-") as state:
        async with open_child("the service", "voiceagent.cli.bench_service") as service:
            await service.tell([*settings, "audiosocket.listen=127.0.0.1:0", f"service.state_dir={state}"])
            yield service, await service.hear(START_S)


@asynccontextmanager
async def open_ticker() -> AsyncIterator[Child]:
    """The idle ticker, ticking."""
    async with open_child("the idle ticker", "voiceagent.lab.ticker") as ticker:
        await ticker.hear(START_S)
        yield ticker


class Watch:
    """Looks at the service's own meters and at the ticker, at both ends of a window."""

    def __init__(self, service: Child, ticker: Child) -> None:
        self._service = service
        self._ticker = ticker
        #: The ticker's lateness is that since the look before.
        self.seen: list[tuple[Reading, Lateness]] = []

    async def look(self) -> None:
        ticks = _CONVERTER.structure(await self._ticker.ask({}), Lateness)
        self.seen.append((await read(self._service), ticks))


async def put(spec: LoadSpec, server: Child, title: str, look: Callable[[], Awaitable[None]] | None = None) -> Segment:
    """Put `spec` on `server` and meter it; `look` is called at both ends of the window, outside what is metered."""
    left_s = spec.seconds
    progress(f"{title}: {spec.calls} calls connect")
    async with open_child("the load generator", "voiceagent.lab.load") as generator:
        await generator.tell(asdict(spec))
        while True:
            message = await generator.hear(HANG_S)
            match message.pop("event"):
                case "steady":
                    if look:
                        await look()
                    then = _mark(server, generator)
                    progress(f"{title}: {message['open']} calls, {left_s:.0f} s to go")
                case "over":
                    now = _mark(server, generator)
                    if look:
                        await look()
                    progress(f"{title}: {message['open']} calls are hung up")
                case "progress":
                    left_s -= 1
                    progress(f"{title}: {message['open']} calls, {left_s:.0f} s to go")
                case _:
                    load = _CONVERTER.structure(message, LoadResult)
                    break
    return Segment(
        load=load,
        wall_s=now.at - then.at,
        cpu_s=now.server - then.server,
        worker_cpu_s=now.workers - then.workers,
        others_cpu_s=max(0.0, now.others - then.others),
        resident=now.resident,
    )


@frozen
class _Mark:
    """Meters at one end of a window."""

    at: float
    server: float
    workers: float
    others: float
    resident: int


def _mark(server: Child, generator: Child) -> _Mark:
    cpu = meters.cpu_seconds(server.pid)
    at = time.monotonic()
    workers = meters.cpu_of_descendants(server.pid)
    others = meters.machine_cpu_seconds() - cpu - workers - meters.cpu_seconds(generator.pid)
    return _Mark(at, cpu, workers, others, meters.resident_bytes(server.pid))


async def read(service: Child) -> Reading:
    """The service's own meters, now."""
    return _CONVERTER.structure(await service.ask({}), Reading)


async def released(service: Child) -> Reading:
    """The service's meters once all calls are gone, or when they ought to be."""
    with trio.move_on_after(_RELEASE_S):
        while (reading := await read(service)).live:  # noqa: ASYNC110 - another process tells nobody when it has read
            await trio.sleep(0.05)
        return reading
    return await read(service)


def progress(text: str, *, over: bool = False) -> None:
    """One line on standard error, over the last one where that is a terminal."""
    terminal = sys.stderr.isatty()
    if text or terminal:
        sys.stderr.write(f"\r\033[K{text}" if terminal else f"{text}\n")
    if over and text and terminal:
        sys.stderr.write("\n")
    sys.stderr.flush()
