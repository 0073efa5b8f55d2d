"""Calls that come through Stasis, in virtual time: the real router, line and call, an Asterisk in memory."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from ipaddress import ip_network

import pytest
import trio
from attrs import define, evolve, field
from trio.testing import MockClock

from tests.asterisk_twin import REQUEST_S, AsteriskTwin, ignore
from tests.fakes import FakeRecogniser, FakeVoice, LoudnessVad
from voiceagent import journal as j
from voiceagent.audio.pcm import Pcm
from voiceagent.calls.admission import Admission
from voiceagent.calls.call import Agent, Call, CallLimits, ConversationAgent, EchoAgent
from voiceagent.calls.entering import StasisSettings
from voiceagent.calls.live import LiveCalls
from voiceagent.calls.rendezvous import Rendezvous
from voiceagent.calls.router import Router, Seat
from voiceagent.calls.stasis import StasisCalls
from voiceagent.dialogue.flow import Flow
from voiceagent.dialogue.load import load_flow
from voiceagent.dialogue.scripted import FlowDialogue
from voiceagent.pbx.clock import MediaClock
from voiceagent.pbx.memory import MemoryEndpoint
from voiceagent.pipeline.conversation import Phrase
from voiceagent.ports import ToolCall, ToolReturned
from voiceagent.turns.endpointing import Endpointing

SETTINGS = StasisSettings("reception", "127.0.0.1:9092", "slin", "continue", ringback=False, variables=())
FLOW = load_flow(
    """
