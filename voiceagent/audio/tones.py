"""Test and signal tones."""

import numpy as np

from voiceagent.audio.pcm import Pcm, bytes_of


def tone(rate: int, hertz: float, seconds: float, *, dbfs: float = -12.0) -> Pcm:
    """A sine of `dbfs` (peak) with 5 ms ramps, so that it neither starts nor ends with a click."""
    count = round(rate * seconds)
    wave = np.sin(2 * np.pi * hertz / rate * np.arange(count)) * 32767 * 10 ** (dbfs / 20)
    ramp = min(count // 2, round(rate * 0.005))
    if ramp:
        wave[:ramp] *= np.linspace(0, 1, ramp)
        wave[count - ramp :] *= np.linspace(1, 0, ramp)
    return Pcm(rate, bytes_of(wave))
