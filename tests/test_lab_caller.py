"""The scripted caller against a small AudioSocket peer on real loopback TCP."""

from uuid import UUID

import pytest
import trio

from tests.lab_peer import BEEP, Peer, Recorder, open_peer
from voiceagent.audio.pcm import Pcm, level_dbfs
from voiceagent.audio.tones import tone
from voiceagent.lab.caller import open_caller
from voiceagent.lab.connect import LineError
from voiceagent.lab.timeline import AgentBegan, AgentFinished, CallerPressed, CallOver, LineClosed, latencies
from voiceagent.wire.audiosocket import (
    Audio,
    Dtmf,
    Hangup,
    Identity,
    PeerError,
    encode_audio,
    encode_message,
    silence_frame,
)

CALL = UUID("0f5a3f5e-7c1e-4b7e-9d5f-0123456789ab")


async def test_the_uuid_comes_first_and_then_silence_in_whole_frames() -> None:
    recorder = Recorder()
    async with open_peer(recorder) as port:
        async with open_caller("127.0.0.1", port, uuid=CALL) as caller:
            assert await caller.wait_until(lambda: caller.frames_sent >= 5, 10.0)
        first, *frames = await recorder.wait()
    assert first == Identity(CALL)
    assert len(frames) == caller.frames_sent >= 5
    assert set(frames) == {Audio(8000, bytes(320))}


async def test_what_is_said_arrives_as_said_at_the_rate_of_the_line() -> None:
    recorder = Recorder()
    async with open_peer(recorder) as port:
        async with open_caller("127.0.0.1", port, rate=16000) as caller:
            assert await caller.say(tone(22050, 400, 0.2), "hello")
        messages = await recorder.wait()
    audio = b"".join(message.data for message in messages if isinstance(message, Audio) and message.rate == 16000)
    assert level_dbfs(audio[: 640 * 10].lstrip(b"\0")) == pytest.approx(-15, abs=2)
    assert caller.said.data == audio


async def test_a_key_stops_the_audio_and_is_sent_once() -> None:
    recorder = Recorder()
    async with open_peer(recorder) as port:
        async with open_caller("127.0.0.1", port) as caller:
            assert await caller.press("5#")
        messages = await recorder.wait()
    assert [message for message in messages if isinstance(message, Dtmf)] == [Dtmf("5"), Dtmf("#")]
    assert [moment.digit for moment in caller.timeline if isinstance(moment, CallerPressed)] == ["5", "#"]


async def test_a_hang_up_by_end_of_stream_cuts_no_frame() -> None:
    recorder = Recorder()
    async with open_peer(recorder) as port:
        async with open_caller("127.0.0.1", port) as caller:
            caller.hang_up("eof")
        await recorder.wait()
    assert not recorder.was_reset
    assert (caller.over.by, caller.over.how) == ("caller", "eof") if caller.over else False
    assert isinstance(caller.timeline[-1], LineClosed)


async def test_a_hang_up_by_termination_sends_the_frame_for_it_last() -> None:
    recorder = Recorder()
    async with open_peer(recorder) as port:
        async with open_caller("127.0.0.1", port) as caller:
            await caller.pause(0.05)
            caller.hang_up("terminate")
        messages = await recorder.wait()
    assert messages[-1] == Hangup()
    assert messages.count(Hangup()) == 1
    assert not recorder.was_reset


async def test_a_hang_up_by_reset_is_seen_as_a_reset() -> None:
    recorder = Recorder()
    async with open_peer(recorder) as port:
        async with open_caller("127.0.0.1", port) as caller:
            await caller.pause(0.05)
            caller.hang_up("reset")
        await recorder.wait()
    assert recorder.was_reset


async def test_only_the_first_hang_up_counts() -> None:
    recorder = Recorder()
    async with open_peer(recorder) as port:
        async with open_caller("127.0.0.1", port) as caller:
            caller.hang_up("eof")
            caller.hang_up("reset")
        await recorder.wait()
    assert caller.over is not None
    assert caller.over.how == "eof"
    assert not recorder.was_reset


