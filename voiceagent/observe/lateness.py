"""How late frames were lately."""

from collections import deque
from itertools import accumulate
from math import inf
from typing import Final

import trio

from voiceagent.pbx.clock import BUCKET_SECONDS, ClockStats

#: The window is between one and two of these.
_WINDOW_S: Final = 5.0


class LatenessWindow:
    """The frames of the last 5 to 10 s, as `run` moves on; before that, those since the beginning."""

    def __init__(self, stats: ClockStats) -> None:
        self._stats = stats
        self._marks = deque([list(stats.lateness)], maxlen=2)

    async def run(self) -> None:
        """Move on, until cancelled."""
        while True:
            await trio.sleep(_WINDOW_S)
            self.move_on()

    def move_on(self) -> None:
        """A window's length has passed."""
        self._marks.append(list(self._stats.lateness))

    def percentile(self, share: float) -> tuple[float, int]:
        """Of how many frames `share` (0 to 1) were at most how many seconds late: (seconds, frames).

        0 where there are no frames; inf where it is more than the clock tells apart, 0.1 s.
        """
        counts = [now - before for now, before in zip(self._stats.lateness, self._marks[0], strict=True)]
        frames = sum(counts)
        bucket = next(at for at, sent in enumerate(accumulate(counts)) if sent >= share * frames) if frames else -1
        return (inf if bucket == len(counts) - 1 else (bucket + 1) * BUCKET_SECONDS), frames
