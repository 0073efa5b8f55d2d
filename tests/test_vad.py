"""The WebRTC detector behind its high-pass and gate, on synthetic speech, hum and noise."""

import numpy as np
import pytest

from tests.test_service import speech_of
from voiceagent.audio.pcm import Pcm, bytes_of, level_dbfs, silence, with_noise
from voiceagent.audio.resample import resample
from voiceagent.audio.tones import tone
from voiceagent.providers.webrtc import WebrtcVad


def frames_of(pcm: Pcm) -> Pcm:
    """`pcm` cut to whole 20 ms frames."""
    size = pcm.rate // 50 * 2
    return Pcm(pcm.rate, pcm.data[: len(pcm.data) // size * size])


def share(verdicts: list[bool]) -> float:
    return sum(verdicts) / len(verdicts)


def noise(seconds: float, dbfs: float) -> Pcm:
    samples = np.random.default_rng(1).normal(0, 32768 * 10 ** (dbfs / 20), round(8000 * seconds))
    return Pcm(8000, bytes_of(samples))


async def test_speech_is_voice_clean_and_in_noise() -> None:
    speech = frames_of(resample(await speech_of("could you tell me when you are open"), 8000))
    loud = [level_dbfs(speech.data[at : at + 320]) > -35 for at in range(0, len(speech.data), 320)]
    for audio in (speech, with_noise(speech, 20, seed=1)):
        detector = WebrtcVad(8000)
        detector.detect(frames_of(silence(8000, 0.5)))
        verdicts = detector.detect(audio)
        assert share([verdict for verdict, is_loud in zip(verdicts, loud, strict=True) if is_loud]) > 0.8


@pytest.mark.parametrize(
    ("audio", "most"),
    [
        (silence(8000, 5.0), 0.0),
        (tone(8000, 50, 5.0, dbfs=-20), 0.02),
        (noise(20.0, -60), 0.02),
        (noise(20.0, -40), 0.25),
    ],
    ids=["silence", "hum", "quiet noise", "loud noise"],
)
def test_what_is_no_voice_is_not_taken_for_it(audio: Pcm, most: float) -> None:
    assert share(WebrtcVad(8000).detect(frames_of(audio))) <= most


def test_steady_noise_becomes_the_floor() -> None:
    detector = WebrtcVad(8000)
    detector.detect(frames_of(noise(20.0, -40)))
    assert share(detector.detect(frames_of(noise(5.0, -40)))) < 0.05


def test_how_the_audio_is_cut_does_not_matter() -> None:
    audio = with_noise(tone(8000, 440, 2.0), 25, seed=3)
    whole, pieces = WebrtcVad(8000), WebrtcVad(8000)
    by_three = [
        verdict
        for at in range(0, len(audio.data), 960)
        for verdict in pieces.detect(Pcm(8000, audio.data[at : at + 960]))
    ]
    assert by_three == whole.detect(Pcm(8000, audio.data))
