"""The bench: what it concludes from what it saw, and one small run of the real thing."""

import argparse
import json

import numpy as np
import pytest
from attrs import evolve

from voiceagent.cli import main
from voiceagent.cli.bench import Plan, attempt, run
from voiceagent.cli.bench_child import BenchError, open_child
from voiceagent.cli.bench_figures import Reading, Run, Segment
from voiceagent.cli.bench_report import as_data, as_text
from voiceagent.lab.legs import LoadResult
from voiceagent.lab.measure import Lateness, Limits

PUNCTUAL = Lateness.of(np.full(1000, 0.0005))


def load(calls: int = 200, *, missing: int = 0, opened: int | None = None, ended_early: int = 0) -> LoadResult:
    return LoadResult(
        opened=calls if opened is None else opened,
        ended_early=ended_early,
        call_seconds=calls * 10.0,
        sent=calls * 500,
        received=calls * 500,
        loud=calls * 400,
        due=calls * 600,
        missing=missing,
        lateness=PUNCTUAL,
        widest_gap=0.021,
        own_lateness=PUNCTUAL,
        asked=40,
        answer_delays=[0.7, 0.8],
        closed={"a": 100.0, "b": 100.5},
    )


def reading(at: float, *, dropped: int = 0, live: int = 0) -> Reading:
    return Reading(
        at=at,
        due=round(at) * 10_000,
        sent=round(at) * 10_000 - dropped,
        dropped=dropped,
        lateness=PUNCTUAL,
        loop_lag=PUNCTUAL,
        gc_pauses=0,
        gc_seconds=0.0,
        gc_worst=0.0,
        tasks=6,
        live=live,
        lags=[0.1, 0.3],
        replies=["Turn left.", "Sorry?", "Walk on. "],
        gone={"a": 100.004, "b": 100.51, "of the warm-up": 3.0},
    )


def a_run(
    *,
    calls: int = 200,
    agent: str = "echo",
    cpu: float = 2.0,
    control_cpu: tuple[float, float] = (2.0, 2.0),
    dropped: int = 0,
    missing: int = 0,
) -> Run:
    """`cpu` and `control_cpu` in seconds of a window of 10 s."""
    service = Segment(load(calls, missing=missing), wall_s=10.0, cpu_s=cpu, worker_cpu_s=9.0)
    return Run(
        calls=calls,
        seconds=10.0,
        agent=agent,
        service=service,
        controls=[Segment(load(calls), wall_s=10.0, cpu_s=one) for one in control_cpu],
        start=reading(10.0),
        steady=reading(20.0),
        over=reading(30.0),
        end=reading(31.0, dropped=dropped),
        answer="Turn left. Walk on. You see it." if agent == "reception" else "",
    )


def test_cpu_is_told_per_second_of_one_call() -> None:
    assert a_run(cpu=2.0).service.cpu_ms == pytest.approx(1.0)  # 2 s of CPU in 10 s of 200 calls
    assert a_run(calls=20, cpu=0.4).service.cpu_ms == pytest.approx(2.0)
    assert a_run(calls=20).service.worker_cpu_ms == pytest.approx(45.0)


def test_the_ratio_is_taken_to_the_mean_of_the_control_halves() -> None:
    assert a_run(cpu=3.0, control_cpu=(1.0, 3.0)).ratio == pytest.approx(1.5)


def verdicts(run: Run) -> list[tuple[bool, str]]:
    return [(one.met, one.seen) for one in run.verdicts()]


def test_bars_of_200_echo_calls() -> None:
    assert verdicts(a_run(cpu=1.9)) == [(True, "0 dropped"), (True, "0.95 x")]
    assert verdicts(a_run(cpu=2.2)) == [(True, "0 dropped"), (False, "1.10 x")]
    assert verdicts(a_run(dropped=1)) == [(False, "1 dropped"), (True, "1.00 x")]


def test_bars_of_20_conversations() -> None:
    assert verdicts(a_run(calls=20, agent="reception", cpu=0.8)) == [(True, "0 dropped"), (True, "4.00 ms")]
    assert verdicts(a_run(calls=20, agent="reception", cpu=0.9)) == [(True, "0 dropped"), (False, "4.50 ms")]


def test_other_loads_have_no_bars() -> None:
    assert verdicts(a_run(calls=199)) == verdicts(a_run(calls=200, agent="reception")) == []


def test_a_frame_the_service_believes_sent_but_nobody_got_is_lost() -> None:
    assert verdicts(a_run(missing=2))[0] == (False, "2 dropped")


