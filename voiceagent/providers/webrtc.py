"""Voice activity by the WebRTC detector, behind a high-pass and a gate over the noise floor.

Alone it takes steady noise for voice (a car: for ever); the high-pass removes rumble, the gate whatever does not rise
above the floor. Measured at 8 kHz per 20 ms frame: docs/speech.md.
"""

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
#: The floor rises by this much per frame (1 dB per second) and falls by a third of the difference.
_RISE_DB: Final = 1.0 * FRAME_SECONDS
_FALL: Final = 0.3


class WebrtcVad:
    """Implements `ports.Vad`: 8, 16, 32 or 48 kHz; about 0.5 CPU-ms per call-second in batches of 60 ms."""

    def __init__(self, rate: int) -> None:
        self._detector = webrtcvad.Vad(_MODE)
        self._high_pass = HighPass(rate)
        self._floor: float | None = None

    def detect(self, audio: Pcm) -> list[bool]:
        data = self._high_pass.filter(audio.data)
        size = frame_bytes(audio.rate)
        frames = samples_of(data).astype(np.float32).reshape(-1, size // 2)
        power = np.einsum("ij,ij->i", frames, frames) / (size // 2 * 32768.0**2)
        levels: list[float] = (10 * np.log10(power + 1e-10)).tolist()
        return [
            self._is_above_floor(level) and self._detector.is_speech(data[at * size : (at + 1) * size], audio.rate)
            for at, level in enumerate(levels)
        ]

    def _is_above_floor(self, level: float) -> bool:
        if self._floor is None:
            self._floor = min(level, _LEAST_DBFS + 10)
        step = _FALL * (level - self._floor) if level < self._floor else _RISE_DB
        self._floor += step
        return level > max(self._floor + _GATE_DB, _LEAST_DBFS)
