"""Whole calls in virtual time: the real line, clock, turns, pipeline and flow; speech providers in process."""

import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from ipaddress import ip_network
from pathlib import Path
from typing import TypeVar

import attrs
import pytest
import trio
from trio.testing import MockClock

from tests.fakes import FakeRecogniser, FakeVoice, LoudnessVad, provider_errors
from tests.peer import Peer
from voiceagent import journal as j
from voiceagent.audio.pcm import Pcm
from voiceagent.audio.wav import read_wav
from voiceagent.calls.admission import Admission
from voiceagent.calls.call import Agent, CallLimits, ConversationAgent, EchoAgent
from voiceagent.calls.live import LiveCalls
from voiceagent.calls.router import Router
from voiceagent.calls.tools import Tools
from voiceagent.config import flow_path
from voiceagent.dialogue.load import load_flow
from voiceagent.dialogue.scripted import FlowDialogue
from voiceagent.pbx.clock import MediaClock
from voiceagent.pbx.line import Line
from voiceagent.pipeline.conversation import Phrase
from voiceagent.pipeline.hearing import EarEvent, Hearing
from voiceagent.turns.endpointing import Endpointing
from voiceagent.wire.audiosocket import Dtmf, encode_audio, encode_message

FLOW = load_flow(flow_path("reception", Path()))
SILENCE_S = 0.6
EventT = TypeVar("EventT", bound=j.Event)


async def write_at_once(write: Callable[[], None]) -> None:
    write()


@attrs.define
class Rig:
    """A service without a listener: calls come in through `call`."""

    stt: FakeRecogniser
    tts: FakeVoice
    directory: Path
    events: list[j.Event] = attrs.field(factory=list)
    max_calls: int = 10
    idle_s: float = 60.0
    max_call_s: float = 900.0
    agent: Agent | None = None
    router: Router = attrs.field(init=False)
    nursery: trio.Nursery = attrs.field(init=False)

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Rig"]:
        """Leaving ends the live calls, and checks that no provider has anything open."""
        clock = MediaClock()
        self.router = Router(
            clock=clock,
            admission=Admission(self.max_calls, 3, (ip_network("127.0.0.0/8"),)),
            agent=self.agent or self.receptionist(),
            limits=CallLimits(self.max_call_s, self.idle_s),
            run_tool=Tools(self.directory, self.events.append, write_at_once).run,
            live=LiveCalls(self.events.append),
        )
        async with trio.open_nursery() as engine:
            engine.start_soon(clock.run)
            async with trio.open_nursery() as self.nursery:
                yield self
                self.nursery.cancel_scope.cancel()
            engine.cancel_scope.cancel()
        assert (self.stt.open_turns, self.tts.open_texts) == (0, 0)
        assert not self.router.live.calls
        assert self.router.admission.connections == 0

    def receptionist(self) -> ConversationAgent:
        return ConversationAgent(
            name="reception",
            stt=self.stt,
            tts=self.tts,
            vad=LoudnessVad,
            dialogue=lambda facts: FlowDialogue(FLOW, facts=facts),
            endpointing=Endpointing(end_silence_s=SILENCE_S),
            no_input_s=7.0,
            apology=Phrase("Sorry, again please.", Pcm(8000, b"\x00\x11" * 4000)),
            farewell=Phrase("Sorry, goodbye.", Pcm(8000, b"\x00\x12" * 4000)),
        )

    def call(self, host: str = "127.0.0.1") -> Peer:
        peer = Peer()
        self.nursery.start_soon(self.router.serve, peer.endpoint, host, 5000)
        return peer

    async def dial(self) -> Peer:
        """A call that has begun."""
        peer = self.call()
        peer.identify()
        await peer.talk("..")
        return peer

    async def listen(self, peer: Peer, until: Callable[[], bool], within: float = 60.0) -> None:
        """Silence from the caller until `until()`."""
        with trio.fail_after(within):
            while not until():
                await peer.talk(".")

    async def greeted(self, peer: Peer) -> None:
        await self.listen(peer, lambda: any("How can I help" in said.text for said in self.all(j.AgentSaid)))
        await self.silence(peer)

    async def say(self, peer: Peer, text: str | Exception) -> None:
        """The caller says something, recognised as `text`, and waits for the agent to finish his answer."""
        self.stt.texts.append(text)
        said = len(self.all(j.AgentSaid))
        await peer.talk("#" * 25 + "." * 35)
        await self.listen(peer, lambda: len(self.all(j.AgentSaid)) > said or peer.over is not None)
        await self.silence(peer)

    async def silence(self, peer: Peer) -> None:
        """Wait until the agent has said nothing for half a second."""
        await self.listen(peer, lambda: peer.speech[-1][0] < trio.current_time() - 0.5 or peer.over is not None)

    def all(self, kind: type[EventT]) -> list[EventT]:
        return [event for event in self.events if isinstance(event, kind)]

    @property
    def end(self) -> j.CallEnded:
        (ended,) = self.all(j.CallEnded)
        return ended


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return Rig(FakeRecogniser(), FakeVoice(), tmp_path)


