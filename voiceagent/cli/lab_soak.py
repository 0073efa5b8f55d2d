"""`voiceagent lab soak`: SIP calls through a real Asterisk, all talking with the receptionist, and what they heard.

Asterisk, the service and an idle ticker are processes of their own; the phones are here. A caller presses 9 whenever
the agent has been quiet for a second, so that all of them hear the menu read out over and over.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import trio
from attrs import asdict, define, frozen

from voiceagent.cli.bench_child import BenchError
from voiceagent.cli.bench_figures import Reading
from voiceagent.cli.bench_load import Watch, open_service_child, open_ticker, progress
from voiceagent.lab.asterisk import RunningAsterisk, default_cache, fetch, start_asterisk
from voiceagent.lab.connect import LineError
from voiceagent.lab.measure import Lateness
from voiceagent.lab.sip import SipPhone, open_sip_caller
from voiceagent.lab.sip.caller import SipCall
from voiceagent.pbx.ari.client import open_client
from voiceagent.pbx.ari.errors import AriError
from voiceagent.wire.ari.commands import applications

#: Until the service has registered with Asterisk.
_REGISTER_S: Final = 30.0
#: Between one call and the next: a ramp of 20 calls a second.
_RAMP_S: Final = 0.05
#: Calls settle for so long before anything is measured.
_SETTLE_S: Final = 3.0
_QUIET_S: Final = 1.0
#: What the bars say.
_P999_S: Final = 0.010
_GAP_S: Final = 0.060


@frozen
class Figures:
    """Seconds. `gaps` are pauses of more than 60 ms in what callers heard, `explained` those the ticker had."""

    calls: int
    heard: int
    seconds: float
    frames: int
    dropped: int
    late_p999: float
    late_worst: float
    ticker_p999: float
    ticker_worst: float
    gaps: int
    explained: int
    widest_gap: float
    first_sound_p50: float
    first_sound_p95: float

    def verdicts(self) -> Iterator[str]:
        """Each bar, met or not; open where not even the idle ticker was in time."""
        missed = "open    " if self.ticker_p999 > _P999_S else "NOT MET "
        if self.heard < self.calls:
            yield f"NOT MET  every call is heard: {self.heard} of {self.calls}"
        late = f"frames p99.9 {_ms(self.late_p999)} (idle ticker {_ms(self.ticker_p999)})"
        yield f"{'met     ' if self.late_p999 < _P999_S else missed} {late}, bar {_ms(_P999_S)}"
        said = f"gaps > {_ms(_GAP_S)} in RTP: {self.gaps}, {self.explained} of them as long as the ticker's stalls"
        yield f"{'met     ' if self.gaps == self.explained else missed} {said}"


@define
class _Caller:
    call: SipCall
    invited: float
    first_sound: float = 0.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--calls", type=int, default=20, help="calls at a time (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=60.0, help="for how long (default: %(default)s)")
    parser.add_argument("--agent", default="reception", choices=("reception", "echo"))
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")


def run(args: argparse.Namespace) -> int:
    """Exit codes: 0 measured, 1 not possible, 3 the machine was too noisy for the bars."""
    with tempfile.TemporaryDirectory(prefix="voiceagent-soak-") as folder:
        tree = fetch(default_cache(), progress)
        asterisk = start_asterisk(tree, Path(folder) / "pbx")
        try:
            figures = trio.run(_soak, asterisk, args.calls, args.seconds, args.agent)
        except (BenchError, LineError, AriError) as error:
            print(f"voiceagent lab soak: {error}", file=sys.stderr)
            return 1
        finally:
            asterisk.stop()
    verdicts = list(figures.verdicts())
    if args.json:
        print(json.dumps({**asdict(figures), "verdicts": verdicts}))
    else:
        for name, value in asdict(figures).items():
            print(f"{name:16} {value if isinstance(value, int) else f'{value:.4f}'}")
        print("\n".join(verdicts))
    return 3 if any(verdict.startswith("open") for verdict in verdicts) else 0


async def _soak(asterisk: RunningAsterisk, calls: int, seconds: float, agent: str) -> Figures:
    settings = [f"ari.url={asterisk.ari_url}", f"ari.password={asterisk.password}"]
    async with (
        open_service_child(settings) as (service, _),
        open_ticker() as ticker,
        open_sip_caller(asterisk.sip_host, asterisk.sip_port) as phone,
    ):
        await _registered(asterisk)
        callers: list[_Caller] = []
        async with trio.open_nursery() as nursery:
            for _ in range(calls):
                nursery.start_soon(_talk, phone, agent, callers)
                await trio.sleep(_RAMP_S)
            await trio.sleep(_SETTLE_S)
            watch, began = Watch(service, ticker), trio.current_time()
            await watch.look()
            for second in range(int(seconds)):
                progress(f"{len(callers)} calls, {int(seconds) - second} s to go")
                await trio.sleep_until(began + second + 1)
            await trio.sleep_until(began + seconds)
            ended = trio.current_time()
            await watch.look()
            nursery.cancel_scope.cancel()
    (before, _), (after, ticks) = watch.seen
    return _figures(callers, calls, (began, ended), before, after, ticks)


async def _registered(asterisk: RunningAsterisk) -> None:
    """Wait until Stasis() leads to the service."""
    with trio.move_on_after(_REGISTER_S):
        async with open_client(asterisk.ari_url, asterisk.user, asterisk.password) as client:
            while True:
                try:
                    await client.request(applications.get("voiceagent"))
                    return
                except AriError:
                    await trio.sleep(0.05)
    raise BenchError(f"the service did not register with Asterisk within {_REGISTER_S:g} s")


async def _talk(phone: SipPhone, agent: str, callers: list[_Caller]) -> None:
    """One call, until cancelled."""
    invited = trio.current_time()
    async with phone.call("1001", headers={"X-Agent": agent}) as call:
        await call.answered()
        caller = _Caller(call, invited)
        callers.append(caller)
        await call.until(lambda: next(call.heard.sounds(), None) is not None, "the agent's voice")
        caller.first_sound = next(call.heard.sounds()).at
        while True:
            await trio.sleep(_QUIET_S / 2)
            if next(call.heard.sounds(since=trio.current_time() - _QUIET_S), None) is None:
                call.send_dtmf("9")


def _figures(
    callers: list[_Caller], calls: int, window: tuple[float, float], before: Reading, after: Reading, ticks: Lateness
) -> Figures:
    began, ended = window
    late = after.lateness.since(before.lateness)
    heard = [caller for caller in callers if caller.first_sound]
    pauses = [pause for caller in heard for _, pause in caller.call.heard.gaps(since=began, until=ended)]
    gaps = [pause for pause in pauses if pause > _GAP_S]
    first = sorted(caller.first_sound - caller.invited for caller in heard)
    return Figures(
        calls=calls,
        heard=len(heard),
        seconds=ended - began,
        frames=after.sent - before.sent,
        dropped=after.dropped - before.dropped,
        late_p999=late.percentile(0.999),
        late_worst=late.worst,
        ticker_p999=ticks.percentile(0.999),
        ticker_worst=ticks.worst,
        gaps=len(gaps),
        explained=sum(ticks.worst >= gap - 0.02 for gap in gaps),  # a stall comes on top of the 20 ms between packets
        widest_gap=max(pauses, default=0.0),
        first_sound_p50=first[len(first) // 2] if first else 0.0,
        first_sound_p95=first[max(0, -(-len(first) * 19 // 20) - 1)] if first else 0.0,
    )


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.1f} ms"
