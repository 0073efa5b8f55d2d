"""`bench --offer N`: more calls than `service.max_calls`. The rest are closed at once and cost the others nothing."""

import os
from collections.abc import Sequence
from typing import Any, Final

from attrs import frozen

from voiceagent.cli.bench_figures import STALL_S, Reading, Segment, listed_ms, told_ms
from voiceagent.cli.bench_load import Watch, open_service_child, open_ticker, put, released
from voiceagent.cli.bench_outcome import Outcome, Verdict, line, spread
from voiceagent.lab.legs import LoadSpec
from voiceagent.lab.measure import Lateness, Limits, Noise

#: From connecting to being closed, for each call past the cap.
_CLOSED_S: Final = 0.100


@frozen
class Offered:
    """What was seen. `start` and `end` are the service's meters when it had no calls."""

    offered: int
    cap: int
    seconds: float
    service: Segment
    start: Reading
    end: Reading
    ticker: Lateness
    cpus: int = 1

    @property
    def lost(self) -> int:
        """Frames of the calls that were taken; as `Run.lost`."""
        return max(self.end.dropped - self.start.dropped, self.service.load.missing)

    def failures(self) -> list[str]:
        """Why this is no run at all."""
        load, found = self.service.load, []
        if load.opened < self.offered:
            found.append(f"only {load.opened} of {self.offered} calls could connect")
        if self.end.live:
            found.append(f"{self.end.live} calls are still there after the hang-up")
        return found

    def noise(self, limits: Limits) -> list[str]:
        """Why the machine was too noisy to tell; nothing: it was not."""
        load = self.service.load
        reasons = Noise(
            generator=load.own_lateness,
            control=self.ticker,
            lost=self.lost,
            others_share=self.service.others_cpu_s / self.service.wall_s / self.cpus,
        ).reasons(limits)
        stall = max(load.own_stall, self.ticker.worst)
        if load.ended_early != self.offered - self.cap and stall >= STALL_S:
            reasons.append(
                f"{load.ended_early} calls ended early, but the machine stood still for {stall:.1f} s as well"
            )
        return reasons

    def verdicts(self) -> list[Verdict]:
        """Whether the cap holds, at once, and at nobody's cost."""
        load, past = self.service.load, self.offered - self.cap
        slowest = max(load.refused_after, default=0.0)
        refused = len(load.refused_after)
        return [
            Verdict(
                f"exactly {past} closed",
                refused == load.ended_early == past,
                f"{refused}; {load.ended_early} ended early",
            ),
            Verdict(
                f"each within {_CLOSED_S * 1000:g} ms", slowest <= _CLOSED_S, f"the slowest {slowest * 1000:.1f} ms"
            ),
            Verdict(f"none of the {self.cap} loses a frame", self.lost == 0, f"{self.lost} lost"),
        ]

    def outcome(self) -> Outcome:
        """All that is to be told."""
        data = self._data()
        frames, late = data["frames"], data["lateness_ms"]
        lines = [
            f"{self.offered} calls offered to {self.cap}, agent echo, {self.seconds:g} s",
            "",
            line("closed past the cap", f"{data['refused']}, {spread(data['refused_after_ms'])}"),
            line(
                "frames of the others", f"due {frames['due']}, missing {frames['missing']}, dropped {frames['dropped']}"
            ),
            line("lateness on the wire", spread(late["service_on_the_wire"])),
            line("  idle ticker", spread(late["idle_ticker"])),
            line("  generator", spread(late["generator"])),
        ]
        return Outcome(self.failures(), self.noise(Limits()), data, lines, self.verdicts())

    def _data(self) -> dict[str, Any]:
        load = self.service.load
        return {
            "offered": self.offered,
            "max_calls": self.cap,
            "seconds": self.seconds,
            "refused": len(load.refused_after),
            "refused_after_ms": listed_ms(load.refused_after),
            "ended_early": load.ended_early,
            "frames": {"due": load.due, "missing": load.missing, "dropped": self.end.dropped - self.start.dropped},
            "lateness_ms": {
                "service_on_the_wire": told_ms(load.lateness),
                "idle_ticker": told_ms(self.ticker),
                "generator": told_ms(load.own_lateness),
            },
        }


async def attempt(offered: int, cap: int, seconds: float, overrides: Sequence[str], title: str) -> Outcome:
    """Offer `offered` calls to a service of `cap`. Raises BenchError when that cannot be done."""
    settings = [
        *overrides,
        "audiosocket.agent=echo",
        f"service.max_calls={cap}",
        f"agents.echo.max_call_s={seconds + 120:g}",
    ]
    async with open_service_child(settings) as (service, where), open_ticker() as ticker:
        start = await released(service)
        watch = Watch(service, ticker)
        spec = LoadSpec(**where, calls=offered, seconds=seconds, settle_s=0.2)
        segment = await put(spec, service, title, watch.look)
        end = await released(service)
    _, (_, ticks) = watch.seen
    return Offered(offered, cap, seconds, segment, start, end, ticks, os.cpu_count() or 1).outcome()