async def test_a_caller_books_an_appointment_and_says_goodbye(rig: Rig, autojump_clock: MockClock) -> None:
    async with rig.running():
        peer = await rig.dial()
        await rig.greeted(peer)
        await rig.say(peer, "i would like an appointment on tuesday at three o'clock")
        await rig.say(peer, "yes")
        await rig.say(peer, "goodbye")
        await rig.listen(peer, lambda: peer.over is not None)
        assert peer.over == "reset"  # the only end after which Asterisk does not go on in the dialplan
    note, hang_up = rig.all(j.ToolFinished)
    assert note.ok
    assert note.arguments == {"kind": "booking", "day": "tuesday", "hour": "15:00"}
    assert hang_up.name == "hang_up"
    assert rig.end.cause == "agent hung up"
    assert '"day": "tuesday"' in (rig.directory / "notes.jsonl").read_text()
    assert all(said.heard == 1.0 for said in rig.all(j.AgentSaid))


async def test_the_recogniser_is_told_what_the_dialogue_expects(rig: Rig, autojump_clock: MockClock) -> None:
    async with rig.running():
        peer = await rig.dial()
        await rig.greeted(peer)
        await rig.say(peer, "when are you open")
    (expected,) = rig.stt.expectations
    assert "what are your opening hours" in expected.phrases


async def test_the_turn_is_recognised_with_its_beginning(rig: Rig, autojump_clock: MockClock) -> None:
    async with rig.running():
        peer = await rig.dial()
        await rig.greeted(peer)
        await rig.say(peer, "when are you open")
    assert rig.stt.heard_s[0] == pytest.approx(0.5 + SILENCE_S + 0.24, abs=0.1)  # voice, end silence, pre-roll


async def test_the_answer_begins_right_after_the_end_silence(rig: Rig, autojump_clock: MockClock) -> None:
    async with rig.running():
        peer = await rig.dial()
        await rig.greeted(peer)
        await rig.say(peer, "when are you open")
    assert rig.all(j.AgentStarted)[0].lag == pytest.approx(SILENCE_S, abs=0.08)


async def test_a_caller_who_speaks_stops_the_agent_who_notes_what_was_heard(
    rig: Rig, autojump_clock: MockClock
) -> None:
    rig.tts.letter_s = 0.06
    async with rig.running():
        peer = await rig.dial()
        await rig.greeted(peer)
        rig.stt.texts.append("how do i get to you")
        await peer.talk("#" * 25 + "." * 60)
        rig.stt.texts.append("when are you open")
        spoken = trio.current_time()
        await peer.talk("#" * 50)
        assert max(at for at, _ in peer.speech) - spoken <= 0.3  # 0.2 s to mean it, one batch, one frame
        await rig.say(peer, "")
    assert len(rig.all(j.BargeIn)) == 1
    interrupted = [said for said in rig.all(j.AgentSaid) if said.heard < 1.0]
    assert len(interrupted) == 1
    assert 0.0 < interrupted[0].heard < 0.9
    assert any("We are open" in said.text for said in rig.all(j.AgentSaid))


async def test_a_cough_neither_stops_the_agent_nor_is_answered(rig: Rig, autojump_clock: MockClock) -> None:
    async with rig.running():
        peer = await rig.dial()
        await peer.talk("....#####" + "." * 50)
        await rig.greeted(peer)
        await peer.talk("." * 20 + "####" + "." * 60)
    assert not rig.all(j.BargeIn)
    assert not rig.all(j.CallerSaid)
    assert all(said.heard == 1.0 for said in rig.all(j.AgentSaid))


async def test_a_key_stops_the_agent_and_is_answered(rig: Rig, autojump_clock: MockClock) -> None:
    async with rig.running():
        peer = await rig.dial()
        await peer.talk("." * 20 + "0" + "." * 10)
        await rig.listen(peer, lambda: peer.hung_up)
        peer.end.close()
    transfer = rig.all(j.ToolFinished)[0]
    assert (transfer.name, rig.end.cause) == ("transfer", "transferred")
    assert [key.digit for key in rig.all(j.CallerKeyed)] == ["0"]


