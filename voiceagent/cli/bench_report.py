"""A bench run as text and as data. Pure."""

from typing import Any

from voiceagent.cli.bench_bars import verdicts
from voiceagent.cli.bench_figures import FEW_CALLS, SHARES, Run, listed_ms, told_ms
from voiceagent.cli.bench_outcome import Outcome, line, spread
from voiceagent.lab.measure import Limits


def outcome(run: Run) -> Outcome:
    """All that is to be told of a run."""
    data = as_data(run)
    return Outcome(run.failures(), run.noise(Limits()), data, _lines(run, data), verdicts(run))


def as_data(run: Run) -> dict[str, Any]:
    """Everything measured; times in milliseconds, where the name does not say otherwise."""
    load, steady, over = run.service.load, run.steady, run.over
    data: dict[str, Any] = {
        "calls": run.calls,
        "seconds": run.seconds,
        "agent": run.agent,
        "cpu_ms_per_call_second": {
            "service": round(run.service.cpu_ms, 3),
            "control": round(run.control_cpu_ms, 3),
            "control_halves": [round(one.cpu_ms, 3) for one in run.fresh],
            "ratio": round(run.ratio, 3),
            "control_after_calls_ended": round(run.warmed_cpu_ms, 3),
            "control_after_calls_ended_halves": [round(one.cpu_ms, 3) for one in run.warmed],
            "ratio_after_calls_ended": round(run.warmed_ratio, 3),
            "workers": round(run.service.worker_cpu_ms, 3),
            f"service_{FEW_CALLS}_calls_halves": [round(one.cpu_ms, 3) for one in run.few],
        },
        "other_programs_cores": round(run.service.others_cpu_s / run.service.wall_s, 2),
        "frames": {
            "due": over.due - steady.due,
            "sent": over.sent - steady.sent,
            "dropped": over.dropped - steady.dropped,
            "dropped_whole_calls": run.end.dropped - run.start.dropped,
        },
        "frames_on_the_wire": {
            "sent_by_callers": load.sent,
            "received_by_callers": load.received,
            "due_whole_calls": load.due,
            "missing_whole_calls": load.missing,
            "calls_ended_early": load.ended_early,
            "widest_gap_ms": round(load.widest_gap * 1000, 3),
        },
        "lateness_ms": {
            "service_own_clock": told_ms(over.lateness.since(steady.lateness)),
            "service_on_the_wire": told_ms(load.lateness),
            "control_on_the_wire": told_ms(run.control_lateness),
            "idle_ticker": told_ms(run.ticker),
            "generator_beside_service": told_ms(load.own_lateness),
            "generator_beside_control": [told_ms(one.load.own_lateness) for one in run.fresh],
        },
        "loop_lag_ms": told_ms(over.loop_lag.since(steady.loop_lag)),
        "gc": {
            "pauses": over.gc_pauses - steady.gc_pauses,
            "total_ms": round((over.gc_seconds - steady.gc_seconds) * 1000, 3),
            "worst_ms": round(over.gc_worst * 1000, 3),
        },
        "resident_kb_per_call": round(run.resident_per_call / 1024, 1),
        "queue_peaks": dict(over.peaks),
        "hang_up_to_gone_ms": listed_ms(run.release_s),
        "hung_up_one_by_one": len(run.release_s),
        "hung_up_at_once_to_all_gone_ms": round(run.release_all_s * 1000, 3),
        "hung_up_at_once": len(load.closed) - len(run.release_s),
        "tasks": {"before": run.start.tasks, "during": over.tasks, "after": run.end.tasks},
    }
    if run.answer:
        data["conversation"] = {
            "speech_share": round(run.speech_share, 3),
            "questions_asked": load.asked,
            "turns_recognised": len(run.end.lags),
            "turns_answered": len(run.end.replies),
            "understood_share": round(run.understood_share, 3),
            "recognition_lag_ms": listed_ms(run.end.lags),
            "question_end_to_answer_ms": listed_ms(load.answer_delays),
            "events": dict(run.end.events),
        }
    return data


