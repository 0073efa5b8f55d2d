"""Stateful filters for live audio."""

import numpy as np

from voiceagent.audio.pcm import bytes_of, samples_of


class HighPass:
    """A linear-phase FIR high-pass: takes hum and rumble away before voice is looked for.

    -6 dB at `cutoff` hertz. The same input gives the same output however it is cut.
    """

    def __init__(self, rate: int, cutoff: float = 200.0) -> None:
        half = round(rate * 0.006)
        time = np.arange(-half, half + 1)
        low = np.sinc(2 * cutoff / rate * time) * np.hamming(2 * half + 1)
        self._taps = (-low / low.sum()).astype(np.float32)
        self._taps[half] += 1.0
        self._history = bytes(2 * 2 * half)

    def filter(self, data: bytes) -> bytes:
        """As many s16le samples as came in, delayed by 6 ms."""
        if not data:
            return b""
        signal = self._history + data
        self._history = signal[-len(self._history) :]
        return bytes_of(np.convolve(samples_of(signal).astype(np.float32), self._taps, mode="valid"))

    def skip(self, data: bytes) -> None:
        """Take audio whose filtered form nobody wants; what follows is filtered as if this had been, too."""
        self._history = (self._history + data)[-len(self._history) :]