async def test_silence_is_asked_about_and_ends_the_call(rig: Rig, autojump_clock: MockClock) -> None:
    async with rig.running():
        peer = await rig.dial()
        await rig.listen(peer, lambda: peer.over is not None or peer.hung_up, within=120)
        peer.end.close()
    silent = [event.at for event in rig.all(j.CallerSilent)]
    assert len(silent) == 3
    assert rig.end.cause in ("agent hung up", "transferred")


async def test_a_message_is_recorded_until_the_caller_falls_silent(rig: Rig, autojump_clock: MockClock) -> None:
    async with rig.running():
        peer = await rig.dial()
        await rig.greeted(peer)
        rig.stt.texts.append("i would like to leave a message")
        await peer.talk("#" * 25 + "." * 35)
        await rig.listen(peer, lambda: len(peer.speech) > 0 and _recording(rig))
        await peer.talk("." * 20 + "#" * 100 + "." * 80 + "#" * 50 + "." * 160)
        await peer.talk("." * 20)
    (message,) = [tool for tool in rig.all(j.ToolFinished) if tool.name == "take_message"]
    assert message.ok
    recorded = read_wav(Path(message.result).read_bytes())
    assert recorded.seconds == pytest.approx(0.4 + 2.0 + 1.6 + 1.0 + 2.5, abs=0.3)
    assert re.search(r"messages/\d{8}T\d{6}Z-[0-9a-f-]{36}\.wav$", message.result)


async def test_a_caller_who_hangs_up_after_his_message_has_left_it(rig: Rig, autojump_clock: MockClock) -> None:
    async with rig.running():
        peer = await rig.dial()
        await rig.greeted(peer)
        rig.stt.texts.append("i would like to leave a message")
        await peer.talk("#" * 25 + "." * 35)
        await rig.listen(peer, lambda: _recording(rig))
        await peer.talk("#" * 100)
        peer.end.close()
        await trio.sleep(0.1)
    (message,) = (rig.directory / "messages").iterdir()
    assert rig.all(j.ToolFinished)[0].result == str(message)
    assert read_wav(message.read_bytes()).seconds == pytest.approx(2.0, abs=0.1)


def _recording(rig: Rig) -> bool:
    return any(call.hearing is not None and call.hearing.is_recording for call in rig.router.live.calls.values())


async def test_a_failing_recogniser_is_apologised_for_and_the_call_goes_on(rig: Rig, autojump_clock: MockClock) -> None:
    async with rig.running():
        peer = await rig.dial()
        await rig.greeted(peer)
        await rig.say(peer, next(iter(provider_errors(1))))
        await rig.say(peer, "when are you open")
    assert [failed.provider for failed in rig.all(j.ProviderFailed)] == ["ears"]
    said = [said.text for said in rig.all(j.AgentSaid)]
    assert "Sorry, again please." in said
    assert any("We are open" in text for text in said)


async def test_three_failures_in_a_row_end_the_call_politely(rig: Rig, autojump_clock: MockClock) -> None:
    async with rig.running():
        peer = await rig.dial()
        await rig.greeted(peer)
        for error in provider_errors(3):
            await rig.say(peer, error)
        await rig.listen(peer, lambda: peer.hung_up)
        peer.end.close()
    assert rig.all(j.AgentSaid)[-1].text == "Sorry, goodbye."
    assert rig.end.cause == "provider failed"


async def test_a_sentence_is_tried_again_when_the_synthesis_fails_once(rig: Rig, autojump_clock: MockClock) -> None:
    rig.tts.failures = 1
    async with rig.running():
        peer = await rig.dial()
        await rig.greeted(peer)
    assert len(rig.all(j.ProviderFailed)) == 1


async def test_audio_at_a_rate_the_wire_does_not_know_is_resampled_whole(rig: Rig, autojump_clock: MockClock) -> None:
    rig.tts.rate = 22050
    async with rig.running():
        peer = await rig.dial()
        await rig.greeted(peer)
        text = "".join(rig.tts.said)
        assert len(peer.speech) * 0.02 == pytest.approx(len(text) * rig.tts.letter_s, rel=0.05)
        assert {audio.rate for _, audio in peer.audio} == {8000}


