"""`voiceagent bench`: what this machine carries.

The service runs in one process, all calls come from a second, and a bare echo server in a third stands beside the
service as the control: first half of the control, the service, second half of the control, with the same load. A run
during which the machine was too noisy to tell is repeated.

Exit codes: 0 measured, 1 it could not run, 2 wrong arguments, 3 not measured: the machine was too noisy each time.
"""

import argparse
import json
import os
import sys
import tempfile
import time
import tomllib
from collections.abc import Mapping, Sequence
from typing import Any, Final

import trio
from attrs import asdict, evolve, frozen
from cattrs import Converter

from voiceagent.audio.pcm import Pcm
from voiceagent.audio.resample import resample
from voiceagent.cli.bench_child import BenchError, Child, open_child
from voiceagent.cli.bench_figures import Reading, Run, Segment
from voiceagent.cli.bench_report import as_data, as_text
from voiceagent.config import Config, ConfigErrors, flow_path, load_config
from voiceagent.config.places import DEFAULT_FILE
from voiceagent.lab import meters
from voiceagent.lab.legs import RATE, LoadResult, LoadSpec
from voiceagent.lab.measure import Limits
from voiceagent.ports import ProviderError
from voiceagent.providers.embedded import EmbeddedOptions, open_text_to_speech

ATTEMPTS: Final = 5
NOT_MEASURED: Final = 3
#: More would need more descriptors than a process commonly gets (1024).
MAX_CALLS: Final = 900
MAX_SECONDS: Final = 120.0
#: What callers ask the receptionist: all of it is answered by her longest answer, the way from the station (35 s).
QUESTIONS: Final = ("how do i get to you", "how can i find the shop", "which way is it from the station")
#: Calls each server has had before it is measured. A server that never had a call end is not like one at work: glibc
#: gives asyncio's 256 KB read buffers to the system and back at each read until it has seen one freed whole, which
#: doubles the cost of the control.
WARM_UP_CALLS: Final = 10
#: Recognisers build their models, synthesis starts.
_START_S: Final = 60.0
#: Silence on a child's side that means it hangs; load children report each second once the calls are connected.
_HANG_S: Final = 30.0
#: Calls that were hung up are gone within milliseconds; 0x00 to a peer that does not close takes a second.
_RELEASE_S: Final = 10.0
_CONVERTER: Final = Converter()


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--calls", type=_calls, default=200, metavar="N", help=f"simultaneous calls, 1 to {MAX_CALLS}")
    parser.add_argument(
        "--seconds", type=_seconds, default=10.0, metavar="S", help=f"steady window, 1 to {MAX_SECONDS:g}"
    )
    parser.add_argument("--agent", choices=("echo", "reception"), default="echo", help="who answers")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="override a configuration key")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")


def run(args: argparse.Namespace) -> int:
    code = 1
    try:
        code = trio.run(_bench, args)
    except* KeyboardInterrupt:
        code = 130
    except* (BenchError, ConfigErrors, ProviderError) as group:
        for error in group.exceptions:
            print(f"voiceagent bench: {error}", file=sys.stderr)
    return code


def _calls(text: str) -> int:
    if not 1 <= (calls := int(text)) <= MAX_CALLS:
        raise argparse.ArgumentTypeError(f"1 to {MAX_CALLS}")
    return calls


def _seconds(text: str) -> float:
    if not 1 <= (seconds := float(text)) <= MAX_SECONDS:
        raise argparse.ArgumentTypeError(f"1 to {MAX_SECONDS:g}")
    return seconds


@frozen
class Plan:
    """What is to be measured. `questions` (see LoadSpec) and their `answer` only for an agent that talks."""

    calls: int
    seconds: float
    agent: str
    overrides: Sequence[str] = ()
    questions: Sequence[str] = ()
    answer: str = ""

    def load_on(self, where: Mapping[str, Any]) -> LoadSpec:
        """The load on the service: its window begins when conversations are under way."""
        if not self.questions:
            return LoadSpec(**where, calls=self.calls, seconds=self.seconds, settle_s=min(1.5, self.seconds / 2))
        gap_s = min(0.25, 8.0 / self.calls)
        return LoadSpec(
            **where,
            calls=self.calls,
            seconds=self.seconds,
            connect_gap_s=gap_s,
            settle_s=12.0,  # greeted (5 s), silence (1 s), asked (2 s), turn over, answered
            questions=self.questions,
        )

    def half_on(self, where: Mapping[str, Any]) -> LoadSpec:
        """Half of the load on the control."""
        return LoadSpec(
            **where, calls=self.calls, seconds=max(1.0, self.seconds / 2), settle_s=min(1.5, self.seconds / 2)
        )


