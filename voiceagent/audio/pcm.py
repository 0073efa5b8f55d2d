"""PCM chunks that know their rate, and plain arithmetic on them."""

from typing import Final, TypeAlias

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

Samples: TypeAlias = NDArray[np.int16]

#: What `level_dbfs` says of digital silence.
SILENCE_DBFS: Final = -96.0


@frozen
class Pcm:
    """Audio: s16le mono `data` at `rate` hertz."""

    rate: int
    data: bytes

    @property
    def seconds(self) -> float:
        return len(self.data) / (2 * self.rate)


def samples_of(data: bytes) -> Samples:
    """The samples of s16le `data`, without a copy (read-only)."""
    return np.frombuffer(data, dtype="<i2")


def bytes_of(samples: NDArray[np.float32] | NDArray[np.float64] | Samples) -> bytes:
    """s16le of samples in int16 scale, rounded and clipped."""
    return np.clip(np.rint(samples), -32768, 32767).astype("<i2").tobytes()


def silence(rate: int, seconds: float) -> Pcm:
    return Pcm(rate, bytes(2 * round(rate * seconds)))


def level_dbfs(data: bytes) -> float:
    """Root mean square of s16le `data` in dB below full scale; empty or all zero: SILENCE_DBFS."""
    samples = samples_of(data).astype(np.float32)
    if not len(samples):
        return SILENCE_DBFS
    power = float(np.dot(samples, samples)) / len(samples)
    return max(SILENCE_DBFS, 10 * float(np.log10(power / 32768.0**2))) if power else SILENCE_DBFS


def with_noise(pcm: Pcm, snr_db: float, *, seed: int) -> Pcm:
    """`pcm` with white noise `snr_db` below its mean power (of its non-silent part). Deterministic by `seed`."""
    clean = samples_of(pcm.data).astype(np.float64)
    loud = clean[np.abs(clean) > 64]
    if not len(loud):
        return pcm
    sigma = float(np.sqrt(np.mean(loud**2))) * 10 ** (-snr_db / 20)
    return Pcm(pcm.rate, bytes_of(clean + np.random.default_rng(seed).normal(0.0, sigma, len(clean))))
