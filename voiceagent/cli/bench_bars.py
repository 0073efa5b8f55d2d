"""The quality bars: what a run must show, and whether it did. Pure."""

from typing import Final

from voiceagent.cli.bench_figures import FEW_CALLS, Run
from voiceagent.cli.bench_outcome import Verdict
from voiceagent.lab.measure import percentile

#: Lateness is judged only where the control kept this as well.
_P99_S: Final = 0.005
_P999_S: Final = 0.010
_RATIO: Final = 0.7
_MANY_CPU_MS: Final = 1.2
_TALKING_CPU_MS: Final = 4.0
_RELEASE_P99_S: Final = 0.020
_RELEASE_ALL_S: Final = 0.250
_CALL_BYTES: Final = 60 * 1024


def verdicts(run: Run) -> list[Verdict]:
    """The bars that speak of this very load."""
    match run.agent, run.calls:
        case "echo", 200:
            return [_dropped(run), *_ratios(run), _punctual(run), _released(run), _small(run)]
        case "echo", 500:
            return [_dropped(run), *_costs(run), _punctual(run), _all_released(run), _small(run)]
        case "echo", 20:
            late = run.service.load.lateness
            return [_dropped(run), _rarely_late(run, late.percentile(0.999), late.worst)]
        case "reception", 20:
            # Its recognisers keep the generator waiting too: what that notes as late may be its own lateness.
            late = run.over.lateness.since(run.steady.lateness)
            spent = run.service.cpu_ms
            cost = Verdict(
                f"CPU at most {_TALKING_CPU_MS:g} ms per call-second", spent <= _TALKING_CPU_MS, f"{spent:.2f} ms"
            )
            return [_dropped(run), cost, _rarely_late(run, late.percentile(0.999), late.worst)]
        case _:
            return []


def _dropped(run: Run) -> Verdict:
    return Verdict("no frame dropped", run.lost == 0, f"{run.lost} dropped")


def _ratios(run: Run) -> list[Verdict]:
    seen = f"{run.ratio:.2f} x; {run.warmed_ratio:.2f} x when calls have ended on the control"
    return [Verdict(f"CPU at most {most:.1f} x control", run.ratio <= most, seen) for most in (1.0, _RATIO)]


def _costs(run: Run) -> list[Verdict]:
    spent, few = run.service.cpu_ms, run.few_cpu_ms
    return [
        Verdict(f"CPU at most {_MANY_CPU_MS:g} ms per call-second", spent <= _MANY_CPU_MS, f"{spent:.2f} ms"),
        Verdict(
            f"CPU per call no more than with {FEW_CALLS} calls",
            spent <= few if run.few else None,
            f"{spent:.2f} and {few:.2f} ms" if run.few else "not measured",
        ),
    ]


def _punctual(run: Run) -> Verdict:
    service, control = run.service.load.lateness.percentile(0.99), run.control_lateness.percentile(0.99)
    return Verdict(
        f"p99 lateness under {_ms(_P99_S)} where the control's is",
        service < _P99_S if control < _P99_S else None,
        f"{_ms(service)}, control {_ms(control)}",
    )


def _rarely_late(run: Run, p999: float, worst: float) -> Verdict:
    idle = run.ticker
    seen = f"{_ms(p999)}, max {_ms(worst)}; idle ticker {_ms(idle.percentile(0.999))}, max {_ms(idle.worst)}"
    return Verdict(f"p99.9 lateness under {_ms(_P999_S)}", p999 < _P999_S, seen)


def _released(run: Run) -> Verdict:
    p99 = percentile(run.release_s, 0.99)
    seen = f"{_ms(p99)} of {len(run.release_s)}"
    return Verdict(f"p99 of hang-up to gone under {_ms(_RELEASE_P99_S)}", p99 < _RELEASE_P99_S, seen)


def _all_released(run: Run) -> Verdict:
    seen = run.release_all_s
    return Verdict(f"all hung up at once, all gone within {_ms(_RELEASE_ALL_S)}", seen < _RELEASE_ALL_S, _ms(seen))


def _small(run: Run) -> Verdict:
    used = run.resident_per_call
    return Verdict(f"memory at most {_CALL_BYTES >> 10} KB per live call", used <= _CALL_BYTES, f"{used / 1024:.1f} KB")


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.3g} ms"
