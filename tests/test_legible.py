"""Speech that can be read: what it says is what is understood, as far as the audio came through."""

import pytest

from voiceagent.audio.pcm import Pcm
from voiceagent.ports import Expectation
from voiceagent.providers.legible import LegibleSpeech, legible_text
from voiceagent.providers.webrtc import WebrtcVad

TEXT = "Grüß Gott, it's half past 3."


async def spoken(speech: LegibleSpeech, text: str) -> list[Pcm]:
    async with speech.open_speech(text) as chunks:
        return [chunk async for chunk in chunks]


async def understood(speech: LegibleSpeech, *audio: Pcm) -> str:
    async with speech.open_recognition(Expectation()) as recognition:
        for each in audio:
            await recognition.send(each)
        return (await recognition.finish()).text


async def test_what_is_said_is_understood_in_lower_case_without_punctuation() -> None:
    speech = LegibleSpeech()
    assert await understood(speech, *await spoken(speech, TEXT)) == "grüß gott it's half past 3"


async def test_how_the_audio_is_cut_into_pieces_does_not_matter() -> None:
    speech = LegibleSpeech()
    data = b"".join(chunk.data for chunk in await spoken(speech, TEXT))
    whole = await understood(speech, Pcm(8000, data))
    assert await understood(speech, *(Pcm(8000, data[at : at + 34]) for at in range(0, len(data), 34))) == whole


async def test_what_is_lost_takes_its_letters_along() -> None:
    speech = LegibleSpeech()
    data = b"".join(chunk.data for chunk in await spoken(speech, "monday and tuesday"))
    letter = 2 * round(8000 * speech.letter_s)
    assert await understood(speech, Pcm(8000, data[: 6 * letter] + data[10 * letter :])) == "monday tuesday"
    assert legible_text(data[: 6 * letter]) == "monday"


async def test_it_lasts_as_long_as_somebody_would_speak_and_a_detector_takes_it_for_voice() -> None:
    chunks = await spoken(LegibleSpeech(), "i would like to book an appointment")
    assert sum(chunk.seconds for chunk in chunks) == pytest.approx(35 * 0.06)
    data = b"".join(chunk.data for chunk in chunks)
    verdicts = WebrtcVad(8000).detect(Pcm(8000, data[: len(data) // 320 * 320]))
    assert all(verdicts)


async def test_silence_says_nothing() -> None:
    assert await understood(LegibleSpeech(), Pcm(8000, bytes(16000))) == ""


async def test_what_is_in_use_is_counted() -> None:
    speech = LegibleSpeech()
    async with speech.open_speech(TEXT), speech.open_recognition(Expectation()):
        assert (speech.open_texts, speech.open_turns) == (1, 1)
    assert (speech.open_texts, speech.open_turns) == (0, 0)