async def _bench(args: argparse.Namespace) -> int:
    """Attempts until one is worth reporting."""
    config = load_config(DEFAULT_FILE, args.set, os.environ)  # complains here rather than in the child
    plan = Plan(args.calls, args.seconds, args.agent, args.set)
    if args.agent == "reception":
        plan = evolve(plan, questions=await _speak(QUESTIONS), answer=_long_answer(config))
    reasons: list[str] = []
    for number in range(1, ATTEMPTS + 1):
        run = await attempt(plan, f"attempt {number} of {ATTEMPTS}")
        if failures := run.failures():
            raise BenchError("; ".join(failures))
        reasons = run.noise(Limits())
        if not reasons:
            _progress("", over=True)
            print(json.dumps(as_data(run), indent=2) if args.json else as_text(run))
            return 0
        _progress(f"attempt {number} was too noisy: {'; '.join(reasons)}", over=True)
    if args.json:
        print(json.dumps({"measured": False, "attempts": ATTEMPTS, "reasons": reasons}, indent=2))
    else:
        print(f"not measured: the machine was too noisy {ATTEMPTS} times; at last, {'; '.join(reasons)}")
    return NOT_MEASURED


async def attempt(plan: Plan, title: str) -> Run:
    """One run, with a service and a control of its own. Raises BenchError when it cannot be made."""
    with tempfile.TemporaryDirectory(prefix="voiceagent-bench-") as state:
        overrides = [
            *plan.overrides,
            "audiosocket.listen=127.0.0.1:0",
            f"audiosocket.agent={plan.agent}",
            f"service.max_calls={max(plan.calls, WARM_UP_CALLS) + 10}",
            f"service.state_dir={state}",
        ]
        async with (
            open_child("the service", "voiceagent.cli.bench_service") as service,
            open_child("the control", "voiceagent.lab.control") as control,
        ):
            await service.tell(overrides)
            where = await service.hear(_START_S)
            beside = {"host": "127.0.0.1", **await control.hear(_START_S)}
            for warmed, server in ((beside, control), (where, service)):
                spec = LoadSpec(**warmed, calls=WARM_UP_CALLS, seconds=0.2, settle_s=0.2)
                await _load(spec, server, None, f"{title}: warm-up")
            start = await _released(service)
            first, _ = await _load(plan.half_on(beside), control, None, f"{title}: control")
            measured, readings = await _load(plan.load_on(where), service, service, f"{title}: service")
            end = await _released(service)
            second, _ = await _load(plan.half_on(beside), control, None, f"{title}: control")
    steady, over = readings
    return Run(
        calls=plan.calls,
        seconds=plan.seconds,
        agent=plan.agent,
        service=measured,
        controls=[first, second],
        start=start,
        steady=steady,
        over=over,
        end=end,
        answer=plan.answer,
        cpus=os.cpu_count() or 1,
    )


async def _load(spec: LoadSpec, server: Child, service: Child | None, title: str) -> tuple[Segment, list[Reading]]:
    """Put `spec` on `server` and meter it; readings, of a `service` only, are taken at both ends of the window."""
    before = meters.resident_bytes(server.pid)
    readings: list[Reading] = []
    marks: list[_Mark] = []
    left_s = spec.seconds
    _progress(f"{title}: {spec.calls} calls connect")
    async with open_child("the load generator", "voiceagent.lab.load") as generator:
        await generator.tell(asdict(spec))
        while True:
            message = await generator.hear(_HANG_S)
            match message.pop("event"):
                case "steady" | "over":
                    marks.append(_mark(server, generator))
                    if service:
                        readings.append(await _read(service))
                    _progress(f"{title}: {message['open']} calls, {left_s:.0f} s to go")
                case "progress":
                    left_s -= 1
                    _progress(f"{title}: {message['open']} calls, {left_s:.0f} s to go")
                case _:
                    load = _CONVERTER.structure(message, LoadResult)
                    break
    then, now = marks
    return Segment(
        load=load,
        wall_s=now.at - then.at,
        cpu_s=now.server - then.server,
        worker_cpu_s=now.workers - then.workers,
        others_cpu_s=max(0.0, now.others - then.others),
        resident_before=before,
        resident=now.resident,
    ), readings


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


async def _read(service: Child) -> Reading:
    return _CONVERTER.structure(await service.ask({}), Reading)


async def _released(service: Child) -> Reading:
    """The service's meters once all calls are gone, or when they ought to be."""
    with trio.move_on_after(_RELEASE_S):
        while (reading := await _read(service)).live:
            await trio.sleep(0.05)
        return reading
    return await _read(service)


async def _speak(texts: Sequence[str]) -> list[str]:
    """Callers' audio at 8 kHz as hex, in a voice that is not the agent's."""
    spoken = []
    async with open_text_to_speech("caller", EmbeddedOptions(voice="en-gb"), journal=lambda _: None) as synthesis:
        for text in texts:
            async with synthesis.open_speech(text) as chunks:
                whole = [chunk async for chunk in chunks]
            audio = Pcm(whole[0].rate, b"".join(chunk.data for chunk in whole))
            spoken.append(resample(audio, RATE).data.hex())
    return spoken


def _long_answer(config: Config) -> str:
    """The answer to QUESTIONS, as the flow in use has it."""
    flow = flow_path(config.agents["reception"].flow, config.directory)
    answer: str = tomllib.loads(flow.read_text(encoding="utf-8"))["answers"]["directions"]
    return answer


def _progress(text: str, *, over: bool = False) -> None:
    """One line on standard error, over the last one where that is a terminal."""
    terminal = sys.stderr.isatty()
    if text or terminal:
        sys.stderr.write(f"\r\033[K{text}" if terminal else f"{text}\n")
    if over and text and terminal:
        sys.stderr.write("\n")
    sys.stderr.flush()
