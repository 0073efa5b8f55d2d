"""`voiceagent bench`: what this machine carries.

A steady load (bench_load), many short calls (`--churn`, bench_churn), or more calls than the service takes (`--offer`,
bench_offer). The service runs in one process, all calls come from a second; beside a steady load there are a bare echo
server as the control and an idle ticker. A run during which the machine was too noisy to tell is repeated.

Exit codes: 0 measured, 1 it could not run, 2 wrong arguments, 3 not measured: the machine was too noisy each time.
"""

import argparse
import json
import os
import sys
import tomllib
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Final

import trio
from attrs import evolve

from voiceagent.audio.pcm import Pcm
from voiceagent.audio.resample import resample
from voiceagent.cli import bench_churn, bench_offer
from voiceagent.cli.bench_child import BenchError
from voiceagent.cli.bench_load import Plan, attempt, progress
from voiceagent.cli.bench_outcome import Outcome
from voiceagent.cli.bench_report import outcome
from voiceagent.config import Config, ConfigErrors, flow_path, load_config
from voiceagent.config.places import DEFAULT_FILE
from voiceagent.lab.legs import RATE
from voiceagent.ports import ProviderError
from voiceagent.providers.embedded import EmbeddedOptions, open_text_to_speech

ATTEMPTS: Final = 5
#: A long run is not repeated as often: nobody waits for hours.
ATTEMPTS_S: Final = 600.0
NOT_MEASURED: Final = 3
CALLS: Final = 200
#: More would need more descriptors than a process commonly gets (1024).
MAX_CALLS: Final = 900
MAX_SECONDS: Final = 3600.0
#: The generator notes the time of every frame: 8 bytes, 50 a second; so 144 MB at most.
MAX_CALL_SECONDS: Final = 360_000.0
MAX_CHURN: Final = 100_000
#: What callers ask the receptionist: all of it is answered by her longest answer, the way from the station (35 s).
QUESTIONS: Final = ("how do i get to you", "how can i find the shop", "which way is it from the station")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    modes = parser.add_mutually_exclusive_group()
    modes.add_argument(
        "--churn", type=_whole(1, MAX_CHURN), metavar="N", help="N short echo calls instead, --calls of them at a time"
    )
    modes.add_argument(
        "--offer", type=_whole(2, MAX_CALLS), metavar="N", help="N echo calls instead, more than service.max_calls"
    )
    parser.add_argument(
        "--calls",
        type=_whole(1, MAX_CALLS),
        metavar="N",
        help=f"simultaneous calls (default {CALLS}; churn: {bench_churn.AT_ONCE})",
    )
    parser.add_argument(
        "--seconds", type=_seconds, default=10.0, metavar="S", help=f"steady window, 1 to {MAX_SECONDS:g} (default 10)"
    )
    parser.add_argument("--agent", choices=("echo", "reception"), default="echo", help="who answers")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="override a configuration key")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")


def run(args: argparse.Namespace) -> int:
    calls = args.offer or args.calls or CALLS
    if not args.churn and calls * args.seconds > MAX_CALL_SECONDS:
        print(f"voiceagent bench: calls x seconds: at most {MAX_CALL_SECONDS:g}", file=sys.stderr)
        return 2
    code = 1
    try:
        code = trio.run(_bench, args)
    except* KeyboardInterrupt:
        code = 130
    except* (BenchError, ConfigErrors, ProviderError) as group:
        for error in group.exceptions:
            print(f"voiceagent bench: {error}", file=sys.stderr)
    return code


def _whole(low: int, high: int) -> Callable[[str], int]:
    def number(text: str) -> int:
        if not low <= (value := int(text)) <= high:
            raise argparse.ArgumentTypeError(f"{low} to {high}")
        return value

    return number


def _seconds(text: str) -> float:
    if not 1 <= (seconds := float(text)) <= MAX_SECONDS:
        raise argparse.ArgumentTypeError(f"1 to {MAX_SECONDS:g}")
    return seconds


async def _bench(args: argparse.Namespace) -> int:
    """Attempts until one is worth reporting."""
    config = load_config(DEFAULT_FILE, args.set, os.environ)  # complains here rather than in the child
    make, attempts = await _choose(args, config), min(ATTEMPTS, max(1, int(ATTEMPTS_S / args.seconds)))
    for number in range(1, attempts + 1):
        seen = await make(f"attempt {number} of {attempts}")
        if seen.failures:
            raise BenchError("; ".join(seen.failures))
        if not seen.noise:
            progress("", over=True)
            print(json.dumps(seen.as_data(), indent=2) if args.json else seen.as_text())
            return 0
        progress(f"attempt {number} was too noisy: {'; '.join(seen.noise)}", over=True)
    told = json.dumps(seen.unbelieved_data(attempts), indent=2) if args.json else seen.unbelieved_text(attempts)
    print(told)
    return NOT_MEASURED


async def _choose(args: argparse.Namespace, config: Config) -> Callable[[str], Awaitable[Outcome]]:
    """What makes one attempt, given its title, at what `args` ask for."""
    if args.churn:
        return partial(bench_churn.attempt, args.churn, args.calls or bench_churn.AT_ONCE, args.set)
    if args.offer:
        if args.offer <= (cap := config.service.max_calls):
            raise BenchError(f"--offer {args.offer}: service.max_calls={cap} takes them all; offer more, or --set it")
        return partial(bench_offer.attempt, args.offer, cap, args.seconds, args.set)
    plan = Plan(args.calls or CALLS, args.seconds, args.agent, args.set)
    if args.agent == "reception":
        plan = evolve(plan, questions=await _speak(QUESTIONS), answer=_long_answer(config))

    async def load(title: str) -> Outcome:
        return outcome(await attempt(plan, title))

    return load


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