@pytest.mark.parametrize("how", ["eof", "reset"])
@pytest.mark.parametrize("moment", ["greeting", "waiting", "speech", "recognition", "answer", "message"])
async def test_a_hang_up_at_any_moment_leaves_nothing(
    rig: Rig, autojump_clock: MockClock, how: str, moment: str
) -> None:
    rig.stt.delay_s = 0.5
    async with rig.running():
        peer = await rig.dial()
        if moment != "greeting":
            await rig.greeted(peer)
        match moment:
            case "greeting":
                await peer.talk("." * 20)
            case "speech":
                await peer.talk("#" * 20)
            case "recognition":
                await peer.talk("#" * 20 + "." * 40)
                assert rig.stt.open_turns == 1
            case "answer":
                rig.stt.texts.append("how do i get to you")
                await peer.talk("#" * 20 + "." * 90)
                assert rig.tts.open_texts == 1
            case "message":
                rig.stt.texts.append("leave a message")
                await peer.talk("#" * 20 + "." * 35)
                await rig.listen(peer, lambda: _recording(rig))
        gone = trio.current_time()
        if how == "eof":
            peer.end.close()
        else:
            peer.end.abort()
        await trio.sleep(0.021)  # the next time the clock reads
        assert not rig.router.live.calls
        assert (rig.stt.open_turns, rig.tts.open_texts) == (0, 0)
    assert rig.end.cause == "caller hung up"
    assert rig.end.at - gone <= 0.0201
    assert list(rig.directory.rglob("*.part")) == []


async def test_an_echo_agent_returns_every_frame(rig: Rig, autojump_clock: MockClock) -> None:
    rig.agent = EchoAgent("echo")
    async with rig.running():
        peer = await rig.dial()
        await peer.talk("#" * 100 + "." * 3)
        assert len(peer.speech) == 100


async def test_beyond_the_limit_a_connection_is_closed_at_once(rig: Rig, autojump_clock: MockClock) -> None:
    rig.max_calls = 1
    async with rig.running():
        first = await rig.dial()
        second = rig.call()
        await first.talk("..")
        second.poll()
        assert second.hung_up
        assert second.over == "eof"
        await first.talk("." * 50)
        assert len(rig.router.live.calls) == 1
    assert rig.router.refused == {"too many calls": 1}


async def test_connections_that_do_not_say_which_call_they_are_keep_nobody_out_for_long(
    rig: Rig, autojump_clock: MockClock
) -> None:
    async with rig.running():
        silent = [rig.call() for _ in range(3)]
        await silent[0].talk("  ")
        newest = rig.call()
        await silent[0].talk("  ")
        newest.poll()
        assert newest.over == "eof"
        await silent[0].talk(" " * 110)
        for peer in silent:
            peer.end.close()
        caller = await rig.dial()
        await rig.greeted(caller)
    assert rig.router.refused == {"too many connections without UUID": 1, "no UUID": 3}


async def test_a_stranger_is_closed_at_once(rig: Rig, autojump_clock: MockClock) -> None:
    async with rig.running():
        stranger = rig.call("192.0.2.7")
        await trio.sleep(0)
        await trio.testing.wait_all_tasks_blocked()
        stranger.poll()
        assert stranger.over == "eof"
    assert rig.router.refused == {"peer not allowed": 1}


async def test_a_uuid_already_on_a_call_is_refused_and_the_call_goes_on(rig: Rig, autojump_clock: MockClock) -> None:
    async with rig.running():
        first = rig.call()
        uuid = first.identify()
        await first.talk("..")
        second = rig.call()
        second.identify(uuid)
        await second.talk("....")
        assert second.hung_up
        second.end.close()
        await first.talk("." * 100)
        assert len(rig.router.live.calls) == 1
        assert first.speech
    assert rig.router.refused == {"call already connected": 1}


async def test_a_connection_that_says_nothing_is_hung_up_after_two_seconds(rig: Rig, autojump_clock: MockClock) -> None:
    async with rig.running():
        peer = rig.call()
        await peer.talk(" " * 98)
        early = peer.hung_up
        await peer.talk(" " * 6)
        assert (early, peer.hung_up) == (False, True)
        peer.end.close()
    assert rig.router.refused == {"no UUID": 1}


async def test_a_peer_that_sends_nothing_for_too_long_is_idle(rig: Rig, autojump_clock: MockClock) -> None:
    rig.idle_s = 10.0
    async with rig.running():
        peer = await rig.dial()
        await peer.talk(" " * 510)
        assert peer.hung_up
        peer.end.close()
    assert rig.end.cause == "idle"