async def test_a_conversation_gives_its_latencies() -> None:
    async def agent(peer: Peer) -> None:
        await peer.beep()
        await peer.read_until_speech()
        await peer.beep()
        await peer.read_to_end()

    async with open_peer(agent) as port, open_caller("127.0.0.1", port) as caller:
        assert await caller.wait_for_agent(quiet=0.45)
        assert await caller.say(BEEP, "hello")
        assert not await caller.wait_for_agent(quiet=0.45, patience=0.5), (
            "the agent spoke before the caller had finished"
        )
    figures = latencies(caller.timeline)
    assert figures.first_sound is not None
    assert [turn.text for turn in figures.turns] == ["hello"]
    assert caller.frames_received == 20
    assert caller.heard.data.count(BEEP.data[:320]) == 2


async def test_an_answer_after_the_caller_has_finished_is_waited_for() -> None:
    async def agent(peer: Peer) -> None:
        await peer.read_until_speech()
        await peer.read_until_silence()
        await peer.beep()
        await peer.read_to_end()

    async with open_peer(agent) as port, open_caller("127.0.0.1", port) as caller:
        await caller.say(BEEP, "hello")
        assert await caller.wait_for_agent(quiet=0.45)
    assert latencies(caller.timeline).turns[0].answered_after is not None


async def test_an_agent_that_falls_silent_when_interrupted_is_measured() -> None:
    async def agent(peer: Peer) -> None:
        await peer.talk_until_interrupted()
        await peer.read_to_end()

    async with open_peer(agent) as port, open_caller("127.0.0.1", port) as caller:
        assert await caller.wait_for_agent_to_begin()
        await caller.say(tone(8000, 400, 0.6), "wait")
        await caller.pause(0.1)
    (turn,) = latencies(caller.timeline).turns
    assert turn.stopped_after is not None
    assert turn.stopped_after < 0.6


async def test_an_agent_that_terminates_wakes_whoever_waits() -> None:
    async def agent(peer: Peer) -> None:
        await peer.read()
        await peer.send(Hangup())
        await peer.read_to_end()

    async with open_peer(agent) as port, open_caller("127.0.0.1", port) as caller:
        assert not await caller.wait_for_agent()
        assert not await caller.say(tone(8000, 400, 5.0))
        assert not await caller.pause(5.0)
    assert (caller.over.by, caller.over.how) == ("agent", "terminate") if caller.over else False


async def test_an_agent_that_closes_first_ends_the_call_and_what_it_was_saying() -> None:
    async def agent(peer: Peer) -> None:
        await peer.beep()
        await peer.stream.send_eof()
        await peer.read_to_end()

    async with open_peer(agent) as port, open_caller("127.0.0.1", port) as caller:
        assert not await caller.wait_for_agent()
    assert (caller.over.by, caller.over.how) == ("agent", "eof") if caller.over else False
    assert [type(moment) for moment in caller.timeline[1:]] == [AgentBegan, AgentFinished, CallOver, LineClosed]


async def test_an_agent_that_resets_the_connection_is_a_normal_end() -> None:
    async def agent(peer: Peer) -> None:
        await peer.read()
        peer.stream.setsockopt(1, 13, b"\x01\0\0\0\0\0\0\0")  # SOL_SOCKET, SO_LINGER: on, 0 s

    async with open_peer(agent) as port, open_caller("127.0.0.1", port) as caller:
        assert not await caller.wait_for_agent()
    assert (caller.over.by, caller.over.how) == ("agent", "reset") if caller.over else False


async def test_frames_that_arrive_in_pieces_are_heard_whole_and_counted() -> None:
    async def agent(peer: Peer) -> None:
        frame = encode_audio(8000, BEEP.data[320:640])
        for _ in range(5):
            await peer.stream.send_all(frame[:100])
            await peer.read()
            await peer.read()
            await peer.stream.send_all(frame[100:])
        await peer.stream.send_all(frame[:200])

    async with open_peer(agent) as port, open_caller("127.0.0.1", port) as caller:
        await caller.wait_for_agent()
    assert caller.heard.data == BEEP.data[320:640] * 5
    assert caller.split_frames >= 5