def test_hang_ups_are_timed_for_the_calls_of_the_load_only() -> None:
    assert a_run().release_s == [pytest.approx(0.004), pytest.approx(0.01)]


def test_a_turn_is_understood_when_its_reply_is_part_of_the_answer() -> None:
    run = a_run(calls=20, agent="reception")
    assert run.understood_share == pytest.approx(2 / 3)
    assert run.speech_share == pytest.approx(0.8)
    assert as_data(run)["conversation"]["recognition_lag_ms"] == {"p50": 100.0, "p95": 300.0, "max": 300.0}


def test_a_run_in_which_calls_failed_is_no_run() -> None:
    run = a_run()
    assert run.failures() == []
    refused = evolve(run, service=evolve(run.service, load=load(opened=190)))
    assert refused.failures() == ["service: only 190 of 200 calls could connect"]
    ended = evolve(run, controls=[run.controls[0], evolve(run.controls[1], load=load(ended_early=3))])
    assert ended.failures() == ["control: 3 calls ended early"]
    assert evolve(run, end=reading(41.0, live=2)).failures() == ["service: 2 calls are still there 11 s later"]


def test_a_receptionist_may_end_calls() -> None:
    run = a_run(calls=20, agent="reception")
    ended = evolve(run, service=evolve(run.service, load=load(20, ended_early=3)))
    assert ended.failures() == []


def test_busy_recognisers_are_not_held_against_the_machine() -> None:
    late = Lateness.of(np.full(1000, 0.05))
    for agent, believed in (("echo", False), ("reception", True)):
        run = a_run(agent=agent)
        run = evolve(run, service=evolve(run.service, load=evolve(run.service.load, own_lateness=late)))
        assert (run.noise(Limits()) == []) is believed


def test_few_calls_are_not_judged_by_what_the_control_cost() -> None:
    halves = (2.0, 4.0)
    assert a_run(calls=5, control_cpu=halves).noise(Limits()) == []
    assert len(a_run(calls=200, control_cpu=halves).noise(Limits())) == 1


def test_the_text_names_each_bar_with_its_verdict() -> None:
    lines = as_text(a_run(cpu=2.2, dropped=0)).splitlines()
    assert lines[0] == "200 calls, agent echo, 10 s"
    assert lines[-2:] == ["met      no frame dropped (0 dropped)", "NOT MET  CPU at most 1.0 x control (1.10 x)"]


@pytest.mark.parametrize(
    "wrong", [["--calls", "0"], ["--calls", "901"], ["--seconds", "0.5"], ["--seconds", "121"], ["--agent", "x"]]
)
def test_loads_beyond_the_bounds_are_refused(wrong: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["bench", *wrong])
    assert ended.value.code == 2
    assert wrong[0] in capsys.readouterr().err


def test_a_wrong_setting_is_told_before_anything_starts(capsys: pytest.CaptureFixture[str]) -> None:
    args = argparse.Namespace(calls=4, seconds=1.0, agent="echo", set=["service.max_cals=3"], json=False)
    assert run(args) == 1
    assert "service.max_cals" in capsys.readouterr().err


async def test_a_child_that_ends_is_an_error_and_not_a_wait() -> None:
    async with open_child("the child", "voiceagent.lab.measure") as child:  # says nothing and ends
        with pytest.raises(BenchError, match="the child has ended"):
            await child.hear(30.0)


async def test_a_small_run_adds_up() -> None:
    run = await attempt(Plan(calls=4, seconds=1.0, agent="echo"), "test")
    assert run.failures() == []
    end, start = run.end, run.start
    # At the hang-up a frame may be due on a connection that is gone: it counts as due and as nothing else.
    assert 0 <= (end.due - start.due) - (end.sent - start.sent) - (end.dropped - start.dropped) <= 4
    for segment in (run.service, *run.controls):
        assert segment.load.opened == len(segment.load.closed) == 4
        assert segment.load.received == segment.load.lateness.total
        # What comes back is the callers' own tone; on a stalled machine frames come late or never, but not all of them.
        assert 0 < segment.load.loud <= segment.load.received
        assert 0.5 < segment.load.received / segment.load.sent < 2
        assert segment.cpu_s > 0
    # What the service dropped is missing on the wire, and nothing else; per call, two frames may be late at the end.
    assert abs(run.service.load.missing - (end.dropped - start.dropped)) <= 2 * 4
    assert len(run.release_s) == 4
    assert min(run.release_s) >= 0
    assert (run.over.live, run.end.live) == (4, 0)
    assert run.end.tasks == run.start.tasks < run.over.tasks
    assert json.loads(json.dumps(as_data(run)))["calls"] == 4
    assert "tasks" in as_text(run)
