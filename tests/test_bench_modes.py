"""The other benches: many short calls, calls past the cap, and the idle ticker; what they conclude, and small runs."""

import json

import numpy as np
import pytest
from attrs import evolve

from tests.serving import REAL_TIME
from voiceagent.cli import bench_churn, bench_offer
from voiceagent.cli.bench_churn import Churned, Look
from voiceagent.cli.bench_figures import Reading, Segment
from voiceagent.cli.bench_offer import Offered
from voiceagent.lab.churn import Churn, ChurnResult, ChurnSpec
from voiceagent.lab.legs import LoadResult
from voiceagent.lab.measure import Lateness, Limits
from voiceagent.lab.ticker import tick

pytestmark = REAL_TIME

PUNCTUAL = Lateness.of(np.full(1000, 0.0005))


def reading(at: float, *, dropped: int = 0, tasks: int = 6, ended: int = 0, live: int = 0) -> Reading:
    return Reading(
        at=at,
        due=0,
        sent=0,
        dropped=dropped,
        lateness=PUNCTUAL,
        loop_lag=PUNCTUAL,
        gc_pauses=0,
        gc_seconds=0.0,
        gc_worst=0.0,
        tasks=tasks,
        live=live,
        events={"CallEnded": ended},
    )


# Many short calls ----------------------------------------------------------------------------------------------------


def churned(
    *, grown: int = 0, tasks: int = 6, live: int = 0, left: tuple[str, ...] = (), completed: int = 100
) -> Churned:
    """A hundred calls, after which the service holds `grown` bytes more."""
    return Churned(
        calls=100,
        at_once=10,
        result=ChurnResult(
            completed, {} if completed == 100 else {"TooSlowError": 100 - completed}, [0.01] * completed
        ),
        before=Look(reading(10.0, ended=1000), resident=50_000_000, cpu_s=1.0),
        after=Look(reading(20.0, ended=1100, tasks=tasks, live=live), resident=50_000_000 + grown, cpu_s=1.1),
        left=left,
    )


def met(run: Churned | Offered) -> list[bool | None]:
    return [one.met for one in run.verdicts()]


def test_memory_may_grow_by_a_kilobyte_for_each_call() -> None:
    assert met(churned(grown=102_400)) == [True, True]
    assert met(churned(grown=102_500)) == [False, True]
    assert met(churned(grown=-4096)) == [True, True]


def test_whatever_is_left_after_the_calls_is_told_by_name() -> None:
    assert met(churned(tasks=7)) == met(churned(live=1)) == [True, False]
    run = churned(left=("descriptor: 9 socket:[4711] tcp 127.0.0.1:9092 -> 127.0.0.1:5555",))
    assert met(run) == [True, False]
    assert "descriptor: 9 socket:[4711]" in run.outcome().as_text()


def test_calls_that_went_wrong_prove_nothing() -> None:
    assert churned().failures() == []
    assert churned(completed=98).failures() == ["only 98 of 100 calls went well: {'TooSlowError': 2}"]
    run = churned()
    uncounted = evolve(run, after=evolve(run.after, reading=reading(20.0, ended=1099)))
    assert uncounted.failures() == ["the service says that 99 of 100 calls ended"]


async def test_calls_nobody_answers_are_counted_by_what_befell_them() -> None:
    churn = Churn(ChurnSpec("127.0.0.1", 1, calls=3, at_once=2))  # nothing listens on port 1
    result = await churn.run()
    what = "all attempts to connect to 127.0.0.1:1 failed"
    assert (result.completed, result.failures, result.close_s) == (0, {what: 3}, [])


async def test_a_small_churn_leaves_nothing() -> None:
    outcome = await bench_churn.attempt(30, 10, [], "test", warm_up_calls=20)
    assert outcome.failures == []
    assert outcome.verdicts[1].met  # so few calls say nothing of memory
    data = json.loads(json.dumps(outcome.as_data()))
    assert (data["calls"], data["left"], data["tasks"]["before"]) == (30, [], data["tasks"]["after"])


# Past the cap --------------------------------------------------------------------------------------------------------


