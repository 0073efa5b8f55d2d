"""The media clock: one task that touches every line's socket fifty times a second.

Lines are spread over two phases of 10 ms: 250 lines take 2-3 ms. A wake-up costs as much as ten lines, and several
times that after a sleep, so few lines share one phase. The clock sleeps until the next phase that has lines, then reads
each of these and writes its frame: one system call for either, on a line whose state is in the cache for both. A
private epoll, asked without blocking, tells of peers that have closed in between. Frames go out at
`epoch + step * 10 ms` exactly, never later by accumulation; after a stall at most two are caught up and the rest are
skipped and counted.

A line's OSError ends that line, any other exception of a line ends its call; neither reaches the others. An error of
the clock itself propagates and ends the service.
"""

import select
from math import ceil
from typing import Final

import trio
from attrs import define, field

from voiceagent.pbx.line import Line
from voiceagent.wire.audiosocket import FRAME_SECONDS, HEADER_BYTES, MAX_PAYLOAD

PHASES: Final = 2
STEP_SECONDS: Final = FRAME_SECONDS / PHASES
#: As long as one phase has no more lines than this (1 ms of work), the other stays empty.
_FEW_LINES: Final = 32
#: Frames sent in a burst after a stall, at most; Asterisk's mixing bridge loses audio beyond a lead of four.
CATCH_UP_FRAMES: Final = 2
BUCKET_SECONDS: Final = 0.00025
_BUCKETS: Final = 400
#: Read from one line at once, at most; the largest frame and its header.
_READ_BYTES: Final = HEADER_BYTES + MAX_PAYLOAD


@define
class ClockStats:
    """Counted since the clock began. `lateness` has a count per 0.25 ms, the last bucket takes everything beyond."""

    frames_due: int = 0
    frames_sent: int = 0
    frames_dropped: int = 0
    max_lateness: float = 0.0
    lateness: list[int] = field(factory=lambda: [0] * _BUCKETS)

    def add(self, lateness: float) -> None:
        if lateness > self.max_lateness:
            self.max_lateness = lateness
        bucket = int(lateness / BUCKET_SECONDS)
        self.lateness[bucket if bucket < _BUCKETS else -1] += 1


class MediaClock:
    """Drives the lines attached to it. `run` is a task of the service; make one inside Trio."""

    def __init__(self) -> None:
        self.stats = ClockStats()
        self._current_time = trio.lowlevel.current_clock().current_time
        self._epoch = self._current_time()
        self._next_step = [0] * PHASES
        #: The lines of each phase, with the step at which each is due first.
        self._phases: list[dict[Line, int]] = [{} for _ in range(PHASES)]
        self._by_descriptor: dict[int, Line] = {}
        self._attached = trio.lowlevel.ParkingLot()
        self._hang_ups = select.epoll()
        self._buffer = memoryview(bytearray(_READ_BYTES))

    async def run(self) -> None:
        """Serve the lines until cancelled."""
        with self._hang_ups:
            while True:
                phase = self._next_phase()
                if phase is None:
                    await self._attached.park()
                    continue
                with trio.CancelScope(deadline=self._due(phase)) as until_due:
                    await self._attached.park()  # a new line may be due earlier
                if until_due.cancelled_caught:
                    self._serve(phase)
                    self._notice_hang_ups()

    def attach(self, line: Line) -> None:
        """From now on `line` is read and gets a frame each 20 ms, the first within 20 ms."""
        now = self._current_time()
        step = ceil((now - self._epoch) / STEP_SECONDS)
        if not self._phases[step % PHASES] and 0 < len(self._phases[(step + 1) % PHASES]) <= _FEW_LINES:
            step += 1
        phase = step % PHASES
        if not self._phases[phase]:
            self._next_step[phase] = step
        self._phases[phase][line] = step
        if (descriptor := line.endpoint.fileno()) >= 0:
            self._by_descriptor[descriptor] = line
            self._hang_ups.register(descriptor, select.EPOLLRDHUP)
        line.last_read = now
        self._attached.unpark_all()

    def overdue(self) -> float:
        """For how many seconds lines have been waiting for the clock: less than one step, unless something is wrong."""
        phase = self._next_phase()
        return 0.0 if phase is None else max(0.0, self._current_time() - self._due(phase))

    def between_steps(self) -> float:
        """A time within 10 ms from now at which the clock does nothing, in the middle between two steps."""
        steps = (self._current_time() - self._epoch) / STEP_SECONDS
        return self._epoch + (ceil(steps - 0.5) + 0.5) * STEP_SECONDS

    def detach(self, line: Line) -> None:
        """The clock forgets `line`; its endpoint must still be open, so that its descriptor means no other."""
        for phase in self._phases:
            phase.pop(line, None)
        descriptor = line.endpoint.fileno()
        if self._by_descriptor.get(descriptor) is line:
            del self._by_descriptor[descriptor]
            if not self._hang_ups.closed:
                self._hang_ups.unregister(descriptor)

    def _next_phase(self) -> int | None:
        return min((p for p in range(PHASES) if self._phases[p]), key=self._next_step.__getitem__, default=None)

    def _due(self, phase: int) -> float:
        return self._epoch + self._next_step[phase] * STEP_SECONDS

    def _serve(self, phase: int) -> None:
        """Read each line of the phase, then write its frame."""
        stats, buffer, current_time = self.stats, self._buffer, self._current_time
        now, due = current_time(), self._due(phase)
        skipped = max(0, int((now - due) / FRAME_SECONDS) - CATCH_UP_FRAMES)
        step = self._next_step[phase] + PHASES * skipped
        self._next_step[phase] = step + PHASES
        due += skipped * FRAME_SECONDS
        for line, first in self._phases[phase].items():
            if line.gone or first > step:
                continue
            try:
                line.read(now, buffer)
                if line.takes_frames:
                    missed = min(skipped, (step - first) // PHASES) if skipped else 0
                    stats.frames_due += missed + 1
                    stats.frames_dropped += missed
                    line.frames_dropped += missed
                    if line.write_frame():
                        stats.frames_sent += 1
                        stats.add(current_time() - due)
                    else:
                        stats.frames_dropped += 1
            except Exception as error:  # the call boundary: one line's error must not stop the others
                _end(line, error)

    def _notice_hang_ups(self) -> None:
        """Read the lines whose peer has closed, without waiting for their turn."""
        for descriptor, _ in self._hang_ups.poll(0):
            line = self._by_descriptor.get(descriptor)
            if line is None or line.gone:
                continue
            try:
                line.read(self._current_time(), self._buffer)
            except Exception as error:  # the call boundary: one line's error must not stop the others
                _end(line, error)


def _end(line: Line, error: Exception) -> None:
    if isinstance(error, OSError):
        line.end("caller hung up", error.strerror or "", gone=True)
    else:
        line.end("crash", repr(error), error)