def _lines(run: Run, data: dict[str, Any]) -> list[str]:
    lines = [f"{run.calls} calls, agent {run.agent}, {run.seconds:g} s", "", *_costs(data), "", *_latenesses(data), ""]
    lines += _residues(data)
    if "conversation" in data:
        lines += ["", *_talk(data["conversation"])]
    return lines


def _costs(data: dict[str, Any]) -> list[str]:
    cpu, frames, wire = data["cpu_ms_per_call_second"], data["frames"], data["frames_on_the_wire"]
    return [
        line("CPU-ms per call-second", f"service {cpu['service']:.2f}, control {cpu['control']:.2f}"),
        line("  ratio", f"{cpu['ratio']:.2f}"),
        # glibc gives asyncio's 256 KB read buffer back at each read, until one has been freed whole: at the first EOF.
        line(
            "  once calls have ended",
            f"control {cpu['control_after_calls_ended']:.2f} (its read buffers are kept), "
            f"ratio {cpu['ratio_after_calls_ended']:.2f}",
        ),
        line("  workers of the service", f"{cpu['workers']:.2f}"),
        *(line(f"  service, {FEW_CALLS} calls", f"{value:.2f}") for value in cpu[f"service_{FEW_CALLS}_calls_halves"]),
        line("  other programs", f"{data['other_programs_cores']:.2f} cores"),
        line("frames, own count", f"due {frames['due']}, sent {frames['sent']}, dropped {frames['dropped']}"),
        line("  whole calls", f"dropped {frames['dropped_whole_calls']}"),
        line("frames on the wire", f"to callers {wire['received_by_callers']}, from them {wire['sent_by_callers']}"),
        line("  whole calls", f"due {wire['due_whole_calls']}, missing {wire['missing_whole_calls']}"),
        line("  calls ended early", f"{wire['calls_ended_early']}"),
        line("  widest gap", f"{wire['widest_gap_ms']:.1f} ms"),
    ]


def _latenesses(data: dict[str, Any]) -> list[str]:
    late = data["lateness_ms"]
    rows = {
        "  service, own clock": late["service_own_clock"],
        "  service, on the wire": late["service_on_the_wire"],
        "  control, on the wire": late["control_on_the_wire"],
        "  idle ticker": late["idle_ticker"],
        "  generator": late["generator_beside_service"],
        "  service's event loop": data["loop_lag_ms"],
    }
    titles = " ".join(f"{name:>8}" for name in SHARES)
    values = [line(name, " ".join(f"{value:8.2f}" for value in row.values())) for name, row in rows.items()]
    return [line("lateness in ms", titles), *values]


def _residues(data: dict[str, Any]) -> list[str]:
    gc, tasks = data["gc"], data["tasks"]
    pauses = f"{gc['pauses']} pauses, {gc['total_ms']:.1f} ms in all, worst {gc['worst_ms']:.1f} ms"
    return [
        line("garbage collection", pauses),
        line("memory per call", f"{data['resident_kb_per_call']:.0f} KB"),
        *(line("longest queue", f"{peak:.0f} of {name}") for name, peak in data["queue_peaks"].items()),
        line("hang-up to call gone", f"{spread(data['hang_up_to_gone_ms'])} ({data['hung_up_one_by_one']} calls)"),
        line(
            "  at once, to all gone",
            f"{data['hung_up_at_once_to_all_gone_ms']:.1f} ms ({data['hung_up_at_once']} calls)",
        ),
        line("tasks", f"{tasks['before']} before, {tasks['during']} during, {tasks['after']} after"),
    ]


def _talk(talk: dict[str, Any]) -> list[str]:
    return [
        line("agents spoke", f"{talk['speech_share']:.0%} of the frames"),
        line("questions", f"{talk['questions_asked']} asked, {talk['turns_recognised']} recognised"),
        line("answers", f"{talk['turns_answered']}, {talk['understood_share']:.0%} of them to the question"),
        line("recognition lag", spread(talk["recognition_lag_ms"])),
        line("question end to answer", spread(talk["question_end_to_answer_ms"])),
    ]
