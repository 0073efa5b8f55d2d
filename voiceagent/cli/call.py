"""`voiceagent call`: telephone a running service as Asterisk does, and time it.

In this order, each once the agent has finished speaking (or has not begun within 10 s): every `--say` or the `--wav`,
then the `--dtmf` digits, then hanging up. With `--interrupt-after S` the sayings and digits do not wait for the agent
to finish but come S seconds after it begins to speak.

Exit codes: 0 there was a call, 1 there was none or the recording could not be written, 2 the arguments have errors,
130 interrupted from the keyboard.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, get_args

import trio
from attrs import frozen

from voiceagent.audio.pcm import Pcm
from voiceagent.audio.wav import WavError, read_wav, write_wav
from voiceagent.cli.voices import open_voice
from voiceagent.config import parse_address
from voiceagent.lab.caller import Caller, open_caller
from voiceagent.lab.connect import LineError
from voiceagent.lab.timeline import HangUp, describe, latencies
from voiceagent.ports import ProviderError
from voiceagent.providers.embedded import EmbeddedOptions
from voiceagent.wire.audiosocket import DTMF_DIGITS


@frozen
class Plan:
    """What the caller will do: `sayings` (text or file name, audio), then keys, then the hang-up."""

    sayings: Sequence[tuple[str, Pcm]] = ()
    digits: str = ""
    interrupt_after: float | None = None
    hang_up: HangUp = "eof"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = (__doc__ or "").partition("\n\n")[2]
    parser.add_argument("peer", metavar="HOST:PORT", type=_address, help="where the service listens")
    speech = parser.add_mutually_exclusive_group()
    speech.add_argument("--say", nargs="+", action="extend", default=[], metavar="TEXT", help="what the caller says")
    speech.add_argument("--wav", type=_recording, metavar="FILE", help="a 16-bit PCM WAV the caller plays instead")
    parser.add_argument("--dtmf", type=_digits, metavar="DIGITS", help="keys the caller presses")
    parser.add_argument("--interrupt-after", type=_seconds, metavar="S", help="speak S s after the agent begins to")
    parser.add_argument("--hangup", choices=get_args(HangUp), default="eof", help="how the caller hangs up (eof)")
    parser.add_argument("--out", type=Path, metavar="FILE", help="record what the caller hears to this WAV")
    parser.add_argument("--voice", default="en-gb", help="the caller's espeak-ng voice (en-gb)")
    parser.add_argument("--timeout", type=_seconds, default=120.0, metavar="S", help="hang up after S s (120)")
    parser.add_argument("--json", action="store_true", help="print figures and timeline as JSON")


def run(args: argparse.Namespace) -> int:
    try:
        options = EmbeddedOptions(voice=args.voice)
    except ValueError:
        print(f"voiceagent call: --voice: {args.voice!r} is no name of a voice", file=sys.stderr)
        return 2
    try:
        caller = trio.run(_run, args, options)
        if args.out:
            args.out.write_bytes(write_wav(caller.heard))
    except KeyboardInterrupt:
        return 130
    except (LineError, ProviderError) as error:
        print(f"voiceagent call: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"voiceagent call: {args.out}: {error.strerror}", file=sys.stderr)
        return 1
    if caller.over and caller.over.by == "agent" and not caller.frames_received:
        host, port = args.peer
        print(f"voiceagent call: {host}:{port}: closed before anything was said", file=sys.stderr)
        return 1
    print(json.dumps(figures(caller), indent=2) if args.json else _told(caller))
    return 0


async def _run(args: argparse.Namespace, options: EmbeddedOptions) -> Caller:
    sayings = [args.wav] if args.wav else await _render(args.say, options)
    host, port = args.peer
    plan = Plan(sayings, args.dtmf or "", args.interrupt_after, args.hangup)
    return await place_call(host, port, plan, max_s=args.timeout)


async def _render(texts: Sequence[str], options: EmbeddedOptions) -> list[tuple[str, Pcm]]:
    """Everything the caller will say, made before the call so that no synthesis delays it."""
    if not texts:
        return []
    async with open_voice(options) as speak:
        return [(text, await speak(text)) for text in texts]


async def place_call(host: str, port: int, plan: Plan, *, max_s: float) -> Caller:
    """Do as planned; the caller of the finished call. Raises LineError."""
    async with open_caller(host, port, max_s=max_s) as caller:
        wait = partial(caller.wait_for_agent, timeout=max_s)
        if plan.interrupt_after is not None:
            wait = partial(_wait_into_speech, caller, plan.interrupt_after)
        for text, pcm in plan.sayings:
            await wait()
            await caller.say(pcm, text)
        if plan.digits:
            await wait()
            await caller.press(plan.digits)
        await caller.wait_for_agent(timeout=max_s)
        caller.hang_up(plan.hang_up)
    return caller


async def _wait_into_speech(caller: Caller, seconds: float) -> bool:
    return await caller.wait_for_agent_to_begin() and await caller.pause(seconds)


def figures(caller: Caller) -> dict[str, Any]:
    """The call as data. Seconds, since the connection where a point in time is meant; null: it did not happen."""
    told = latencies(caller.timeline)
    over = caller.over
    return {
        "uuid": str(caller.uuid),
        "connect_to_agent_s": _rounded(told.first_sound),
        "turns": [
            {
                "said": turn.text,
                "began_s": _rounded(turn.began),
                "finished_s": _rounded(turn.finished),
                "answered_after_s": _rounded(turn.answered_after),
                "agent_stopped_after_s": _rounded(turn.stopped_after),
            }
            for turn in told.turns
        ],
        "worst_gap_s": _rounded(caller.worst_gap),
        "frames_received": caller.frames_received,
        "frames_sent": caller.frames_sent,
        "split_frames": caller.split_frames,
        "ended": {"by": over.by, "how": over.how, "why": over.why, "at_s": _rounded(over.at)} if over else None,
        "release_s": _rounded(told.release),
        "timeline": [
            {"at_s": _rounded(moment.at), "what": describe(moment)}
            for moment in sorted(caller.timeline, key=lambda moment: moment.at)
        ],
    }


def _told(caller: Caller) -> str:
    data = figures(caller)
    lines = [f"{moment['at_s']:8.3f} s  {moment['what']}" for moment in data["timeline"]]
    lines.append(f"first sound of the agent after {_text(data['connect_to_agent_s'])}")
    for turn in data["turns"]:
        stopped = turn["agent_stopped_after_s"]
        interrupted = "" if stopped is None else f", which silenced the agent after {stopped:.3f} s"
        lines.append(f"{turn['said']!r}: answered after {_text(turn['answered_after_s'])}{interrupted}")
    lines.append(
        f"{data['frames_received']} frames received (worst gap {data['worst_gap_s']:.3f} s, "
        f"{data['split_frames']} split), {data['frames_sent']} sent"
    )
    return "\n".join(lines)


def _text(seconds: float | None) -> str:
    return "- s" if seconds is None else f"{seconds:.3f} s"


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 4)


def _address(text: str) -> tuple[str, int]:
    try:
        host, port = parse_address(text)
    except ValueError:
        port = 0
    if not port:
        raise argparse.ArgumentTypeError(f"{text!r} is not HOST:PORT, such as 127.0.0.1:9092")
    return host, port


def _recording(text: str) -> tuple[str, Pcm]:
    try:
        return text, read_wav(Path(text).read_bytes())
    except OSError as error:
        raise argparse.ArgumentTypeError(f"{text}: {error.strerror}") from None
    except WavError as error:
        raise argparse.ArgumentTypeError(f"{text}: {error}") from None


def _digits(text: str) -> str:
    if not text or set(text) - set(DTMF_DIGITS):
        raise argparse.ArgumentTypeError(f"{text!r} is not made of the keys {DTMF_DIGITS}")
    return text


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= 86_400:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds")
    return seconds