async def test_a_call_ends_at_its_maximum_duration(rig: Rig, autojump_clock: MockClock) -> None:
    rig.max_call_s = 5.0
    async with rig.running():
        peer = await rig.dial()
        await peer.talk("." * 260)
        assert peer.hung_up
        peer.end.close()
    assert rig.end.cause == "maximum duration"
    assert rig.end.seconds == pytest.approx(5.0, abs=0.05)


async def test_a_crash_ends_that_call_and_no_other(rig: Rig, autojump_clock: MockClock) -> None:
    async with rig.running():
        other = await rig.dial()
        await rig.greeted(other)
        peer = await rig.dial()
        rig.stt.texts.append(RuntimeError("a bug"))
        await peer.talk("#" * 25 + "." * 45)
        assert peer.hung_up
        peer.end.close()
        await other.talk("." * 10)
        assert len(rig.router.live.calls) == 1
    assert "a bug" in rig.all(j.CallCrashed)[0].traceback
    assert rig.all(j.CallEnded)[0].cause == "crash"


async def test_stopping_the_service_says_goodbye_on_the_wire(rig: Rig, autojump_clock: MockClock) -> None:
    async with trio.open_nursery() as outside:
        async with rig.running():
            peer = await rig.dial()
            outside.start_soon(peer.answer_hangup)
            await trio.sleep(0.1)
            stopped = trio.current_time()
        took = trio.current_time() - stopped
    assert peer.hung_up
    assert took < 0.1
    assert rig.end.cause == "service stopped"


async def test_more_keys_than_the_conversation_can_take_end_the_line(rig: Rig, autojump_clock: MockClock) -> None:
    peer = Peer()
    line = Line(peer.endpoint, peer="memory:0")
    heard, _ = trio.open_memory_channel[EarEvent](2)
    hearing = Hearing(
        line,
        call="a",
        stt=rig.stt,
        vad=LoudnessVad,
        expected=lambda: FlowDialogue(FLOW).expected,
        limits=Endpointing(),
        events=heard,
        journal=rig.events.append,
    )
    peer.identify()
    peer.send(b"".join(encode_message(Dtmf(digit)) for digit in "123"))
    line.read(0.0, memoryview(bytearray(1000)))
    with trio.fail_after(1):
        await hearing.run()
    assert line.ended is not None
    assert line.ended.cause == "overrun"


async def test_a_caller_who_speaks_on_while_he_is_recognised_is_not_talked_over(
    rig: Rig, autojump_clock: MockClock
) -> None:
    rig.stt.delay_s = 1.0
    async with rig.running():
        peer = await rig.dial()
        await rig.greeted(peer)
        rig.stt.texts.extend(["when are you open", "goodbye"])
        await peer.talk("#" * 25 + "." * 35)
        spoken = trio.current_time()
        await peer.talk("#" * 150)
        assert not [at for at, _ in peer.speech if at > spoken + 0.3]
        await rig.listen(peer, lambda: peer.over is not None)
    assert [said.text for said in rig.all(j.CallerSaid)] == ["when are you open", "goodbye"]
    assert rig.end.cause == "agent hung up"


async def test_a_change_of_rate_in_the_middle_of_a_turn_does_not_leave_the_agent_mute(
    rig: Rig, autojump_clock: MockClock
) -> None:
    async with rig.running():
        peer = await rig.dial()
        await rig.greeted(peer)
        await peer.talk("#" * 25)
        before = len(rig.all(j.AgentSaid))
        for _ in range(10):
            peer.send(encode_audio(16000, bytes(640)))
            await peer.talk(" ")
        await rig.listen(peer, lambda: len(rig.all(j.AgentSaid)) > before, within=10)


async def test_failures_that_are_not_in_a_row_do_not_end_the_call(rig: Rig, autojump_clock: MockClock) -> None:
    async with rig.running():
        peer = await rig.dial()
        await rig.greeted(peer)
        for error in provider_errors(4):
            await rig.say(peer, error)
            rig.stt.texts.append("how do i get to you")
            await peer.talk("#" * 25 + "." * 90)  # the answer has begun when he fails to be heard again
        assert len(rig.router.live.calls) == 1


async def test_a_refused_caller_who_goes_on_sending_finds_no_reset(rig: Rig, autojump_clock: MockClock) -> None:
    rig.max_calls = 1
    async with rig.running():
        first = await rig.dial()
        second = rig.call()
        second.identify()
        await first.talk("..")
        second.poll()
        assert (second.hung_up, second.over) == (True, "eof")
        second.send(encode_audio(8000, bytes(320)))
        await first.talk("..")
        second.end.close()
