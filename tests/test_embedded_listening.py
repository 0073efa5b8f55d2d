"""pocketsphinx as a SpeechToText, with the real programs and espeak-ng as the speaker."""

import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np
import pytest
import trio

from tests.embedded_processes import LIMITS, children, fake_worker, open_descriptors, within
from voiceagent.audio.pcm import Pcm, silence
from voiceagent.audio.resample import resample
from voiceagent.journal import Event, WorkerRestarted
from voiceagent.ports import Expectation, ProviderError, SpeechToText
from voiceagent.providers.embedded import EmbeddedOptions, open_speech_to_text, open_text_to_speech
from voiceagent.providers.embedded.confidence import Segment, words_of
from voiceagent.providers.embedded.ears import EarsPool
from voiceagent.providers.embedded.front_end import FrontEnd
from voiceagent.providers.embedded.listening import SphinxSpeechToText
from voiceagent.providers.embedded.worker import open_workers
from voiceagent.wire.g711 import decode_ulaw, encode_ulaw

OPTIONS = EmbeddedOptions(recognisers=1)
EXPECTED = Expectation(
    ("good morning", "what are your opening hours", "i need an appointment on {day}", "goodbye"),
    {"day": ("monday", "wednesday", "saturday")},
)
APPOINTMENT = "i need an appointment on wednesday"


def ignore(_: Event) -> None:
    pass


@asynccontextmanager
async def open_ears() -> AsyncIterator[SphinxSpeechToText]:
    async with open_speech_to_text("sphinx", OPTIONS, journal=ignore) as stt:
        yield stt


async def telephone(*sentences: str, rate: int = 8000) -> list[Pcm]:
    """The sentences as a caller's turns: spoken, through µ-law, between silences."""
    turns: list[Pcm] = []
    async with open_text_to_speech("espeak", EmbeddedOptions(speed=150), journal=ignore) as tts:
        for sentence in sentences:
            async with tts.open_speech(sentence) as chunks:
                spoken = b"".join([chunk.data async for chunk in chunks])
            voice = resample(Pcm(22050, spoken), rate).data
            pause = silence(rate, 0.3).data
            turns.append(Pcm(rate, decode_ulaw(encode_ulaw(pause + voice + 2 * pause))))
    return turns


async def recognise(stt: SpeechToText, turn: Pcm, expected: Expectation = EXPECTED) -> str:
    """Sends in pieces of an odd size, as fast as they are taken."""
    async with stt.open_recognition(expected) as recognition:
        for at in range(0, len(turn.data), 962):
            await recognition.send(Pcm(turn.rate, turn.data[at : at + 962]))
        return (await recognition.finish()).text


@within(60)
async def test_expected_phrases_and_slots_are_recognised_and_other_speech_is_not() -> None:
    said = ("what are your opening hours", APPOINTMENT, "my brother lives in a small town near the coast")
    turns = await telephone(*said)
    async with open_ears() as stt:
        assert [await recognise(stt, turn) for turn in turns] == [*said[:2], ""]
    assert not children()


@pytest.mark.parametrize("rate", [8000, 16000, 22050, 48000])
@within(60)
async def test_audio_of_any_rate_is_understood(rate: int) -> None:
    (turn,) = await telephone(APPOINTMENT, rate=rate)
    async with open_ears() as stt:
        assert await recognise(stt, turn) == APPOINTMENT


@within(60)
async def test_silence_noise_and_nothing_at_all_are_no_words() -> None:
    async with open_ears() as stt:
        for turn in (silence(8000, 2.0), Pcm(8000, os.urandom(32000)), Pcm(8000, b""), Pcm(8000, b"\1\0")):
            assert await recognise(stt, turn) == ""


@within(60)
async def test_where_anything_may_be_said_nothing_is_claimed() -> None:
    (turn,) = await telephone(APPOINTMENT)
    async with open_ears() as stt:
        assert await recognise(stt, turn, Expectation()) == ""


@within(60)
async def test_words_of_no_dictionary_are_pronounced_by_spelling() -> None:
    (turn,) = await telephone("could i speak to brondelar please")
    expected = Expectation(("could i speak to {name} please",), {"name": ("brondelar", "kistova", "o'malley")})
    async with open_ears() as stt:
        assert await recognise(stt, turn, expected) == "could i speak to brondelar please"


@within(60)
async def test_a_phrase_that_cannot_be_pronounced_fails_the_turn_and_not_the_worker() -> None:
    turns = await telephone(APPOINTMENT)
    async with open_ears() as stt:
        with pytest.raises(ProviderError, match="'123' cannot be pronounced"):
            await recognise(stt, turns[0], Expectation(("123",)))
        assert await recognise(stt, turns[0]) == APPOINTMENT


@within(60)
async def test_twenty_turns_at_once_do_not_mix() -> None:
    said = ("what are your opening hours", APPOINTMENT)
    turns = await telephone(*said)
    heard: list[bool] = []

    async def one(number: int) -> None:
        heard.append(await recognise(stt, turns[number % 2]) == said[number % 2])

    async with open_speech_to_text("sphinx", EmbeddedOptions(recognisers=2), journal=ignore) as stt:
        assert len(children()) == 2
        async with trio.open_nursery() as nursery:
            for number in range(20):
                nursery.start_soon(one, number)
    assert heard == [True] * 20


