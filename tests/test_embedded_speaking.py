"""espeak-ng as a TextToSpeech, with the real program."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import trio

from tests.embedded_processes import LIMITS, children, fake_worker, process_state, within
from voiceagent.audio.pcm import level_dbfs
from voiceagent.journal import Event, WorkerRestarted
from voiceagent.ports import ProviderError, TextToSpeech
from voiceagent.providers.embedded import EmbeddedOptions, open_speech_to_text, open_text_to_speech, speaking
from voiceagent.providers.embedded.messages import ABANDON, END, OPEN, Decoder, Message, encode
from voiceagent.providers.embedded.worker import open_workers


def ignore(_: Event) -> None:
    pass


async def say(tts: TextToSpeech, text: str) -> bytes:
    async with tts.open_speech(text) as chunks:
        return b"".join([chunk.data async for chunk in chunks])


@within(30)
async def test_a_sentence_becomes_audible_speech_in_chunks_of_one_rate() -> None:
    async with (
        open_text_to_speech("espeak", EmbeddedOptions(), journal=ignore) as tts,
        tts.open_speech("Good morning, how can I help you?") as stream,
    ):
        chunks = [chunk async for chunk in stream]
    assert {chunk.rate for chunk in chunks} == {speaking.RATE}
    assert 1.0 < sum(chunk.seconds for chunk in chunks) < 4.0
    assert max(chunk.seconds for chunk in chunks) <= speaking.CHUNK_S
    assert level_dbfs(b"".join(chunk.data for chunk in chunks)) > -30
    assert not children()


@within(30)
async def test_voices_speeds_and_pitches_differ() -> None:
    variants = [
        EmbeddedOptions(),
        EmbeddedOptions(voice="en-gb-scotland+f3"),
        EmbeddedOptions(speed=300),
        EmbeddedOptions(pitch=90),
        EmbeddedOptions(voice="es-419"),
    ]
    async with open_text_to_speech("espeak", variants[0], journal=ignore) as tts:
        spoken = [await say(tts.as_voice(options), "one two three") for options in variants]
        again = await say(tts, "one two three")
    assert len(set(spoken)) == len(variants)
    assert len(spoken[2]) < 0.8 * len(spoken[0])
    assert abs(len(again) - len(spoken[0])) < 0.05 * len(again)


@within(30)
async def test_a_long_text_is_spoken_whole_and_a_silent_one_is_silence() -> None:
    async with open_text_to_speech("espeak", EmbeddedOptions(), journal=ignore) as tts:
        short = len(await say(tts, "seven " * 20))
        assert len(await say(tts, "seven " * 200)) > 8 * short
        assert len(await say(tts, "x" * 900)) > 0
        assert await say(tts, "  \n ") == b""
        assert level_dbfs(await say(tts, "…")) < -60


@within(30)
async def test_what_would_take_minutes_is_refused_and_the_next_sentence_is_spoken() -> None:
    async with open_text_to_speech("espeak", EmbeddedOptions(speed=80), journal=ignore) as tts:
        with pytest.raises(ProviderError, match="longer than 90 s"):
            await say(tts, "777 " * 100)
        assert await say(tts, "yes")


@within(30)
async def test_text_is_text_and_never_markup() -> None:
    async with open_text_to_speech("espeak", EmbeddedOptions(), journal=ignore) as tts:
        for text in (
            "<speak><break time='9s'/></speak>",
            "[[h@l'oU]]",
            "a\0b",
            "\ud83d\ude00",
            '{"text": 1}',
            "mañana",
        ):
            assert len(await say(tts, text.encode("utf-8", "replace").decode())) < 2 * speaking.RATE * 9


@within(30)
async def test_a_cancelled_sentence_does_not_spoil_the_next() -> None:
    async with open_text_to_speech("espeak", EmbeddedOptions(), journal=ignore) as tts:
        whole = len(await say(tts, "the quick brown fox"))
        for after in (0.0, 0.001, 0.003, 0.01):
            with trio.move_on_after(after):
                await say(tts, "a much longer sentence that nobody wants to hear " * 20)
            async with tts.open_speech("left early, after one chunk of quite a few chunks") as chunks:
                async for _ in chunks:
                    break
            assert abs(len(await say(tts, "the quick brown fox")) - whole) < 0.05 * whole


@within(30)
async def test_twenty_calls_share_one_worker() -> None:
    lengths: list[int] = []

    async def one(number: int) -> None:
        lengths.append(len(await say(tts, "hello " * (number + 1))))

    async with (
        open_text_to_speech("espeak", EmbeddedOptions(), journal=ignore) as tts,
        trio.open_nursery() as nursery,
    ):
        for number in range(20):
            nursery.start_soon(one, number)
    assert len(set(lengths)) == 20


@within(30)
async def test_a_killed_worker_is_replaced_and_the_sentence_in_flight_fails() -> None:
    events: list[Event] = []
    async with open_text_to_speech("espeak", EmbeddedOptions(), journal=events.append) as tts:
        (pid,) = children()
        os.kill(pid, signal.SIGSTOP)  # so that the sentence is surely in flight
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_kill_when_all_wait, pid)
            with pytest.raises(ProviderError, match="ended by itself"):
                await say(tts, "never heard")
        assert await say(tts, "back again")
    assert [type(event) for event in events] == [WorkerRestarted]
    assert process_state(pid) == ""


async def _kill_when_all_wait(pid: int) -> None:
    await trio.testing.wait_all_tasks_blocked()
    os.kill(pid, signal.SIGKILL)


@pytest.mark.parametrize("voice", ["en-gb", "en-gb+m3", "EN-US+f3", "en-gb-x-rp", "es", "de+Andy"])
@within(30)
async def test_voices_are_known_by_their_language_codes(voice: str) -> None:
    async with open_text_to_speech("espeak", EmbeddedOptions(voice=voice), journal=ignore) as tts:
        assert await say(tts, "one")


@pytest.mark.parametrize("voice", ["klingon-xx", "en-us+nobody", "+f3"])
@within(30)
async def test_an_unknown_voice_is_an_error_at_start(voice: str) -> None:
    with pytest.raises(ProviderError, match=f"espeak: espeak-ng has no voice '{re.escape(voice)}'"):
        async with open_text_to_speech("espeak", EmbeddedOptions(voice=voice), journal=ignore):
            pytest.fail("it started")
    assert not children()


@pytest.mark.parametrize(
    "library", ["raise ImportError('no module named espeakng_loader')", "get_library_path = lambda: '/nowhere.so'"]
)
@within(30)
async def test_a_missing_or_broken_library_names_the_package_to_install(
    library: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "espeakng_loader.py").write_text(library + "\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(ProviderError, match="pip install espeakng-loader"):
        async with open_text_to_speech("espeak", EmbeddedOptions(), journal=ignore):
            pytest.fail("it started")


@within(30)
async def test_a_deep_installation_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import espeakng_loader

    deep = tmp_path / ("d" * 120) / ("e" * 120)
    deep.mkdir(parents=True)
    (deep / "espeakng_loader").symlink_to(Path(espeakng_loader.__file__).parent)
    monkeypatch.setenv("PYTHONPATH", str(deep))
    async with open_text_to_speech("espeak", EmbeddedOptions(), journal=ignore) as tts:
        (pid,) = children()
        assert await say(tts, "deep")
        assert sys.platform != "linux" or Path(f"/proc/{pid}/cwd").exists()


@within(30)
async def test_ctrl_c_in_the_terminal_does_not_reach_the_worker() -> None:
    async with open_text_to_speech("espeak", EmbeddedOptions(), journal=ignore) as tts:
        (pid,) = children()
        assert os.getpgid(pid) != os.getpgid(0)
        os.kill(pid, signal.SIGINT)
        assert await say(tts, "still here")
        assert children() == {pid}


@pytest.mark.parametrize(
    "nonsense",
    [
        'put(b"A", job, b"odd")',
        'put(b"A", job)',
        'put(b"T", job, b"{}")',
        'put(b"R", job)',
        "while True: put(b'A', job, bytes(100000))",
    ],
)
@within(30)
async def test_nonsense_from_a_worker_fails_the_sentence_and_the_worker_is_replaced(nonsense: str) -> None:
    body = f"""
