"""The bench: what it concludes from what it saw."""

import numpy as np
import pytest
from attrs import evolve

from voiceagent.cli.bench_bars import verdicts
from voiceagent.cli.bench_figures import Reading, Run, Segment
from voiceagent.cli.bench_report import as_data, outcome
from voiceagent.lab.legs import LoadResult
from voiceagent.lab.measure import Lateness, Limits

PUNCTUAL = Lateness.of(np.full(1000, 0.0005))


def load(
    calls: int = 200, *, missing: int = 0, opened: int | None = None, ended_early: int = 0, stall: float = 0.0
) -> LoadResult:
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
        own_stall=stall,
        asked=40,
        answer_delays=[0.7, 0.8],
        closed={"a": 100.0, "b": 100.5, "c": 101.001, "d": 101.002},
        rest_at=101.0,
        refused_after=[],
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
        gone={"a": 100.004, "b": 100.51, "c": 101.03, "d": 101.09, "of the warm-up": 3.0},
    )


def a_run(
    *,
    calls: int = 200,
    agent: str = "echo",
    cpu: float = 2.0,
    control_cpu: tuple[float, float] = (2.0, 2.0),
    dropped: int = 0,
    missing: int = 0,
    few_cpu: tuple[float, ...] = (),
) -> Run:
    """`cpu`, `control_cpu` and `few_cpu` in seconds of a window of 10 s; a warmed control needs half as much."""
    service = Segment(
        load(calls, missing=missing), wall_s=10.0, cpu_s=cpu, worker_cpu_s=9.0, resident=50_000_000 + calls * 20_000
    )
    return Run(
        calls=calls,
        seconds=10.0,
        agent=agent,
        service=service,
        fresh=[Segment(load(calls), wall_s=10.0, cpu_s=one) for one in control_cpu],
        warmed=[Segment(load(calls), wall_s=10.0, cpu_s=one / 2) for one in control_cpu],
        few=[Segment(load(50), wall_s=10.0, cpu_s=one) for one in few_cpu],
        start=reading(10.0),
        steady=reading(20.0),
        over=reading(30.0),
        end=reading(31.0, dropped=dropped),
        ticker=Lateness.of(np.array([0.0001] * 499 + [0.003])),
        resident_empty=50_000_000,
        answer="Turn left. Walk on. You see it." if agent == "reception" else "",
    )


def test_cpu_is_told_per_second_of_one_call() -> None:
    assert a_run(cpu=2.0).service.cpu_ms == pytest.approx(1.0)  # 2 s of CPU in 10 s of 200 calls
    assert a_run(calls=20, cpu=0.4).service.cpu_ms == pytest.approx(2.0)
    assert a_run(calls=20).service.worker_cpu_ms == pytest.approx(45.0)


def test_the_ratio_is_taken_to_the_mean_of_the_fresh_controls_and_told_for_the_warmed_ones_too() -> None:
    run = a_run(cpu=3.0, control_cpu=(1.0, 3.0))
    assert run.ratio == pytest.approx(1.5)
    assert run.warmed_ratio == pytest.approx(3.0)
    assert as_data(run)["cpu_ms_per_call_second"]["ratio_after_calls_ended"] == 3.0


def unmet(run: Run) -> list[tuple[str, bool | None, str]]:
    """Every verdict but those that are met."""
    return [(one.bar, one.met, one.seen) for one in verdicts(run) if not one.met]


def judged(run: Run) -> int:
    return len(verdicts(run))


def with_lateness(run: Run, *, service: float = 0.0005, control: float = 0.0005) -> Run:
    """The same, every frame late by so much on the wire."""

    def late(segment: Segment, seconds: float) -> Segment:
        return evolve(segment, load=evolve(segment.load, lateness=Lateness.of(np.full(1000, seconds))))

    return evolve(run, service=late(run.service, service), fresh=[late(one, control) for one in run.fresh])


