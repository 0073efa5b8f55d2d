"""A bench run as text and as data. Pure."""

from typing import Any

from voiceagent.cli.bench_figures import SHARES, Run, listed_ms, told_ms


def as_data(run: Run) -> dict[str, Any]:
    """Everything measured; times in milliseconds, where the name does not say otherwise."""
    load, steady, over = run.service.load, run.steady, run.over
    data: dict[str, Any] = {
        "measured": True,
        "calls": run.calls,
        "seconds": run.seconds,
        "agent": run.agent,
        "cpu_ms_per_call_second": {
            "service": round(run.service.cpu_ms, 3),
            "control": round(run.control_cpu_ms, 3),
            "control_halves": [round(one.cpu_ms, 3) for one in run.controls],
            "ratio": round(run.ratio, 3),
            "workers": round(run.service.worker_cpu_ms, 3),
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
            "generator_beside_service": told_ms(load.own_lateness),
            "generator_beside_control": [told_ms(one.load.own_lateness) for one in run.controls],
        },
        "loop_lag_ms": told_ms(over.loop_lag.since(steady.loop_lag)),
        "gc": {
            "pauses": over.gc_pauses - steady.gc_pauses,
            "total_ms": round((over.gc_seconds - steady.gc_seconds) * 1000, 3),
            "worst_ms": round(over.gc_worst * 1000, 3),
        },
        "resident_kb_per_call": round((run.service.resident - run.service.resident_before) / 1024 / run.calls, 1),
        "queue_peaks": dict(over.peaks),
        "hang_up_to_gone_ms": listed_ms(run.release_s),
        "calls_gone": len(run.release_s),
        "tasks": {"before": run.start.tasks, "during": over.tasks, "after": run.end.tasks},
        "verdicts": [{"bar": one.bar, "met": one.met, "seen": one.seen} for one in run.verdicts()],
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


def as_text(run: Run) -> str:
    """The same for people."""
    data = as_data(run)
    lines = [f"{run.calls} calls, agent {run.agent}, {run.seconds:g} s", "", *_costs(data), "", *_latenesses(data), ""]
    lines += _residues(data)
    if "conversation" in data:
        lines += ["", *_talk(data["conversation"])]
    if data["verdicts"]:
        lines.append("")
    lines += [f"{'met' if one['met'] else 'NOT MET':8} {one['bar']} ({one['seen']})" for one in data["verdicts"]]
    return "\n".join(lines)


def _costs(data: dict[str, Any]) -> list[str]:
    cpu, frames, wire = data["cpu_ms_per_call_second"], data["frames"], data["frames_on_the_wire"]
    return [
        _line("CPU-ms per call-second", f"service {cpu['service']:.2f}, control {cpu['control']:.2f}"),
        _line("  ratio", f"{cpu['ratio']:.2f}"),
        _line("  workers of the service", f"{cpu['workers']:.2f}"),
        _line("  other programs", f"{data['other_programs_cores']:.2f} cores"),
        _line("frames, own count", f"due {frames['due']}, sent {frames['sent']}, dropped {frames['dropped']}"),
        _line("  whole calls", f"dropped {frames['dropped_whole_calls']}"),
        _line("frames on the wire", f"to callers {wire['received_by_callers']}, from them {wire['sent_by_callers']}"),
        _line("  whole calls", f"due {wire['due_whole_calls']}, missing {wire['missing_whole_calls']}"),
        _line("  calls ended early", f"{wire['calls_ended_early']}"),
        _line("  widest gap", f"{wire['widest_gap_ms']:.1f} ms"),
    ]


def _latenesses(data: dict[str, Any]) -> list[str]:
    late = data["lateness_ms"]
    rows = {
        "  service, own clock": late["service_own_clock"],
        "  service, on the wire": late["service_on_the_wire"],
        "  control, on the wire": late["control_on_the_wire"],
        "  generator": late["generator_beside_service"],
        "  service's event loop": data["loop_lag_ms"],
    }
    titles = " ".join(f"{name:>8}" for name in SHARES)
    values = [_line(name, " ".join(f"{value:8.2f}" for value in row.values())) for name, row in rows.items()]
    return [_line("lateness in ms", titles), *values]


def _residues(data: dict[str, Any]) -> list[str]:
    gc, tasks = data["gc"], data["tasks"]
    pauses = f"{gc['pauses']} pauses, {gc['total_ms']:.1f} ms in all, worst {gc['worst_ms']:.1f} ms"
    return [
        _line("garbage collection", pauses),
        _line("memory per call", f"{data['resident_kb_per_call']:.0f} KB"),
        *(_line("longest queue", f"{peak:.0f} of {name}") for name, peak in data["queue_peaks"].items()),
        _line("hang-up to call gone", f"{_spread(data['hang_up_to_gone_ms'])} ({data['calls_gone']} calls)"),
        _line("tasks", f"{tasks['before']} before, {tasks['during']} during, {tasks['after']} after"),
    ]


def _talk(talk: dict[str, Any]) -> list[str]:
    return [
        _line("agents spoke", f"{talk['speech_share']:.0%} of the frames"),
        _line("questions", f"{talk['questions_asked']} asked, {talk['turns_recognised']} recognised"),
        _line("answers", f"{talk['turns_answered']}, {talk['understood_share']:.0%} of them to the question"),
        _line("recognition lag", _spread(talk["recognition_lag_ms"])),
        _line("question end to answer", _spread(talk["question_end_to_answer_ms"])),
    ]


def _line(name: str, text: str) -> str:
    return f"{name:24} {text}"


def _spread(values: dict[str, float]) -> str:
    return ", ".join(f"{name} {value:.1f} ms" for name, value in values.items())
