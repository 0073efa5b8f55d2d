"""WAV files in memory: reading what programs really write, writing mono and stereo."""

import io
import struct
import wave

import numpy as np

from voiceagent.audio.pcm import Pcm, samples_of
from voiceagent.audio.resample import resample


class WavError(ValueError):
    """The bytes are not a WAV file this code can use; the message says why."""


def read_wav(content: bytes) -> Pcm:
    """A 16-bit PCM WAV as mono; several channels are averaged.

    Sizes in headers are not trusted: streamed files claim 0, 0x7ffff000 or 0xffffffff and end at the end of the data.
    Raises WavError for anything else than 16-bit PCM.
    """
    if content[:4] != b"RIFF" or content[8:12] != b"WAVE":
        raise WavError("not a RIFF/WAVE file")
    channels = rate = 0
    at = 12
    while at + 8 <= len(content):
        name, size = content[at : at + 4], struct.unpack_from("<I", content, at + 4)[0]
        if name == b"data" and not size:
            size = len(content)
        body = content[at + 8 : at + 8 + size]
        if name == b"fmt " and len(body) >= 16:
            tag, channels, rate, _, _, bits = struct.unpack_from("<HHIIHH", body)
            if tag not in (1, 0xFFFE) or bits != 16 or not channels or not rate:
                raise WavError(f"only 16-bit PCM is supported, not format {tag} with {bits} bits")
        elif name == b"data":
            if not rate:
                raise WavError("the data comes before the format")
            samples = samples_of(body[: len(body) // (2 * channels) * 2 * channels])
            if channels > 1:
                samples = samples.reshape(-1, channels).mean(axis=1).astype("<i2")
            return Pcm(rate, samples.tobytes())
        at += 8 + size + size % 2
    raise WavError("no audio data in the file")


def write_wav(pcm: Pcm) -> bytes:
    """A mono WAV file."""
    return _write(pcm.rate, 1, pcm.data)


def write_stereo_wav(left: Pcm, right: Pcm) -> bytes:
    """A stereo WAV file; the shorter side is padded with silence, the lower rate raised to the higher."""
    rate = max(left.rate, right.rate)
    sides = [samples_of(resample(side, rate).data) for side in (left, right)]
    both = np.zeros((max(map(len, sides)), 2), dtype="<i2")
    for channel, side in enumerate(sides):
        both[: len(side), channel] = side
    return _write(rate, 2, both.tobytes())


def _write(rate: int, channels: int, data: bytes) -> bytes:
    target = io.BytesIO()
    with wave.open(target, "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(data)
    return target.getvalue()