def test_bars_of_200_echo_calls() -> None:
    assert judged(a_run()) == 6
    assert unmet(a_run(cpu=1.4)) == []
    seen = "0.95 x; 1.90 x when calls have ended on the control"
    assert unmet(a_run(cpu=1.9)) == [("CPU at most 0.7 x control", False, seen)]
    assert [bar for bar, *_ in unmet(a_run(cpu=2.2))] == ["CPU at most 1.0 x control", "CPU at most 0.7 x control"]
    assert unmet(a_run(cpu=1.4, dropped=1)) == [("no frame dropped", False, "1 dropped")]


def test_bars_of_500_echo_calls() -> None:
    assert judged(a_run(calls=500)) == 6
    assert unmet(a_run(calls=500, cpu=5.0, few_cpu=(0.5, 0.6))) == []
    bar = "CPU per call no more than with 50 calls"
    assert unmet(a_run(calls=500, cpu=5.0, few_cpu=(0.5, 0.4))) == [(bar, False, "1.00 and 0.90 ms")]
    assert unmet(a_run(calls=500, cpu=5.0)) == [(bar, None, "not measured")]
    seen = "1.21 ms"
    assert unmet(a_run(calls=500, cpu=6.05, few_cpu=(0.7,))) == [("CPU at most 1.2 ms per call-second", False, seen)]


def test_lateness_is_judged_only_where_the_control_is_punctual() -> None:
    run, bar = a_run(cpu=1.4), "p99 lateness under 5 ms where the control's is"
    assert unmet(with_lateness(run, service=0.006)) == [(bar, False, "6 ms, control 0.5 ms")]
    assert unmet(with_lateness(run, service=0.006, control=0.007)) == [(bar, None, "6 ms, control 7 ms")]


def test_memory_is_counted_from_before_the_first_call() -> None:
    run = a_run(cpu=1.4)
    assert run.resident_per_call == 20_000
    (found,) = unmet(evolve(run, resident_empty=50_000_000 - 200 * 50_000))
    assert found == ("memory at most 60 KB per live call", False, "68.4 KB")


def test_bars_of_20_conversations() -> None:
    run = a_run(calls=20, agent="reception", cpu=0.8)
    assert (judged(run), unmet(run)) == (3, [])
    (found,) = unmet(a_run(calls=20, agent="reception", cpu=0.9))
    assert found == ("CPU at most 4 ms per call-second", False, "4.50 ms")


def test_the_worst_lateness_of_20_calls_stands_beside_that_of_the_idle_ticker() -> None:
    rare, worst = verdicts(a_run(calls=20))[1], verdicts(with_lateness(a_run(calls=20), service=0.012))[1]
    assert (rare.met, rare.seen) == (True, "0.5 ms, max 0.5 ms; idle ticker 3 ms, max 3 ms")
    assert (worst.met, worst.seen) == (False, "12 ms, max 12 ms; idle ticker 3 ms, max 3 ms")


def test_other_loads_have_no_bars() -> None:
    assert verdicts(a_run(calls=199)) == verdicts(a_run(calls=200, agent="reception")) == []


def test_a_frame_the_service_believes_sent_but_nobody_got_is_lost() -> None:
    assert unmet(a_run(cpu=1.4, missing=2)) == [("no frame dropped", False, "2 dropped")]


def test_hang_ups_one_by_one_are_timed_each_and_those_at_once_as_a_whole() -> None:
    run = a_run(calls=500, cpu=5.0, few_cpu=(0.6,))
    assert run.release_s == [pytest.approx(0.004), pytest.approx(0.01)]
    assert run.release_all_s == pytest.approx(0.09)  # from the first hang-up to the last call gone
    late = evolve(run, end=evolve(run.end, gone={**run.end.gone, "c": 101.26}))
    assert unmet(late) == [("all hung up at once, all gone within 250 ms", False, "260 ms")]


def test_a_slow_release_of_one_call_in_a_hundred_is_seen() -> None:
    run = a_run(cpu=1.4)
    ends = {str(number): 90.0 + number * 0.02 for number in range(100)}
    took = [0.001] * 98 + [0.021] * 2
    run = evolve(run, service=evolve(run.service, load=evolve(run.service.load, closed=ends)))
    run = evolve(run, end=evolve(run.end, gone={call: at + took[int(call)] for call, at in ends.items()}))
    assert unmet(run) == [("p99 of hang-up to gone under 20 ms", False, "21 ms of 100")]