greeting = "Hello {caller_number}, you called {dialled}."
start = "menu"
[values]
caller_number = "stranger"
dialled = "us"
[intents]
bye = ["goodbye"]
sales = ["sales please"]
[nodes.menu]
ask = "What can I do?"
on = { bye = "end", sales = "sales" }
[nodes.sales]
tool = { name = "transfer", arguments = { target = "sales" }, failed = "No." }
[nodes.end]
say = "Bye."
tool = { name = "hang_up", failed = "No." }
[fallback]
unclear = "What?"
quiet = "Hello?"
menu = "menu"
unclear_last = "end"
quiet_last = "end"
""",
    {"transfer": ("target",), "hang_up": ()},
)


@define(eq=False)
class House:
    """A service with an Asterisk; `settings` and so on are for the test to change before `running`."""

    settings: StasisSettings = SETTINGS
    max_calls: int = 10
    max_call_s: float = 900.0
    flow: Flow = FLOW
    stt: FakeRecogniser = field(factory=FakeRecogniser)
    tts: FakeVoice = field(factory=FakeVoice)
    events: list[j.Event] = field(factory=list)
    refused: list[tuple[str, str]] = field(factory=list)
    asterisk: AsteriskTwin = field(init=False)
    calls: StasisCalls = field(init=False)
    nursery: trio.Nursery = field(init=False)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[AsteriskTwin]:
        """Leaving stops the service; then nothing of it may be left, here or there."""
        clock, live = MediaClock(), LiveCalls(self.events.append)
        admission = Admission(self.max_calls, 8, (ip_network("127.0.0.0/8"),))
        announced = Rendezvous[Seat]()
        agents: dict[str, Agent] = {"reception": self._receptionist(), "echo": EchoAgent("echo")}
        limits = CallLimits(self.max_call_s, float("inf"))
        router = Router(
            clock=clock, admission=admission, agent=agents["echo"], limits=limits, run_tool=_run_tool, live=live,
            announced=announced, only_announced=True,
        )  # fmt: skip
        async with trio.open_nursery() as engine:
            engine.start_soon(clock.run)

            def connect(endpoint: MemoryEndpoint) -> None:
                self.nursery.start_soon(router.serve, endpoint, "127.0.0.1", 5000)

            self.asterisk = AsteriskTwin(engine, connect)
            async with trio.open_nursery() as self.nursery:
                self.calls = StasisCalls(
                    ari=self.asterisk.ari(), nursery=self.nursery, live=live, admission=admission,
                    announced=announced, agents=agents, limits=dict.fromkeys(agents, limits), run_tool=_run_tool,
                    refuse=lambda peer, reason: self.refused.append((peer, reason)), settings=self.settings,
                )  # fmt: skip
                self.asterisk.take = self.calls.take
                self.nursery.start_soon(self.calls.settle)
                yield self.asterisk
                self.nursery.cancel_scope.cancel()
            assert (live.calls, admission.live, admission.connections, admission.pending) == ({}, set(), 0, 0)
            assert (self.calls.served, self.calls.used, announced._announced) == ({}, set(), {})
            assert not self.asterisk.dispatch._mailboxes
            await trio.sleep(0.1)  # for what Asterisk does on its own
            engine.cancel_scope.cancel()
        assert (self.stt.open_turns, self.tts.open_texts) == (0, 0)

    def _receptionist(self) -> ConversationAgent:
        return ConversationAgent(
            name="reception",
            stt=self.stt,
            tts=self.tts,
            vad=LoudnessVad,
            dialogue=lambda facts: FlowDialogue(self.flow, facts=facts),
            endpointing=Endpointing(),
            no_input_s=7.0,
            apology=Phrase("Sorry, again please.", Pcm(8000, b"\x00\x11" * 4000)),
            farewell=Phrase("Sorry, goodbye.", Pcm(8000, b"\x00\x12" * 4000)),
        )

    @property
    def ends(self) -> list[tuple[str, str]]:
        return [(event.cause, event.detail) for event in self.events if isinstance(event, j.CallEnded)]

    def said(self) -> str:
        return " ".join(event.text for event in self.events if isinstance(event, j.AgentSaid))

    async def until(self, what: str) -> None:
        """Wait until the agent has said this."""
        with trio.fail_after(20):
            while what not in self.said():
                await trio.sleep(0.1)

    async def ended(self, within: float = 20.0) -> None:
        """Wait until no call is left."""
        with trio.fail_after(within):
            while self.calls.served:
                await trio.sleep(0.005)


async def _run_tool(call: Call, request: ToolCall) -> ToolReturned:
    causes = {"hang_up": "agent hung up", "transfer": "transferred"}
    call.end(causes[request.name], request.arguments.get("target", ""))
    return ToolReturned(request.id, ok=True, result="")


@pytest.fixture
def house() -> House:
    return House()


def nothing_is_left(asterisk: AsteriskTwin) -> bool:
    return not asterisk.channels and not asterisk.bridges and all(leg.end.closed for leg in asterisk.legs.values())


#: Somebody says something for half a second.
SPEECH = "#" * 25


async def test_a_caller_is_answered_bridged_and_greeted_by_what_is_known_of_him(
    house: House, autojump_clock: MockClock
) -> None:
    async with house.running() as asterisk:
        caller = asterisk.enter()
        await house.until("Hello 5551, you called 1000.")
        assert asterisk.requests[0] == f"GET channels/{caller}/variable"
        assert f"POST channels/{caller}/answer" in asterisk.requests
        ((bridge, members),) = asterisk.bridges.items()
        assert members == {caller, *asterisk.legs}
        assert bridge.startswith("test-bridge-")
        asterisk.hang_up()
        await house.ended()
        assert nothing_is_left(asterisk)
    assert house.ends == [("caller hung up", "")]
    assert asterisk.released == []


async def test_greeting_does_not_begin_before_the_caller_is_in_the_bridge(
    house: House, autojump_clock: MockClock
) -> None:
    async with house.running() as asterisk:
        asterisk.enter()
        await house.until("Hello")
        started = next(event.at for event in house.events if isinstance(event, j.CallStarted))
        (leg,) = asterisk.legs.values()
        assert started + 4 * REQUEST_S < leg.speech[0][0] < started + 0.3


@pytest.mark.parametrize("moment", range(20))
async def test_a_hang_up_at_any_point_of_the_set_up_leaves_nothing(
    house: House, autojump_clock: MockClock, moment: int
) -> None:
    async with house.running() as asterisk:
        asterisk.moment = lambda now: asterisk.hang_up() if now == moment else None
        asterisk.enter()
        await trio.sleep(1)
        asterisk.hang_up()  # where the set-up had fewer moments
        await house.ended(within=2.0)
        await trio.sleep(0.2)
        assert nothing_is_left(asterisk)
    assert [cause for cause, _ in house.ends] == ["caller hung up"]


async def test_the_set_up_has_the_moments_that_are_tried() -> None:
    assert len(SET_UP) * 2 <= 20


#: GET variable, answer, create the bridge, open the media leg, add both to the bridge.
SET_UP = ("variable", "answer", "bridges", "externalMedia", "addChannel")


async def test_after_goodbye_the_dialplan_goes_on_and_knows(house: House, autojump_clock: MockClock) -> None:
    house.stt.texts.append("goodbye")
    async with house.running() as asterisk:
        caller = asterisk.enter()
        await house.until("What can I do?")
        asterisk.says.extend(SPEECH)
        await house.ended()
        assert asterisk.released == [(caller, {"VOICEAGENT_RESULT": "DONE"})]
        assert nothing_is_left(asterisk)
    assert house.ends == [("agent hung up", "")]
    assert "Bye." in house.said()


async def test_a_transfer_names_its_target_to_the_dialplan(house: House, autojump_clock: MockClock) -> None:
    house.stt.texts.append("sales please")
    house.settings = evolve(SETTINGS, at_end="hang up")
    async with house.running() as asterisk:
        caller = asterisk.enter()
        await house.until("What can I do?")
        asterisk.says.extend(SPEECH)
        await house.ended()
        said = {"VOICEAGENT_RESULT": "TRANSFER", "VOICEAGENT_TARGET": "sales"}
        assert asterisk.released == [(caller, said)]


async def test_where_it_is_configured_so_the_caller_is_hung_up(house: House, autojump_clock: MockClock) -> None:
    house.settings = evolve(SETTINGS, at_end="hang up")
    house.max_call_s = 3.0
    async with house.running() as asterisk:
        caller = asterisk.enter()
        await house.ended()
        assert asterisk.released == []
        assert f"DELETE channels/{caller}" in asterisk.requests
        assert nothing_is_left(asterisk)
    assert house.ends == [("maximum duration", "3 s")]


async def test_callers_hear_ringing_until_the_agent_is_there(house: House, autojump_clock: MockClock) -> None:
    house.settings = evolve(SETTINGS, ringback=True)
    async with house.running() as asterisk:
        asterisk.enter()
        await house.until("Hello")
        order = [request.rpartition("/")[2] for request in asterisk.requests]
        assert order.index("ring") < order.index("answer") < order.index("addChannel")
        assert order.index("externalMedia") < order.index("answer")


@pytest.mark.parametrize("what", ["answer", "bridges", "externalMedia", "addChannel"])
async def test_what_asterisk_refuses_gives_the_caller_back(house: House, autojump_clock: MockClock, what: str) -> None:
    async with house.running() as asterisk:
        asterisk.refuse.add(what)
        caller = asterisk.enter()
        await house.ended()
        assert asterisk.released == [(caller, {"VOICEAGENT_RESULT": "FAILED"})]
        assert nothing_is_left(asterisk)
    ((cause, detail),) = house.ends
    assert cause == "set-up failed"
    assert what in detail
    assert "500" in detail


async def test_a_media_leg_that_never_comes_to_us_ends_the_set_up(house: House, autojump_clock: MockClock) -> None:
    async with house.running() as asterisk:
        asterisk.starts_media = False
        asterisk.enter()
        await house.ended()
        assert nothing_is_left(asterisk)
        assert [said["VOICEAGENT_RESULT"] for _, said in asterisk.released] == ["FAILED"]
    assert house.ends[0][0] == "set-up failed"


async def test_a_media_leg_that_is_lost_gives_the_caller_back(house: House, autojump_clock: MockClock) -> None:
    async with house.running() as asterisk:
        caller = asterisk.enter()
        await house.until("Hello")
        (leg,) = asterisk.legs.values()
        leg.end.close()
        await house.ended()
        assert asterisk.released == [(caller, {"VOICEAGENT_RESULT": "FAILED"})]
        assert not asterisk.bridges
    assert [cause for cause, _ in house.ends] == ["media leg lost"]


async def test_a_caller_taken_away_by_others_is_not_released_by_us(house: House, autojump_clock: MockClock) -> None:
    async with house.running() as asterisk:
        caller = asterisk.enter()
        await house.until("Hello")
        asterisk._leave(caller)  # moved to another application, say
        await house.ended()
        assert nothing_is_left(asterisk)
    assert house.ends == [("caller left", "the channel is not ours any more")]


async def test_beyond_the_most_calls_callers_go_on_in_the_dialplan(house: House, autojump_clock: MockClock) -> None:
    house.max_calls = 1
    async with house.running() as asterisk:
        asterisk.enter("caller-1")
        await house.until("Hello")
        asterisk.enter("caller-2")
        await trio.sleep(0.1)
        assert asterisk.released == [("caller-2", {"VOICEAGENT_RESULT": "BUSY"})]
        assert list(house.calls.served) == ["caller-1"]
    assert house.refused == [("PJSIP/caller-2", "too many calls")]


async def test_a_service_that_stops_takes_nobody_and_gives_everybody_back(
    house: House, autojump_clock: MockClock
) -> None:
    async with house.running() as asterisk:
        asterisk.enter("caller-1")
        await house.until("Hello")
        house.calls.accepting = False
        asterisk.enter("caller-2")
        await trio.sleep(0.1)
        assert asterisk.released == [("caller-2", {"VOICEAGENT_RESULT": "STOPPED"})]
        stopped = trio.current_time()
    assert trio.current_time() - stopped < 2.2
    assert asterisk.released[1:] == [("caller-1", {"VOICEAGENT_RESULT": "STOPPED"})]
    assert nothing_is_left(asterisk)
    assert house.ends == [("service stopped", "")]


async def test_a_crash_of_a_call_is_that_calls_alone(house: House, autojump_clock: MockClock) -> None:
    class Broken(FakeVoice):
        def open_speech(self, text: str) -> None:  # type: ignore[override]  # noqa: ARG002
            raise RuntimeError("a bug")

    house.tts = Broken()
    async with house.running() as asterisk:
        asterisk.enter("caller-1")
        await house.ended()
        assert asterisk.released == [("caller-1", {"VOICEAGENT_RESULT": "FAILED"})]
        assert nothing_is_left(asterisk)
        asterisk.enter("caller-2", "echo")
        await trio.sleep(1)
        assert list(house.calls.served) == ["caller-2"]
    assert house.ends[0] == ("crash", "RuntimeError('a bug')")


@pytest.mark.parametrize(
    ("arguments", "variable", "agent"),
    [((), "", "reception"), (("echo",), "reception", "echo"), (("inbound",), "echo", "echo"), ((), "no", "reception")],
)
async def test_the_dialplan_chooses_the_agent(
    house: House, autojump_clock: MockClock, arguments: tuple[str, ...], variable: str, agent: str
) -> None:
    async with house.running() as asterisk:
        variables = {"VOICEAGENT_AGENT": variable} if variable else {}
        asterisk.enter("caller-1", *arguments, **variables)
        await trio.sleep(1)
        assert [event.agent for event in house.events if isinstance(event, j.CallStarted)] == [agent]
    unknown = [event.name for event in house.events if isinstance(event, j.AgentUnknown)]
    assert unknown == (["no"] if variable == "no" else [])


async def test_chosen_channel_variables_are_known_to_the_flow(house: House, autojump_clock: MockClock) -> None:
    house.settings = evolve(SETTINGS, variables=("CUSTOMER", "UNSET"))
    async with house.running() as asterisk:
        asterisk.enter("caller-1", CUSTOMER="Turing")
        await house.until("Hello")
        call = house.calls.served["caller-1"]
        assert call is not None
        assert call.facts == {
            "caller_number": "5551", "caller_name": "Ada", "dialled": "1000", "customer": "Turing", "unset": "",
        }  # fmt: skip


async def test_a_call_that_does_not_follow_its_events_is_ended(house: House, autojump_clock: MockClock) -> None:
    async with house.running() as asterisk:
        caller = asterisk.enter()
        await house.until("Hello")
        for _ in range(600):
            asterisk.tell("ChannelStateChange", channel=asterisk.channels[caller])
        await house.ended()
        assert nothing_is_left(asterisk)
    assert house.ends[0][0] == "fell behind"


async def test_a_dialplan_may_send_its_caller_to_the_next_agent_at_once(
    house: House, autojump_clock: MockClock
) -> None:
    house.max_call_s = 3.0
    async with house.running() as asterisk:
        asterisk.again["caller-1"] = ["echo"]  # Stasis(voiceagent,echo) is the next line of the dialplan
        asterisk.enter("caller-1")
        await trio.sleep(5)
        assert [event.agent for event in house.events if isinstance(event, j.CallStarted)] == ["reception", "echo"]
        assert list(house.calls.served) == ["caller-1"]
        assert len(asterisk.bridges) == 1
    assert [cause for cause, _ in house.ends] == ["maximum duration", "service stopped"]


async def test_a_caller_moved_away_and_back_is_served_anew(house: House, autojump_clock: MockClock) -> None:
    async with house.running() as asterisk:
        asterisk.enter("caller-1")
        await house.until("Hello")
        asterisk._leave("caller-1")
        asterisk.enter("caller-1", "echo")
        await trio.sleep(1)
        assert [event.agent for event in house.events if isinstance(event, j.CallStarted)] == ["reception", "echo"]
        assert list(house.calls.served) == ["caller-1"]


# After events were missed


async def test_what_cannot_be_given_back_is_when_ari_is_there_again(house: House, autojump_clock: MockClock) -> None:
    house.max_call_s = 3.0
    async with house.running() as asterisk:
        caller = asterisk.enter()
        await house.until("Hello")
        asterisk.down = True
        await house.ended()
        (failed,) = [event for event in house.events if isinstance(event, j.AriCleanUpFailed)]
        assert caller in failed.detail
        assert asterisk.bridges
        asterisk.down = False
        await house.calls.synchronise(asterisk.snapshot())
        await trio.sleep(1.5)
        assert asterisk.released == [(caller, {"VOICEAGENT_RESULT": "TIMEOUT"})]
        assert nothing_is_left(asterisk)
        assert not house.calls.served
        assert not house.calls.owed


async def test_a_release_that_fails_once_is_tried_again_without_any_reconnection(
    house: House, autojump_clock: MockClock
) -> None:
    house.max_calls = 1
    async with house.running() as asterisk:
        asterisk.enter("caller-1")
        await house.until("Hello")
        asterisk.refuse.add("continue")
        asterisk.enter("caller-2")
        await trio.sleep(0.5)
        assert asterisk.released == []
        asterisk.refuse.clear()
        await trio.sleep(1.5)
        assert asterisk.released == [("caller-2", {"VOICEAGENT_RESULT": "BUSY"})]
        assert not house.calls.owed


async def test_who_enters_while_the_service_stops_is_given_back(house: House, autojump_clock: MockClock) -> None:
    async with house.running() as asterisk:
        asterisk.enter("caller-1")
    assert asterisk.released == [("caller-1", {"VOICEAGENT_RESULT": "STOPPED"})]
    assert house.ends == []
    assert house.refused == [("PJSIP/caller-1", "service stopped")]


async def test_taking_stock_is_not_stopped_by_what_cannot_be_removed(house: House, autojump_clock: MockClock) -> None:
    async with house.running() as asterisk:
        bridge = house.calls.ari.new_id("bridge")
        asterisk.bridges[bridge] = set()
        asterisk.refuse.add(bridge)
        asterisk.take = ignore
        asterisk.enter("caller-1", "echo")
        asterisk.take = house.calls.take
        await house.calls.synchronise(asterisk.snapshot())
        await trio.sleep(3)
        assert list(house.calls.served) == ["caller-1"]
        asterisk.refuse.clear()
        await trio.sleep(1.5)
        assert bridge not in asterisk.bridges


async def test_what_never_works_keeps_nothing_else_waiting(house: House, autojump_clock: MockClock) -> None:
    async with house.running() as asterisk:
        stuck = [house.calls.ari.new_id("bridge") for _ in range(8)]
        fine = house.calls.ari.new_id("bridge")
        asterisk.bridges.update({bridge: set() for bridge in (*stuck, fine)})
        asterisk.refuse.update(stuck)
        await house.calls.synchronise(asterisk.snapshot())
        await trio.sleep(3)
        assert set(asterisk.bridges) == set(stuck)
        asterisk.refuse.clear()
        await trio.sleep(3)
        assert not asterisk.bridges


async def test_while_another_client_has_our_events_calls_end_all_the_same(
    house: House, autojump_clock: MockClock
) -> None:
    async with house.running() as asterisk:
        caller = asterisk.enter()
        await house.until("Hello")
        asterisk.replaced = True
        del asterisk.channels[caller]
        await house.ended()
        asterisk.replaced = False
    assert house.ends == [("caller hung up", "while another client had our events")]


async def test_two_refusals_at_once_are_no_crash(house: House, autojump_clock: MockClock) -> None:
    async with house.running() as asterisk:
        asterisk.refuse |= {"answer", "bridges"}
        asterisk.enter()
        await house.ended()
    assert [cause for cause, _ in house.ends] == ["set-up failed"]


async def test_calls_whose_caller_has_gone_meanwhile_end(house: House, autojump_clock: MockClock) -> None:
    async with house.running() as asterisk:
        caller = asterisk.enter()
        await house.until("Hello")
        del asterisk.channels[caller]  # nobody told
        await house.calls.synchronise(asterisk.snapshot())
        await house.ended()
        assert nothing_is_left(asterisk)
    assert house.ends == [("caller hung up", "while there was no connection to ARI")]


async def test_live_calls_are_left_alone(house: House, autojump_clock: MockClock) -> None:
    async with house.running() as asterisk:
        asterisk.enter()
        await house.until("Hello")
        before = len(asterisk.requests)
        await house.calls.synchronise(asterisk.snapshot())
        await trio.sleep(1)
        assert asterisk.requests[before:] == []
        assert list(house.calls.served) == ["caller-1"]
        assert len(asterisk.channels) == 2


async def test_callers_whom_nobody_serves_are_taken_with_their_arguments(
    house: House, autojump_clock: MockClock
) -> None:
    async with house.running() as asterisk:
        asterisk.take = ignore
        asterisk.enter("caller-1", "echo")
        asterisk.take = house.calls.take
        await house.calls.synchronise(asterisk.snapshot())
        await trio.sleep(1)
        call = house.calls.served["caller-1"]
        assert call is not None
        assert call.agent == "echo"


async def test_what_an_earlier_run_left_behind_is_removed_and_others_things_are_not(
    house: House, autojump_clock: MockClock
) -> None:
    async with house.running() as asterisk:
        ours, bridge = house.calls.ari.new_id("media"), house.calls.ari.new_id("bridge")
        for id_ in (ours, "other-media-1"):
            asterisk.enter(id_) if id_ == ours else asterisk.channels.update({id_: {}})
        await trio.sleep(1.5)
        assert ours not in asterisk.channels  # it came when its call had gone
        asterisk.channels.clear()
        asterisk.bridges = {bridge: set(), "somebody-elses": set()}
        await house.calls.synchronise(asterisk.snapshot())
        await trio.sleep(1.5)
        assert list(asterisk.bridges) == ["somebody-elses"]
        asterisk.bridges.clear()
