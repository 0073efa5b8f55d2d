"""Arithmetic of measurement: lateness against a grid, percentiles, and whether a run is worth a figure. Pure.

Times are seconds of CLOCK_MONOTONIC, which all processes of a machine share.
"""

import math
from collections.abc import Iterable, Sequence
from typing import Final, Self

import numpy as np
from attrs import field, frozen
from numpy.typing import NDArray

from voiceagent.wire.audiosocket import FRAME_SECONDS

#: Width in seconds of one lateness bucket, the media clock's too.
BUCKET_SECONDS: Final = 0.00025
#: Buckets of a histogram made here: 100 ms, then one for all that is later.
BUCKETS: Final = 400

_LAST_FRAMES: Final = 10
#: By so much the earliest arrival of a stretch of frames may differ from that of another.
_JITTER_S: Final = 0.005


def due_frames(alive_s: float) -> int:
    """How many frames a call that has lived `alive_s` seconds is owed: one per 20 ms that have passed."""
    # A grid point reached within a microsecond counts: 0.06 / 0.02 is 2.9999999999999996.
    return max(0, math.floor((alive_s + 1e-6) / FRAME_SECONDS))


def bucket_of(late_s: float) -> int:
    """The bucket that counts a lateness; early counts as on time."""
    return max(0, min(int(late_s / BUCKET_SECONDS), BUCKETS))


@frozen
class Lateness:
    """A histogram: `counts[i]` frames were late by i to i + 1 buckets, the last is all beyond; `worst` in seconds."""

    counts: Sequence[int]
    worst: float = 0.0

    @classmethod
    def of(cls, seconds: NDArray[np.float64]) -> Self:
        """The histogram of lateness values; early (negative) counts as on time."""
        if not len(seconds):
            return cls([0] * (BUCKETS + 1))
        buckets = np.clip((seconds / BUCKET_SECONDS).astype(np.int64), 0, BUCKETS)
        counts: list[int] = np.bincount(buckets, minlength=BUCKETS + 1).tolist()
        return cls(counts, max(0.0, float(seconds.max())))

    @property
    def total(self) -> int:
        return sum(self.counts)

    def percentile(self, share: float) -> float:
        """Seconds that `share` (0 to 1) of the frames did not exceed, rounded up to a bucket; no frames: 0."""
        rank, seen = math.ceil(share * self.total), 0
        if not rank:
            return 0.0
        for bucket, count in enumerate(self.counts[:-1]):
            seen += count
            if seen >= rank:
                return min((bucket + 1) * BUCKET_SECONDS, self.worst or math.inf)
        return self.worst

    def merged(self, other: "Lateness") -> "Lateness":
        """Both together. Raises ValueError when their buckets differ."""
        return Lateness(
            [a + b for a, b in zip(self.counts, other.counts, strict=True)],
            max(self.worst, other.worst),
        )

    def since(self, earlier: "Lateness") -> "Lateness":
        """What came after `earlier`, a reading of the same growing histogram.

        Its worst is exact when it is a new record, and otherwise the upper edge of the last bucket that grew.
        """
        counts = [now - then for now, then in zip(self.counts, earlier.counts, strict=True)]
        last = max((bucket for bucket, count in enumerate(counts) if count), default=-1)
        if self.worst > earlier.worst or last == len(counts) - 1:
            return Lateness(counts, self.worst)
        return Lateness(counts, min((last + 1) * BUCKET_SECONDS, self.worst))


def percentile(values: Iterable[float], share: float) -> float:
    """The smallest of `values` that `share` (0 to 1) of them do not exceed; none: 0."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)] if ordered else 0.0


def grid_base(arrivals: NDArray[np.float64]) -> NDArray[np.float64]:
    """For each of a stream's arrivals, where the sender's grid began, as far as a listener can tell.

    Frame i of a sender that never skips is due at base + i * 20 ms; the earliest later arrival says what base is. So a
    frame that comes late but is caught up leaves the base alone, and one that is never sent moves it for good.
    """
    shifted = arrivals - np.arange(len(arrivals)) * FRAME_SECONDS
    return np.minimum.accumulate(shifted[::-1])[::-1]


def grid_lateness(arrivals: NDArray[np.float64]) -> NDArray[np.float64]:
    """How late each arrival of one stream is against the sender's grid."""
    lateness: NDArray[np.float64] = arrivals - np.arange(len(arrivals)) * FRAME_SECONDS - grid_base(arrivals)
    return lateness


def missing_frames(arrivals: NDArray[np.float64], until: float) -> int:
    """How many frames of a stream never came, of those due by `until`; the one due last may still be on its way."""
    if not len(arrivals):
        return 0
    base = grid_base(arrivals)
    # Of the very last frames lateness cannot be told from loss: nothing comes after them.
    settled = float(base[max(0, len(base) - _LAST_FRAMES)])
    skipped = due_frames(settled - float(base[0]) + _JITTER_S)
    return skipped + max(0, due_frames(until - settled) - len(arrivals))


@frozen
class Limits:
    """What a machine must be able to do for a run on it to mean anything. Seconds."""

    generator_p99_s: float = 0.010
    #: A stall of the generator or the control beyond this excuses dropped frames: whole 20 ms slots went by for all.
    stall_s: float = 0.040
    control_p99_s: float = 0.025
    #: CPU of the halves of the control, larger over smaller.
    control_spread: float = 1.5
    #: Nor does a service answer for frames lost while others had this share of all CPUs: it may not have got its own.
    others_share: float = 0.5


@frozen
class Noise:
    """What tells a noisy machine from a slow service: lateness of what is not under test, in one run."""

    generator: Lateness
    control: Lateness
    control_cpu: Sequence[float] = field(factory=tuple)
    #: Frames the service lost, and the share of all CPUs that programs outside the bench had meanwhile.
    lost: int = 0
    others_share: float = 0.0

    def reasons(self, limits: Limits) -> list[str]:
        """Why the run must not be believed; nothing: believe it."""
        found: list[str] = []
        for name, late, limit in (
            ("the generator", self.generator, limits.generator_p99_s),
            ("the control", self.control, limits.control_p99_s),
        ):
            if (p99 := late.percentile(0.99)) > limit:
                found.append(f"{name} was late: p99 {p99 * 1e3:.1f} ms, limit {limit * 1e3:.0f} ms")
        if self.control_cpu and max(self.control_cpu) > limits.control_spread * min(self.control_cpu):
            spread = " and ".join(f"{cpu:.2f}" for cpu in self.control_cpu)
            found.append(f"the control cost {spread} CPU-ms per call-second in its two halves")
        stall = max(self.generator.worst, self.control.worst)
        if self.lost and stall > limits.stall_s:
            found.append(f"frames were lost, but the generator or the control was stalled {stall * 1e3:.0f} ms as well")
        if self.lost and self.others_share > limits.others_share:
            found.append(f"frames were lost, but other programs had {self.others_share:.0%} of all CPUs")
        return found
