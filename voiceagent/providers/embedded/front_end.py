"""Telephone audio made ready for a recogniser that has learned from wideband speech. Pure arithmetic."""

from typing import Final

import numpy as np
from webrtc_noise_gain import AudioProcessor

from voiceagent.audio.filters import HighPass
from voiceagent.audio.pcm import bytes_of, samples_of
from voiceagent.audio.resample import StreamResampler

#: What the recogniser wants.
RATE: Final = 16000
_BLOCK_BYTES: Final = RATE // 100 * 2  # the noise suppressor takes 10 ms at a time
#: 0 (off) to 4.
_SUPPRESSION: Final = 1
#: The image of the telephone band above 4 kHz, relative to the band. A model of wideband speech takes silence there for
#: something that it is not: with the image it understands a third more.
_IMAGE: Final = 10 ** (-6 / 20)
#: Root mean square of the hiss that can be added: -48 dB below full scale.
_HISS: Final = 32768 * 10 ** (-48 / 20)


class FrontEnd:
    """One turn's audio at any rate to clean 16 kHz: hum, noise and the missing upper band are dealt with.

    `hiss` adds a little noise to it first, always the same. Holds back less than 10 ms plus 7 ms of filters.
    """

    def __init__(self, rate: int, *, hiss: bool = False) -> None:
        self._hiss = np.random.default_rng(7) if hiss else None
        self._high_pass = HighPass(rate, 150.0)
        self._resampler = StreamResampler(rate, RATE)
        self._suppressor = AudioProcessor(0, _SUPPRESSION)
        self._narrow = rate <= RATE // 2
        self._sign = 1.0
        self._pending = b""

    def convert(self, data: bytes) -> bytes:
        """The next s16le samples at RATE, whole 10 ms blocks."""
        if self._hiss:
            samples = samples_of(data)
            data = bytes_of(samples + self._hiss.normal(0.0, _HISS, len(samples)))
        wide = self._resampler.convert(self._high_pass.filter(data))
        blocks = self._pending + (self._with_image(wide) if self._narrow else wide)
        whole = len(blocks) // _BLOCK_BYTES * _BLOCK_BYTES
        self._pending = blocks[whole:]
        return b"".join(
            self._suppressor.Process10ms(blocks[at : at + _BLOCK_BYTES]).audio for at in range(0, whole, _BLOCK_BYTES)
        )

    def _with_image(self, data: bytes) -> bytes:
        """Every other sample's sign changed mirrors the spectrum about 4 kHz."""
        samples = samples_of(data).astype(np.float32)
        signs = np.full(len(samples), self._sign * _IMAGE, dtype=np.float32)
        signs[1::2] *= -1
        self._sign *= -1.0 if len(samples) % 2 else 1.0
        return bytes_of(samples * (1 + signs))