def offered(
    refused_after: tuple[float, ...] = (0.002, 0.003), *, ended_early: int = 2, missing: int = 0, dropped: int = 0
) -> Offered:
    """Six calls for a service of four."""
    load = LoadResult(
        opened=6,
        ended_early=ended_early,
        call_seconds=40.0,
        sent=2000,
        received=2000,
        loud=2000,
        due=2400,
        missing=missing,
        lateness=PUNCTUAL,
        widest_gap=0.021,
        own_lateness=PUNCTUAL,
        own_stall=0.0,
        asked=0,
        answer_delays=[],
        closed={},
        rest_at=31.0,
        refused_after=refused_after,
    )
    service = Segment(load, wall_s=10.0, cpu_s=0.1)
    return Offered(6, 4, 10.0, service, reading(10.0), reading(31.0, dropped=dropped), PUNCTUAL)


def test_exactly_those_past_the_cap_are_closed() -> None:
    assert met(offered()) == [True, True, True]
    assert met(offered((0.002,), ended_early=1)) == [False, True, True]
    assert met(offered((0.002, 0.003, 0.004), ended_early=3)) == [False, True, True]
    assert met(offered(ended_early=3)) == [False, True, True]  # one of the four has ended as well


def test_those_past_the_cap_are_closed_at_once() -> None:
    assert met(offered((0.002, 0.101))) == [True, False, True]


def test_those_past_the_cap_cost_the_others_nothing() -> None:
    assert met(offered(missing=1)) == met(offered(dropped=1)) == [True, True, False]


def test_a_stalled_machine_is_no_witness_against_the_cap() -> None:
    stalled = Lateness.of(np.array([0.0005] * 999 + [0.060]))
    run = offered(missing=1)
    assert run.noise(Limits()) == []
    (reason,) = evolve(run, ticker=stalled).noise(Limits())
    assert reason == "frames were lost, but the generator or the control was stalled 60 ms as well"
    run = evolve(offered(ended_early=3), ticker=Lateness.of(np.array([0.0005] * 999 + [2.5])))
    assert run.noise(Limits()) == ["3 calls ended early, but the machine stood still for 2.5 s as well"]
    assert offered(ended_early=3).noise(Limits()) == []


async def test_a_small_offer_past_the_cap() -> None:
    outcome = await bench_offer.attempt(6, 4, 0.5, [], "test")
    assert outcome.failures == []
    assert outcome.verdicts[0].met
    assert json.loads(json.dumps(outcome.as_data()))["refused"] == 2


# The idle ticker -----------------------------------------------------------------------------------------------------


def ticked(late_s: list[float], asked_at: set[int]) -> tuple[list[Lateness], float]:
    """What a ticker answers that is woken so late each time and asked before these ticks, and how long it took."""
    now, answers = 1000.0, list[Lateness]()
    wakes = iter(late_s)

    def sleep(seconds: float) -> None:
        nonlocal now
        now += seconds + next(wakes)

    orders = iter(["?\n" if number in asked_at else None for number in range(len(late_s))])
    tick(
        lambda: next(orders, ""),
        lambda told: answers.append(Lateness(**told)),  # type: ignore[arg-type]
        clock=lambda: now,
        sleep=sleep,
    )
    return answers, now - 1000.0


def test_the_ticker_notes_how_late_it_wakes_on_a_grid_that_never_drifts() -> None:
    (told,), took = ticked([0.0011, 0.0011, 0.005, 0.0011, 0.0], asked_at={4})
    assert told.total == 4
    assert told.worst == pytest.approx(0.005)
    assert told.percentile(0.75) == pytest.approx(0.00125)
    assert took == pytest.approx(5 * 0.02)


def test_each_answer_of_the_ticker_is_about_the_time_since_the_last() -> None:
    (first, second), _ = ticked([0.009, 0.001, 0.002, 0.001], asked_at={1, 3})
    assert (first.total, second.total) == (1, 2)
    assert second.worst == pytest.approx(0.002)


def test_a_ticker_that_overslept_goes_on_with_the_next_tick_of_its_grid() -> None:
    (first, second), took = ticked([0.065, 0.001, 0.0], asked_at={1, 2})
    assert first.worst == pytest.approx(0.065)
    assert second.worst == pytest.approx(0.001)
    assert took == pytest.approx(0.02 * 6)  # 0.085, 0.1, 0.12