@pytest.mark.parametrize("frame", [encode_message(Dtmf("1")), encode_message(PeerError(1)), b"\x10\0\0", b"\x01\0\0"])
async def test_the_caller_hangs_up_on_what_asterisk_hangs_up_on(frame: bytes) -> None:
    async def agent(peer: Peer) -> None:
        await peer.stream.send_all(frame)
        await peer.read_to_end()

    async with open_peer(agent) as port, open_caller("127.0.0.1", port) as caller:
        assert not await caller.wait_for_agent()
    assert caller.over is not None
    assert caller.over.by == "caller"
    assert "agent" in caller.over.why


async def test_a_call_ends_by_itself_at_its_limit_and_the_tape_with_it() -> None:
    async def agent(peer: Peer) -> None:
        await peer.beep(5.0)
        await peer.read_to_end()

    async with open_peer(agent) as port, open_caller("127.0.0.1", port, max_s=0.3) as caller:
        assert not await caller.wait_for_agent()
    assert caller.over is not None
    assert "limit" in caller.over.why
    assert caller.frames_sent == 15
    assert caller.heard.seconds == 0.3


async def test_a_wait_for_an_agent_that_says_nothing_is_bounded() -> None:
    async with open_peer(Recorder()) as port, open_caller("127.0.0.1", port) as caller:
        assert not await caller.wait_for_agent(patience=0.1)
        assert not await caller.wait_for_agent_to_begin(patience=0.1)
        assert caller.over is None


async def test_an_agent_that_never_closes_its_side_does_not_keep_the_caller() -> None:
    async def agent(_: Peer) -> None:
        await trio.sleep_forever()

    async with open_peer(agent) as port:
        with trio.fail_after(10):
            async with open_caller("127.0.0.1", port) as caller:
                caller.hang_up()
    assert not any(isinstance(moment, LineClosed) for moment in caller.timeline)


async def test_an_error_in_the_script_leaves_as_it_was_raised_and_closes_the_line() -> None:
    recorder = Recorder()
    async with open_peer(recorder) as port:
        with pytest.raises(KeyError):
            async with open_caller("127.0.0.1", port):
                raise KeyError
        await recorder.wait()


async def test_a_cancelled_caller_closes_the_line_at_once() -> None:
    recorder = Recorder()
    async with open_peer(recorder) as port:
        with trio.CancelScope() as scope:
            async with open_caller("127.0.0.1", port) as caller:
                scope.cancel()
                await caller.wait_for_agent()
        await recorder.wait()


async def test_an_address_nobody_listens_on_is_one_clear_line() -> None:
    async with open_peer(Recorder()) as port:
        pass
    with pytest.raises(LineError) as caught:
        async with open_caller("127.0.0.1", port):
            pass
    assert str(caught.value) == f"127.0.0.1:{port}: connection refused"


async def test_sayings_and_keys_given_at_once_are_done_one_after_the_other() -> None:
    recorder = Recorder()
    async with open_peer(recorder) as port:
        async with open_caller("127.0.0.1", port) as caller, trio.open_nursery() as nursery:
            for _ in range(2):
                nursery.start_soon(caller.say, Pcm(8000, BEEP.data[320:] * 1))
        messages = await recorder.wait()
    loud = [m.data for m in messages if isinstance(m, Audio) and level_dbfs(m.data) > -40]
    assert b"".join(loud) == BEEP.data[320:] * 2


async def test_silence_is_what_the_caller_sends_while_nothing_is_said() -> None:
    recorder = Recorder()
    async with open_peer(recorder) as port:
        async with open_caller("127.0.0.1", port) as caller:
            await caller.pause(0.05)
        messages = await recorder.wait()
    assert b"".join(encode_message(m) for m in messages[1:] if isinstance(m, Audio)) == (
        silence_frame(8000) * caller.frames_sent
    )
