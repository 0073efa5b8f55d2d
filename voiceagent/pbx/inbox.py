"""What the caller sent, until the call's tasks take it; and the two things about it that must be noticed at once.

Pure: the line feeds it with the time at which bytes were read.
"""

from collections import Counter, deque
from typing import Final, TypeAlias

from voiceagent.wire.audiosocket import FRAME_SECONDS, Audio, Dtmf

Sent: TypeAlias = Audio | Dtmf

#: Caller audio that may wait for the call's tasks, in seconds; then the oldest goes, counted.
INBOX_SECONDS: Final = 2.0
#: The same while the peer sends faster than any telephone does.
FLOOD_KEEPS_SECONDS: Final = 1.0
#: Keys that may wait; beyond that they are refused, counted (nobody presses 32 keys in one batch).
INBOX_DIGITS: Final = 32
#: The same within a second.
DIGITS_PER_SECOND: Final = 20
#: Audio is handed over in batches of this many seconds, unless another size is asked for: one task switch for three
#: frames.
BATCH_SECONDS: Final = 3 * FRAME_SECONDS

#: A flood is more audio than this in two seconds: three times real time. It is over at half of that.
FLOOD_SECONDS: Final = 6.0

#: A frame of 20 ms in µ-law.
ULAW_BYTES: Final = 160
_ULAW_FRAMES: Final = 50
_EPSILON: Final = 1e-9


class Inbox:
    """A bounded queue. `number` staggers the batches of calls that began together; drops go to `counts`.

    `batch` is how much audio is worth a task switch, in seconds.
    """

    __slots__ = (
        "_before",
        "_counts",
        "_digits",
        "_flooded",
        "_keyed",
        "_keyed_since",
        "_lately",
        "_queue",
        "_second",
        "_seconds",
        "_stagger",
        "batch",
        "peak",
    )

    def __init__(self, number: int, counts: Counter[str]) -> None:
        self.peak = 0.0
        self._counts = counts
        self._queue: deque[Sent] = deque()
        self._seconds = 0.0
        self._digits = 0
        self.batch = BATCH_SECONDS
        self._stagger = number % 3 * FRAME_SECONDS  # the first batch is shorter by this
        self._second = 0  # of the clock, in which `_lately` came; `_before` came in the second before
        self._lately = self._before = 0.0
        self._flooded = False
        self._keyed_since = 0.0
        self._keyed = 0

    @property
    def ripe(self) -> bool:
        """Whether there is a batch, or a key, to be taken."""
        return self._digits > 0 or (self._seconds >= self.batch - self._stagger - _EPSILON and not self._flooded)

    def takes(self, seconds: float, now: float) -> bool:
        """Account for audio of `seconds`. False while the peer floods: what is added then is the newest second."""
        second = int(now)
        if second != self._second:
            self._before = self._lately if second == self._second + 1 else 0.0
            self._lately, self._second = 0.0, second
        self._lately += seconds
        came = self._before + self._lately
        self._flooded = came > (FLOOD_SECONDS / 2 if self._flooded else FLOOD_SECONDS)
        return not self._flooded

    def add_audio(self, audio: Audio, seconds: float) -> None:
        """Queue caller audio; the oldest makes room."""
        self._queue.append(audio)
        self._seconds += seconds
        limit = FLOOD_KEEPS_SECONDS if self._flooded else INBOX_SECONDS
        while self._seconds > limit + _EPSILON and self._drop_oldest():
            self._counts["audio dropped in a flood" if self._flooded else "audio dropped unheard"] += 1
        if self._seconds > self.peak:
            self.peak = self._seconds

    def add_digit(self, digit: Dtmf, now: float) -> None:
        """Queue a key, at its place in the audio."""
        if now >= self._keyed_since + 1.0:
            self._keyed_since, self._keyed = now, 0
        self._keyed += 1
        if self._keyed <= DIGITS_PER_SECOND and self._digits < INBOX_DIGITS:
            self._digits += 1
            self._queue.append(digit)
        else:
            self._counts["digits refused"] += 1

    def take(self) -> list[Sent]:
        """Everything, in order; what came of one rate in a row is one piece."""
        batch: list[Sent] = []
        pieces: list[bytes] = []
        rate = 0
        for message in self._queue:
            if pieces and (isinstance(message, Dtmf) or message.rate != rate):
                batch.append(Audio(rate, b"".join(pieces)))
                pieces.clear()
            if isinstance(message, Dtmf):
                batch.append(message)
            else:
                rate = message.rate
                pieces.append(message.data)
        if pieces:
            batch.append(Audio(rate, b"".join(pieces)))
        self._queue.clear()
        self._seconds = 0.0
        self._digits = 0
        self._stagger = 0.0
        return batch

    def _drop_oldest(self) -> bool:
        """Drop the oldest audio, but never the only one."""
        if len(self._queue) - self._digits <= 1:
            return False
        for at, message in enumerate(self._queue):
            if isinstance(message, Audio):
                del self._queue[at]
                self._seconds -= len(message.data) / (2 * message.rate)
                return True
        return False


class UlawWatch:
    """Notices µ-law that Asterisk labels as 8 kHz PCM: frames of 160 bytes every 20 ms, half of what PCM would be.

    `Dial(AudioSocket/…)` without `c(slin)` sends the caller's codec as it is. Real PCM in packets of 10 ms has twice as
    many of these frames in the same time.
    """

    def __init__(self) -> None:
        self.count = 0
        self._since = 0.0
        self._last = 0.0

    def suspects(self, rate: int, now: float) -> bool:
        """A frame of ULAW_BYTES has come: whether that makes a second of nothing but such frames."""
        if rate != 8000:
            self.count = 0
            return False
        if self.count == 0 or now - self._last > 0.1:
            self.count, self._since = 0, now
        self._last = now
        self.count += 1
        if self.count < _ULAW_FRAMES:
            return False
        self.count = 0
        return now - self._since > 0.75 * _ULAW_FRAMES * FRAME_SECONDS
