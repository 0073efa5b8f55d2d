"""Voice activity by the WebRTC detector, behind a high-pass and a gate over the noise floor.

Alone it takes steady noise for voice (a car: for ever); the high-pass removes rumble, the gate whatever does not rise
above the floor. Measured at 8 kHz per 20 ms frame: docs/speech.md.
"""

from math import log10
from typing import Final

import numpy as np
import webrtcvad

from voiceagent.audio.filters import HighPass
from voiceagent.audio.pcm import Pcm, samples_of
from voiceagent.wire.audiosocket import FRAME_SECONDS, frame_bytes

_MODE: Final = 2
#: Voice is at least this far above the noise floor.
_GATE_DB: Final = 4.0
#: Nothing below this is voice, however quiet the line.
_LEAST_DBFS: Final = -55.0
#: Where the floor begins; it falls to a quiet line's within a few frames.
_FIRST_FLOOR_DBFS: Final = -45.0
#: The floor rises by this much per frame (1 dB per second) and falls by a third of the difference.
_RISE_DB: Final = 1.0 * FRAME_SECONDS
_FALL: Final = 0.3


class WebrtcVad:
    """Implements `ports.Vad`: 8, 16, 32 or 48 kHz.

    Audio that does not rise above the floor even with its rumble is not looked at any further: most of a call.
    """

    def __init__(self, rate: int) -> None:
        self._detector = webrtcvad.Vad(_MODE)
        self._high_pass = HighPass(rate)
        self._floor = _FIRST_FLOOR_DBFS
        self._threshold = _LEAST_DBFS

    def detect(self, audio: Pcm) -> list[bool]:
        size = frame_bytes(audio.rate)
        levels = _levels(audio.data, size)
        if max(levels) <= self._threshold:
            self._high_pass.skip(audio.data)
            return [self._is_above_floor(level) for level in levels]
        data = self._high_pass.filter(audio.data)
        return [
            self._is_above_floor(level) and self._detector.is_speech(data[at * size : (at + 1) * size], audio.rate)
            for at, level in enumerate(_levels(data, size))
        ]

    def _is_above_floor(self, level: float) -> bool:
        above = level > self._threshold
        self._floor += _FALL * (level - self._floor) if level < self._floor else _RISE_DB
        self._threshold = max(self._floor + _GATE_DB, _LEAST_DBFS)
        return above


def _levels(data: bytes, size: int) -> list[float]:
    """Level in dBFS of each frame of `size` bytes."""
    frames = samples_of(data).astype(np.float32).reshape(-1, size // 2)
    full = size / 2 * 32768.0**2
    return [10 * log10(energy / full + 1e-10) for energy in np.vecdot(frames, frames).tolist()]
