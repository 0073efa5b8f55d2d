"""The media clock: one task that touches every line's socket fifty times a second.

Lines are spread over four phases of 5 ms, so that 500 of them are served in small portions. The clock sleeps until the
next phase that has lines, writes the frame due on each, then reads whatever a private epoll reports, without blocking.
Frames go out at `epoch + step * 5 ms` exactly, never later by accumulation; after a stall at most two are caught up and
the rest are skipped and counted.

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

PHASES: Final = 4
STEP_SECONDS: Final = FRAME_SECONDS / PHASES
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
        self._phases: list[dict[Line, None]] = [{} for _ in range(PHASES)]
        self._by_descriptor: dict[int, Line] = {}
        self._in_memory: dict[Line, None] = {}
        self._attached = trio.lowlevel.ParkingLot()
        self._epoll = select.epoll()
        self._buffer = bytearray(_READ_BYTES)

    async def run(self) -> None:
        """Serve the lines until cancelled."""
        with self._epoll:
            while True:
                phase = self._next_phase()
                if phase is None:
                    await self._attached.park()
                    continue
                with trio.move_on_at(self._epoch + self._next_step[phase] * STEP_SECONDS) as until_due:
                    await self._attached.park()  # a new line may be due earlier
                if until_due.cancelled_caught:
                    self._write(phase)
                    self._read()

    def attach(self, line: Line) -> None:
        """From now on `line` gets a frame each 20 ms, the first within 5 ms, and is read."""
        step = ceil((trio.current_time() - self._epoch) / STEP_SECONDS)
        phase = step % PHASES
        if not self._phases[phase]:
            self._next_step[phase] = step
        self._phases[phase][line] = None
        descriptor = line.endpoint.fileno()
        if descriptor < 0:
            self._in_memory[line] = None
        else:
            self._by_descriptor[descriptor] = line
            self._epoll.register(descriptor, select.EPOLLIN)
        line.last_read = trio.current_time()
        self._attached.unpark_all()

    def detach(self, line: Line) -> None:
        """The clock forgets `line`; its endpoint must still be open."""
        for phase in self._phases:
            phase.pop(line, None)
        self._in_memory.pop(line, None)
        descriptor = line.endpoint.fileno()
        if self._by_descriptor.pop(descriptor, None) is not None and not self._epoll.closed:
            self._epoll.unregister(descriptor)

    def _next_phase(self) -> int | None:
        return min((p for p in range(PHASES) if self._phases[p]), key=self._next_step.__getitem__, default=None)

    def _write(self, phase: int) -> None:
        lines, stats, current_time = self._phases[phase], self.stats, self._current_time
        due = self._epoch + self._next_step[phase] * STEP_SECONDS
        skipped = max(0, int((current_time() - due) / FRAME_SECONDS) - CATCH_UP_FRAMES)
        self._next_step[phase] += PHASES * (skipped + 1)
        due += skipped * FRAME_SECONDS
        for line in lines:
            if not line.takes_frames:
                continue
            stats.frames_due += skipped + 1
            stats.frames_dropped += skipped
            line.frames_dropped += skipped
            try:
                if line.write_frame():
                    stats.frames_sent += 1
                    stats.add(current_time() - due)
                else:
                    stats.frames_dropped += 1
            except OSError as error:
                line.end("caller hung up", error.strerror or "")
            except Exception as error:  # the call boundary: one line's error must not stop the others
                line.end("crash", repr(error), error)

    def _read(self) -> None:
        now = self._current_time()
        ready = [self._by_descriptor[descriptor] for descriptor, _ in self._epoll.poll(0)]
        ready += [line for line in self._in_memory if line.endpoint.readable]
        for line in ready:
            if line.ended is not None:
                continue
            try:
                line.read(now, self._buffer)
            except OSError as error:
                line.end("caller hung up", error.strerror or "")
            except Exception as error:  # the call boundary: one line's error must not stop the others
                line.end("crash", repr(error), error)
