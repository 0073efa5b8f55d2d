"""The arithmetic behind the bench: it must say late when frames are late, lost when they are lost."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from voiceagent.lab.measure import (
    BUCKETS,
    Lateness,
    Limits,
    Noise,
    bucket_of,
    due_frames,
    grid_lateness,
    missing_frames,
    percentile,
)

FRAME = 0.02


def stream(count: int, *, start: float = 100.0) -> NDArray[np.float64]:
    return np.asarray(start + np.arange(count) * FRAME, dtype=np.float64)


@pytest.mark.parametrize(
    ("alive", "frames"), [(-1.0, 0), (0.0, 0), (0.0199, 0), (0.02, 1), (0.06, 3), (0.0799, 3), (60.0, 3000)]
)
def test_a_call_is_owed_one_frame_per_20_ms_that_have_passed(alive: float, frames: int) -> None:
    assert due_frames(alive) == frames


def test_a_punctual_stream_is_never_late_and_misses_nothing() -> None:
    arrivals = stream(500)
    assert grid_lateness(arrivals).max() == pytest.approx(0.0, abs=1e-9)
    assert missing_frames(arrivals, float(arrivals[-1]) + 0.019) == 0


def test_a_stall_that_is_caught_up_is_late_but_loses_nothing() -> None:
    arrivals = stream(100)
    arrivals[40:43] = arrivals[42] + 0.005  # frames 40 and 41 wait for 42, which itself is 5 ms late
    late = grid_lateness(arrivals)
    assert late[40] == pytest.approx(0.045)
    assert late[42] == pytest.approx(0.005)
    assert np.delete(late, [40, 41, 42]).max() == pytest.approx(0.0, abs=1e-9)
    assert missing_frames(arrivals, float(arrivals[-1]) + 0.01) == 0


def test_frames_that_are_skipped_are_missing_not_late() -> None:
    arrivals = np.delete(stream(100), [30, 31, 60])
    assert grid_lateness(arrivals).max() == pytest.approx(0.0, abs=1e-9)
    assert missing_frames(arrivals, 100.0 + 99 * FRAME + 0.01) == 3


def test_a_sender_that_begins_a_new_grid_after_a_stall_has_lost_the_time_between() -> None:
    arrivals = stream(100)
    arrivals[50:] += 0.07
    assert grid_lateness(arrivals).max() == pytest.approx(0.0, abs=1e-9)
    assert missing_frames(arrivals, float(arrivals[-1]) + 0.01) == 3


def test_the_frame_due_last_may_still_be_on_its_way() -> None:
    arrivals = stream(100)
    assert missing_frames(arrivals, float(arrivals[-1]) + 0.021) == 0
    assert missing_frames(arrivals, float(arrivals[-1]) + 0.041) == 1


def test_frames_that_are_late_at_the_very_end_are_not_missing() -> None:
    arrivals = stream(100)
    arrivals[97:] = arrivals[99] + 0.03
    assert missing_frames(arrivals, float(arrivals[-1])) == 0


def test_a_stream_that_stops_misses_the_rest() -> None:
    assert missing_frames(stream(50), 100.0 + 100 * FRAME + 0.001) == 50


def test_a_call_that_never_got_a_frame_has_no_grid() -> None:
    assert missing_frames(stream(0), 5.0) == 0
    assert Lateness.of(stream(0)).total == 0


@given(st.lists(st.floats(0, 0.2), min_size=1, max_size=200), st.sampled_from([0.5, 0.9, 0.99, 1.0]))
def test_a_histogram_tells_percentiles_to_a_bucket(values: list[float], share: float) -> None:
    exact = percentile(values, share)
    told = Lateness.of(np.array(values)).percentile(share)
    if bucket_of(exact) == BUCKETS:
        assert told == max(values)
    else:
        assert exact - 1e-9 <= told <= exact + 0.00025 + 1e-9


def test_what_is_beyond_the_last_bucket_is_told_as_the_worst() -> None:
    late = Lateness.of(np.array([0.001] * 98 + [0.5, 3.0]))
    assert late.counts[BUCKETS] == 2
    assert late.percentile(0.98) == 0.00125
    assert late.percentile(0.99) == late.percentile(1.0) == 3.0


def test_early_counts_as_on_time() -> None:
    late = Lateness.of(np.array([-0.5, -0.001, 0.0]))
    assert late.counts[0] == 3
    assert late.worst == 0.0
    assert bucket_of(-1.0) == 0


def test_histograms_add_up() -> None:
    one, other = Lateness.of(np.array([0.001, 0.002])), Lateness.of(np.array([0.002, 0.7]))
    both = one.merged(other)
    assert both == Lateness.of(np.array([0.001, 0.002, 0.002, 0.7]))
    with pytest.raises(ValueError, match="argument"):
        one.merged(Lateness([1, 2]))


def test_the_difference_of_two_readings_is_what_came_between() -> None:
    before = np.array([0.0001, 0.030])
    between = np.array([0.0011, 0.0052])
    seen = Lateness.of(np.concatenate([before, between])).since(Lateness.of(before))
    assert seen.total == 2
    assert seen.percentile(0.5) == 0.00125
    assert seen.worst == pytest.approx(0.00525)  # not the 30 ms of before
    record = Lateness.of(np.array([*before, 0.041])).since(Lateness.of(before))
    assert record.worst == 0.041


def test_percentiles_of_a_list_are_members_of_it() -> None:
    values = [5.0, 1.0, 4.0, 2.0, 3.0]
    assert [percentile(values, share) for share in (0.0, 0.2, 0.5, 0.95, 1.0)] == [1.0, 1.0, 3.0, 5.0, 5.0]
    assert percentile([], 0.5) == 0.0


def noise(*, generator: float = 0.001, control: float = 0.001, lost: int = 0, cpu: tuple[float, ...] = ()) -> list[str]:
    """What is said of a run in which 2 % of the frames were as late as told."""
    quiet = [0.0005] * 98

    def late(worst: float) -> Lateness:
        return Lateness.of(np.array([*quiet, worst, worst]))

    return Noise(late(generator), late(control), cpu, lost).reasons(Limits())


def test_a_quiet_machine_is_believed() -> None:
    assert noise(cpu=(1.0, 1.2)) == []
    assert noise(lost=7) == []  # then the loss is the service's own


def test_a_late_generator_makes_a_run_worthless() -> None:
    assert noise(generator=0.012) == ["the generator was late: p99 12.0 ms, limit 10 ms"]


def test_a_late_control_makes_a_run_worthless() -> None:
    assert noise(control=0.03) == ["the control was late: p99 30.0 ms, limit 25 ms"]


def test_lost_frames_are_not_held_against_a_service_when_the_machine_stalled_others_too() -> None:
    stalled = Lateness.of(np.array([0.0005] * 999 + [0.060]))
    quiet = Lateness.of(np.array([0.0005] * 1000))
    assert Noise(stalled, quiet, lost=0).reasons(Limits()) == []
    (reason,) = Noise(quiet, stalled, lost=3).reasons(Limits())
    assert reason == "frames were lost, but the generator or the control was stalled 60 ms as well"
    (reason,) = Noise(quiet, quiet, lost=3, others_share=0.6).reasons(Limits())
    assert reason == "frames were lost, but other programs had 60% of all CPUs"
    assert Noise(quiet, quiet, lost=0, others_share=0.6).reasons(Limits()) == []


def test_a_control_that_cost_different_in_its_halves_gives_no_ratio() -> None:
    (reason,) = noise(cpu=(1.0, 1.6))
    assert reason == "the control cost 1.00 and 1.60 CPU-ms per call-second in its two halves"
