"""The callers of a load: what they are told, say and report. Pure; times are absolute seconds of CLOCK_MONOTONIC."""

from array import array
from collections import deque
from collections.abc import Iterable, Sequence
from typing import Final
from uuid import UUID, uuid4

import numpy as np
from attrs import define, field, frozen

from voiceagent.audio.pcm import Pcm, samples_of, silence
from voiceagent.lab.measure import Lateness, due_frames, grid_lateness, missing_frames
from voiceagent.wire.audiosocket import FRAME_SECONDS, encode_audio, frame_bytes, silence_frame

RATE: Final = 8000
#: Samples beyond this are somebody speaking (-44 dB below full scale).
LOUD: Final = 200
SILENCE: Final = silence_frame(RATE)
_QUIET: Final = silence(RATE, FRAME_SECONDS).data


@frozen
class LoadSpec:
    """What to do. `questions` are what callers ask (s16le, 8 kHz, as hex); none: every caller sends an endless tone."""

    host: str
    port: int
    calls: int
    seconds: float
    connect_gap_s: float = 0.004
    settle_s: float = 1.5
    #: So many calls (at most all) are hung up one by one and followed by others, before all are hung up at once.
    one_by_one: int = 0
    questions: Sequence[str] = ()
    #: A caller asks (again) after this much silence following the agent's speech …
    pause_s: float = 1.0
    #: … or when the agent has not answered for this long.
    patience_s: float = 8.0


@frozen
class LoadResult:
    """What was seen. Frames and lateness are those of the steady window unless said otherwise."""

    opened: int
    ended_early: int
    call_seconds: float
    sent: int
    received: int
    #: Frames received in which somebody spoke.
    loud: int
    #: Whole calls, from the first frame to the hang-up: owed by the 20 ms grid, and never come.
    due: int
    missing: int
    lateness: Lateness
    widest_gap: float
    #: The generator's own, sending.
    own_lateness: Lateness
    #: The longest the generator was behind its own grid, from the first call to the last.
    own_stall: float
    #: Questions put during whole calls, and from the end of each to the first sound of its answer.
    asked: int
    answer_delays: Sequence[float]
    #: UUID to when we hung the call up, and when it was all that were left at once.
    closed: dict[str, float]
    rest_at: float
    #: Of each call that never got a frame: from connection to end.
    refused_after: Sequence[float]


@define(eq=False)
class Talk:
    """A caller who asks a question whenever the agent has been quiet for a while."""

    questions: Sequence[Sequence[bytes]]
    pause_s: float
    patience_s: float
    turn: int
    next_at: float = 0.0
    asked: int = 0
    #: One per question: a few per minute of a bounded run.
    delays: list[float] = field(factory=list)
    _unanswered_since: float = 0.0
    #: At most one question.
    _playing: deque[bytes] = field(factory=deque)

    def connected(self, now: float) -> None:
        """The line is up: the agent may greet first."""
        self.next_at = now + self.patience_s

    def heard(self, now: float) -> None:
        """The agent spoke."""
        if self._unanswered_since:
            self.delays.append(now - self._unanswered_since)
            self._unanswered_since = 0.0
        self.next_at = now + self.pause_s

    def frame(self, now: float) -> bytes:
        """What to send now: a frame of a question, or silence."""
        if not self._playing:
            if now < self.next_at:
                return SILENCE
            self._playing.extend(self.questions[self.turn % len(self.questions)])
            self.turn += 1
            self.asked += 1
            self._unanswered_since = 0.0
        frame = self._playing.popleft()
        if not self._playing:
            self._unanswered_since = now
            self.next_at = now + self.patience_s
        return frame


@define(eq=False)
class Leg:
    """One call: what it says, and when frames came."""

    #: Frames to send round and round, unless somebody talks.
    frames: Sequence[bytes]
    talk: Talk | None = None
    uuid: UUID = field(factory=uuid4)
    position: int = 0
    #: One time per frame received: 8 bytes, 50 a second; 240 kB in a call of ten minutes.
    arrivals: "array[float]" = field(factory=lambda: array("d"))
    loud: int = 0
    opened: float = 0.0
    ended: float = 0.0

    def frame(self, now: float) -> bytes:
        """The next frame to send."""
        if self.talk:
            return self.talk.frame(now)
        self.position = (self.position + 1) % len(self.frames)
        return self.frames[self.position]

    def heard(self, audio: bytes, now: float) -> None:
        """A frame came."""
        self.arrivals.append(now)
        if not self.talk:
            self.loud += audio != _QUIET
        elif int(samples_of(audio).max()) > LOUD:
            self.loud += 1
            self.talk.heard(now)


def frames_of(pcm: Pcm) -> list[bytes]:
    """`pcm` (8 kHz) as AudioSocket frames of 20 ms; the last is padded with silence."""
    size = frame_bytes(RATE)
    return [encode_audio(RATE, pcm.data[at : at + size].ljust(size, b"\0")) for at in range(0, len(pcm.data), size)]


@frozen
class Heard:
    """What all legs received, in a window and as a whole; fields as in `LoadResult`."""

    call_seconds: float
    received: int
    due: int
    missing: int
    lateness: Lateness
    widest_gap: float


def heard_by(legs: Iterable[Leg], start: float, end: float) -> Heard:
    """Sum up what came to `legs`, all of them ended, with `start` to `end` as the window."""
    late = Lateness.of(np.empty(0))
    received = due = missing = 0
    widest = alive = 0.0
    for leg in legs:
        times = np.frombuffer(leg.arrivals, dtype=np.float64)
        if not len(times):
            continue
        inside = (times >= start) & (times < end)
        count = int(inside.sum())
        received += count
        late = late.merged(Lateness.of(grid_lateness(times)[inside]))
        if count > 1:
            widest = max(widest, float(np.diff(times[inside]).max()))
        due += due_frames(leg.ended - float(times[0]))
        missing += missing_frames(times, leg.ended)
        alive += max(0.0, min(leg.ended, end) - max(float(times[0]), start))
    return Heard(alive, received, due, missing, late, widest)
