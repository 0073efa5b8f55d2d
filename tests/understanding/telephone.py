"""A caller's voice as it reaches the service: 8 kHz, µ-law, noise, cut into turns."""

from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from typing import TypeVar

import numpy as np
from attrs import frozen

from voiceagent.audio.pcm import Pcm, bytes_of, samples_of
from voiceagent.audio.resample import resample
from voiceagent.ports import ProviderError
from voiceagent.providers.embedded import EmbeddedOptions
from voiceagent.providers.embedded.speaking import EspeakTextToSpeech
from voiceagent.providers.webrtc import WebrtcVad
from voiceagent.turns.endpointing import Decision, Endpointing, TurnDetector
from voiceagent.wire.audiosocket import FRAME_SECONDS, frame_bytes
from voiceagent.wire.g711 import decode_ulaw, encode_ulaw

_T = TypeVar("_T")
RATE = 8000
#: Root mean square of the voice, in dB below full scale.
_VOICE_DBFS = -22.0
#: What a line hisses even when it is "clean".
_HISS_DBFS = -68.0
_BEFORE_S, _AFTER_S = 1.0, 1.0
#: As in pipeline/hearing.py.
_PRE_ROLL_S, _CALM_FRAMES, _TURN_FRAMES = 0.34, 5, 3


@frozen
class Telephone:
    """`snr_db`: the voice's mean power over that of the white noise; None: a clean line."""

    tts: EspeakTextToSpeech
    snr_db: float | None

    async def say(self, text: str, voice: EmbeddedOptions, *, seed: int) -> list[Pcm]:
        """The turns the service makes of `text`, usually one. `seed` gives the noise; the voice varies a little."""
        spoken = await persist(lambda: self._speak(text, voice))
        narrow = resample(Pcm(spoken[0].rate, b"".join(chunk.data for chunk in spoken)), RATE)
        return list(turns_of(self._on_the_line(narrow, seed)))

    async def _speak(self, text: str, voice: EmbeddedOptions) -> list[Pcm]:
        async with self.tts.as_voice(voice).open_speech(text) as chunks:
            return [chunk async for chunk in chunks]

    def _on_the_line(self, voice: Pcm, seed: int) -> Pcm:
        samples = samples_of(voice.data).astype(np.float64)
        loud = samples[np.abs(samples) > 64]
        samples *= 32768 * 10 ** (_VOICE_DBFS / 20) / np.sqrt(np.mean(loud**2))
        samples = np.concatenate((np.zeros(round(RATE * _BEFORE_S)), samples, np.zeros(round(RATE * _AFTER_S))))
        noise_dbfs = _HISS_DBFS if self.snr_db is None else _VOICE_DBFS - self.snr_db
        samples += np.random.default_rng(seed).normal(0.0, 32768 * 10 ** (noise_dbfs / 20), len(samples))
        return Pcm(RATE, decode_ulaw(encode_ulaw(bytes_of(samples))))


async def persist(job: Callable[[], Awaitable[_T]]) -> _T:
    """What comes of `job`, which may fail nine times: a machine that stands still is not what is measured."""
    for _ in range(9):
        with suppress(ProviderError):
            return await job()
    return await job()


def turns_of(audio: Pcm) -> Iterator[Pcm]:
    """`audio` cut by the service's own voice and turn detection, in the batches it works in."""
    vad, detector = WebrtcVad(audio.rate), TurnDetector(Endpointing())
    kept = 2 * round(audio.rate * _PRE_ROLL_S)
    turn, at, now = b"", 0, 0.0
    while True:
        batch = (_TURN_FRAMES if detector.in_turn else _CALM_FRAMES) * frame_bytes(audio.rate)
        piece, at = audio.data[at : at + batch], at + batch
        if len(piece) < batch:
            return
        turn = (turn if detector.in_turn else turn[-kept:]) + piece
        for speech in vad.detect(Pcm(audio.rate, piece)):
            now += FRAME_SECONDS
            decision = detector.feed(speech=speech, seconds=FRAME_SECONDS, now=now)
            if decision is Decision.ENDED:
                yield Pcm(audio.rate, turn)
                turn = b""
