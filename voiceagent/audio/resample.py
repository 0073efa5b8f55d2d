"""Changing the sample rate.

`resample` (soxr) for whole utterances, `SpeechResampler` (soxr) for those that come in pieces faster than they are
spoken, `StreamResampler` for live audio: soxr's stream holds back up to 115 ms, a short polyphase FIR less than 2 ms.
"""

from math import gcd
from typing import Final

import numpy as np
import soxr

from voiceagent.audio.pcm import Pcm, bytes_of, samples_of

#: Zero crossings of the sinc on each side; 8 keep aliases 50 dB down above the transition band.
_ZERO_CROSSINGS: Final = 8


def resample(pcm: Pcm, rate: int) -> Pcm:
    """A whole utterance at another rate; same duration."""
    if pcm.rate == rate:
        return pcm
    converted = soxr.resample(samples_of(pcm.data), pcm.rate, rate, quality="HQ")
    return Pcm(rate, converted.astype("<i2", copy=False).tobytes())


class SpeechResampler:
    """Changes the rate of one utterance that comes in chunks. Feed in order, the last chunk (may be empty) marked."""

    def __init__(self, source_rate: int, target_rate: int) -> None:
        self._stream = soxr.ResampleStream(source_rate, target_rate, 1, dtype="int16", quality="HQ")

    def convert(self, data: bytes, *, last: bool) -> bytes:
        """What s16le samples at the target rate are ready; the rest comes with `last`."""
        converted = self._stream.resample_chunk(samples_of(data), last=last)
        return converted.astype("<i2", copy=False).tobytes()


class StreamResampler:
    """Changes the rate of live audio chunk by chunk, whatever the chunks' sizes.

    The same input gives the same output however it is cut. Holds back 8 samples of the lower rate (1 ms at 8 kHz).
    """

    def __init__(self, source_rate: int, target_rate: int) -> None:
        divisor = gcd(source_rate, target_rate)
        self._up, self._down = target_rate // divisor, source_rate // divisor
        half = _ZERO_CROSSINGS * max(self._up, self._down)
        time = np.arange(-half, half + 1) / max(self._up, self._down)
        taps = np.sinc(time * 0.94) * 0.94 * np.kaiser(2 * half + 1, 6.0)
        taps *= self._up / taps.sum()
        length = -(-len(taps) // self._up)
        padded = np.zeros(length * self._up)
        padded[: len(taps)] = taps
        # Row p holds taps p, p+up, p+2up …, reversed so that a dot product with a window of the input convolves.
        self._phases = padded.reshape(length, self._up).T[:, ::-1].astype(np.float32).copy()
        self._length = length
        self._history = np.zeros(length - 1, dtype=np.float32)
        self._position = 0  # of the next output sample on the upsampled grid, relative to the new input's start
        self.rate = target_rate

    def convert(self, data: bytes) -> bytes:
        """The next s16le samples at the target rate."""
        if self._up == self._down:
            return data
        signal = np.concatenate((self._history, samples_of(data).astype(np.float32)))
        count = len(signal) - self._length + 1
        positions = np.arange(self._position, count * self._up, self._down)
        self._position = (int(positions[-1]) + self._down if len(positions) else self._position) - count * self._up
        self._history = signal[count:]
        if not len(positions):
            return b""
        windows = np.lib.stride_tricks.sliding_window_view(signal, self._length)[positions // self._up]
        return bytes_of(np.einsum("ij,ij->i", windows, self._phases[positions % self._up]))