put(b"R", 0)
while True:
    kind, job, payload = get()
    if kind != b"O": continue
    if b"nonsense" not in payload:
        put(b"A", job, b"ab"); put(b"E", job)
        continue
    {nonsense}
    put(b"E", job)
"""
    events: list[Event] = []
    async with open_workers("espeak", fake_worker(body), 1, journal=events.append, limits=LIMITS) as (worker,):
        tts = speaking.EspeakTextToSpeech(worker, EmbeddedOptions())
        with pytest.raises(ProviderError, match="espeak: the worker wrote"):
            await say(tts, "nonsense")
        while not events:
            await trio.testing.wait_all_tasks_blocked(0.01)
        assert await say(tts, "sense") == b"ab"
    assert len(events) == 1


@within(30)
async def test_sentences_abandoned_before_their_turn_are_not_spoken() -> None:
    request = b'{"text": "no longer wanted", "voice": "en-us", "pitch": 50, "speed": 170}'
    burst = b"".join(encode(Message(OPEN, job, request)) for job in range(1, 301))
    burst += b"".join(encode(Message(ABANDON, job)) for job in range(1, 300))
    end, pipe = os.pipe()
    with os.fdopen(pipe, "wb", buffering=0) as stdin, os.fdopen(end, "rb") as other_end:  # noqa: ASYNC231 - a pipe of this test, closed at once
        assert stdin.write(burst) == len(burst)  # all of it is in the pipe when the program first looks
        program = Path(speaking.__file__).with_name("espeak_worker.py")
        process = await trio.lowlevel.open_process(
            [sys.executable, "-P", str(program)], stdin=other_end, stdout=subprocess.PIPE
        )
        assert process.stdout
        decoder, jobs, ended = Decoder(), set[int](), False
        async with process.stdout:
            while not ended:
                for message in decoder.receive_data(await process.stdout.receive_some()):
                    jobs.add(message.job)
                    ended = message == Message(END, 300)
            stdin.close()
            assert await process.wait() == 0
    assert jobs == {0, 300}


@within(30)
async def test_speech_yields_the_processor_to_the_media_clock() -> None:
    own = os.getpriority(os.PRIO_PROCESS, 0)
    async with (
        open_text_to_speech("espeak", EmbeddedOptions(), journal=ignore),
        open_speech_to_text("sphinx", EmbeddedOptions(recognisers=1), journal=ignore),
    ):
        workers = children()
        assert len(workers) == 2
        assert {os.getpriority(os.PRIO_PROCESS, pid) for pid in workers} == {min(own + 5, 19)}
