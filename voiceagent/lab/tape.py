"""One side of a call on tape, aligned by time of arrival."""

from typing import Final

from voiceagent.audio.pcm import Pcm
from voiceagent.audio.resample import StreamResampler

#: Audio that is later than this leaves a hole on the tape; what is less late is jitter and joined up.
_JITTER_S: Final = 0.1


class Tape:
    """Records s16le at `rate` hertz from time 0, at most `max_s` seconds (16 kB/s at 8 kHz); later audio is lost."""

    def __init__(self, rate: int, max_s: float) -> None:
        self.rate = rate
        self._limit = 2 * round(rate * max_s)
        self._data = bytearray()
        self._resampler: StreamResampler | None = None
        self._source_rate = rate

    def add(self, pcm: Pcm, at: float) -> None:
        """`pcm` is heard from `at` on (seconds from the start of the tape); it may have any rate."""
        gap = 2 * round((at - len(self._data) / (2 * self.rate)) * self.rate)
        if gap > 2 * self.rate * _JITTER_S:
            self._data += bytes(max(0, min(gap, self._limit - len(self._data))))
        self._data += self._converted(pcm)[: max(0, self._limit - len(self._data))]

    def _converted(self, pcm: Pcm) -> bytes:
        if pcm.rate != self._source_rate:
            self._source_rate = pcm.rate
            self._resampler = None if pcm.rate == self.rate else StreamResampler(pcm.rate, self.rate)
        return self._resampler.convert(pcm.data) if self._resampler else pcm.data

    @property
    def pcm(self) -> Pcm:
        """Everything so far, a copy."""
        return Pcm(self.rate, bytes(self._data))