def test_a_turn_is_understood_when_its_reply_is_part_of_the_answer() -> None:
    run = a_run(calls=20, agent="reception")
    assert run.understood_share == pytest.approx(2 / 3)
    assert run.speech_share == pytest.approx(0.8)
    assert as_data(run)["conversation"]["recognition_lag_ms"] == {
        "p50": 100.0,
        "p95": 300.0,
        "p99": 300.0,
        "max": 300.0,
    }


def test_a_run_in_which_calls_failed_is_no_run() -> None:
    run = a_run()
    assert run.failures() == []
    refused = evolve(run, service=evolve(run.service, load=load(opened=190)))
    assert refused.failures() == ["service: only 190 of 200 calls could connect"]
    ended = evolve(run, fresh=[run.fresh[0], evolve(run.fresh[1], load=load(ended_early=3))])
    assert ended.failures() == ["control: 3 calls ended early"]
    assert evolve(run, end=reading(41.0, live=2)).failures() == ["service: 2 calls are still there 11 s later"]


@pytest.mark.parametrize("stalled", ["generator", "control"])
def test_calls_that_ended_while_the_machine_stood_still_are_noise(stalled: str) -> None:
    run, told = a_run(), "control: 3 calls ended early, but the machine stood still for 2.5 s as well"
    seen = load(ended_early=3, stall=2.5) if stalled == "generator" else load(ended_early=3)
    if stalled == "control":
        seen = evolve(seen, lateness=Lateness.of(np.array([0.0005] * 999 + [2.5])))
    run = evolve(run, fresh=[run.fresh[0], evolve(run.fresh[1], load=seen)])
    assert (run.failures(), run.noise(Limits())) == ([], [told])


def test_the_service_answers_for_calls_that_ended_early_unless_others_stood_still() -> None:
    run = a_run()
    run = evolve(run, service=evolve(run.service, load=load(ended_early=2, stall=1.9)))
    late = evolve(run.service.load, lateness=Lateness.of(np.array([9.0])))  # that is what is under test
    run = evolve(run, service=evolve(run.service, load=late))
    assert (run.failures(), run.noise(Limits())) == (["service: 2 calls ended early"], [])
    stalled = evolve(run, ticker=Lateness.of(np.array([0.0001, 2.1])))
    assert stalled.failures() == []
    assert stalled.noise(Limits()) == ["service: 2 calls ended early, but the machine stood still for 2.1 s as well"]


def test_hang_ups_before_the_service_knew_the_calls_make_a_run_worthless() -> None:
    run = a_run()
    run = evolve(run, end=evolve(run.end, gone={"a": 100.004}))
    assert run.noise(Limits()) == ["3 calls were hung up before the service had read who they are"]
    assert (len(run.release_s), run.release_all_s) == (1, 0.0)


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
    told = outcome(with_lateness(a_run(cpu=2.2), control=0.007)).as_text().splitlines()
    assert told[0] == "200 calls, agent echo, 10 s"
    seen = "1.10 x; 2.20 x when calls have ended on the control"
    assert told[-7:] == [
        "",
        "met      no frame dropped (0 dropped)",
        f"NOT MET  CPU at most 1.0 x control ({seen})",
        f"NOT MET  CPU at most 0.7 x control ({seen})",
        "open     p99 lateness under 5 ms where the control's is (0.5 ms, control 7 ms)",
        "met      p99 of hang-up to gone under 20 ms (10 ms of 2)",
        "met      memory at most 60 KB per live call (19.5 KB)",
    ]


def test_what_must_not_be_believed_is_told_without_verdicts() -> None:
    told = outcome(a_run(control_cpu=(2.0, 4.0)))
    assert "verdicts" not in told.unbelieved_data(5)
    lines = told.unbelieved_text(5).splitlines()
    assert lines[0].startswith("not measured: the machine was too noisy 5 times; at last, the control cost 1.00 and")
    assert lines[3] == "200 calls, agent echo, 10 s"
    assert not any("met" in line for line in lines[3:])