@within(60)
async def test_turns_left_at_any_point_leave_the_ears_as_good_as_new() -> None:
    (turn,) = await telephone(APPOINTMENT)
    half = Pcm(turn.rate, turn.data[: len(turn.data) // 4 * 2])
    async with open_ears() as stt:
        for _ in range(10):
            async with stt.open_recognition(EXPECTED):
                pass
            async with stt.open_recognition(EXPECTED) as recognition:
                await recognition.send(half)
            async with stt.open_recognition(EXPECTED) as recognition:
                await recognition.send(half)
                with trio.move_on_after(0):
                    await recognition.finish()
        assert await recognise(stt, turn) == APPOINTMENT


@within(60)
async def test_the_caller_before_and_the_noise_around_him_change_nothing_that_is_heard() -> None:
    (turn,) = await telephone(APPOINTMENT)
    noise = Pcm(8000, np.random.default_rng(1).normal(0.0, 3000.0, 16000).astype("<i2").tobytes())
    ears = EarsPool().take(EXPECTED)

    def hear(audio: Pcm) -> list[Segment]:
        ears.begin()
        ears.hear(FrontEnd(audio.rate).convert(audio.data))
        return ears.end()

    first = hear(turn)
    assert words_of([first]) == APPOINTMENT
    for before in (noise, Pcm(8000, turn.data[: len(turn.data) // 4 * 2]), turn, silence(8000, 1.0)):
        hear(before)
        assert hear(turn) == first  # every frame and likelihood, to the last digit


@within(60)
async def test_a_turn_without_end_is_cut_and_answered() -> None:
    async with open_ears() as stt:
        assert await recognise(stt, silence(8000, 300.0)) == ""


@within(60)
async def test_a_killed_worker_fails_the_turn_and_the_next_is_understood() -> None:
    (turn,) = await telephone(APPOINTMENT)
    events: list[Event] = []
    async with open_speech_to_text("sphinx", OPTIONS, journal=events.append) as stt:
        (pid,) = children()
        async with stt.open_recognition(EXPECTED) as recognition:
            os.kill(pid, signal.SIGKILL)
            while not events:
                await recognition.send(turn)  # never raises, never waits for the worker
                await trio.sleep(0.01)
            with pytest.raises(ProviderError, match="sphinx: the worker ended by itself"):
                await recognition.finish()
        assert await recognise(stt, turn) == APPOINTMENT
    assert [type(event) for event in events] == [WorkerRestarted]


@pytest.mark.parametrize(
    "nonsense",
    [
        ("T", b"not json"),
        ("T", b'{"words": 1}'),
        ("T", b'{"text": 1}'),
        ("T", b"[]"),
        ("T", b"\xff"),
        ("T", b"[" * 100_000),
        ("E", b""),
        ("A", b"\0"),
        ("R", b""),
    ],
)
@within(60)
async def test_nonsense_from_a_worker_fails_the_turn_and_the_worker_is_replaced(nonsense: tuple[str, bytes]) -> None:
    kind, payload = nonsense
    body = f"""
put(b"R", 0)
while True:
    kind, job, payload = get()
    if kind == b"F": put({kind.encode()!r}, job, {payload!r})
"""
    events: list[Event] = []
    async with open_workers("sphinx", fake_worker(body), 1, journal=events.append, limits=LIMITS) as workers:
        stt = SphinxSpeechToText(workers)
        before = workers[0].pid
        with pytest.raises(ProviderError, match="sphinx: the worker wrote nonsense"):
            await recognise(stt, silence(8000, 0.1))
        while not events:
            await trio.testing.wait_all_tasks_blocked(0.01)
        await workers[0].wait_available()
        assert workers[0].pid != before
    assert [event.reason[:25] for event in events if isinstance(event, WorkerRestarted)] == [
        "the worker wrote nonsense"
    ]


@within(60)
async def test_the_service_goes_on_with_the_other_worker_while_one_restarts() -> None:
    (turn,) = await telephone(APPOINTMENT)
    async with open_speech_to_text("sphinx", EmbeddedOptions(recognisers=2), journal=ignore) as stt:
        os.kill(min(children()), signal.SIGKILL)
        await trio.testing.wait_all_tasks_blocked(0.05)
        assert await recognise(stt, turn) == APPOINTMENT


@pytest.mark.parametrize("library", ["pocketsphinx", "webrtc_noise_gain"])
@within(60)
async def test_a_missing_library_names_the_package_to_install(
    library: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / f"{library}.py").write_text(f"raise ImportError('no module named {library}')\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(ProviderError, match=f"no module named {library} .*pip install"):
        async with open_ears():
            pytest.fail("it started")
    assert not children()


@within(60)
async def test_nothing_is_left_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    (turn,) = await telephone(APPOINTMENT)
    before = open_descriptors()
    async with open_ears() as stt:
        assert await recognise(stt, turn) == APPOINTMENT
    assert not list(tmp_path.iterdir())
    assert not children()
    assert open_descriptors() == before
