"""A whole service under attack, in virtual time: the real router, line, clock, call and flow, speech in process."""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import ip_network
from pathlib import Path
from typing import Final

import trio
from attrs import define, field
from trio.testing import MockClock

from fuzz.callers import LiveCaller, Witness
from fuzz.plans import Caller, Plan
from tests.fakes import FakeRecogniser, FakeVoice, LoudnessVad
from voiceagent import journal as j
from voiceagent.audio.pcm import Pcm
from voiceagent.calls.admission import Admission
from voiceagent.calls.call import Call, CallLimits, ConversationAgent, EchoAgent
from voiceagent.calls.live import LiveCalls
from voiceagent.calls.router import Router
from voiceagent.config import flow_path
from voiceagent.dialogue.load import load_flow
from voiceagent.dialogue.scripted import FlowDialogue
from voiceagent.lab.emptiness import Listing, nothing_left_behind
from voiceagent.pbx.clock import MediaClock
from voiceagent.pipeline.conversation import Phrase
from voiceagent.ports import ProviderError, ToolCall, ToolReturned
from voiceagent.turns.endpointing import Endpointing

#: A run that takes longer (virtual seconds) has a call that never ends.
_PATIENCE_S: Final = 60.0
#: Callers act off the clock's grid of 5 ms, each at his own offset, or who is first would be a matter of chance.
_OFF_GRID_S: Final = 0.0013
_OFFSET_S: Final = 0.0004
#: What a message takes to be written; it is not given up for a hang-up.
SAVING_S: Final = 0.1
_FLOW: Final = load_flow(flow_path("reception", Path()))


@define
class Record:
    """All that can be known about a run."""

    plan: Plan
    events: list[j.Event] = field(factory=list)
    #: By port; the witness is 0. Callers whom a stopped service no longer took are missing.
    callers: dict[int, LiveCaller] = field(factory=dict)
    #: By UUID, the latest; what the service knew about it.
    calls: list[Call] = field(factory=list)
    stopped: float | None = None


def run(plan: Plan) -> Record:
    """Carry the plan out. The same plan gives the same record. Raises whatever escapes, or is left behind."""
    with _deterministic():
        return trio.run(_attack, plan, clock=MockClock(autojump_threshold=0))


@contextmanager
def _deterministic() -> Iterator[None]:
    """Trio shuffles the tasks that are ready at once, in a way that can be seeded."""
    shuffle: random.Random = trio._core._run._r
    state = shuffle.getstate()
    shuffle.seed(0)
    try:
        yield
    finally:
        shuffle.setstate(state)


async def _attack(plan: Plan) -> Record:
    record = Record(plan)
    clock = MediaClock()
    stt, tts = FakeRecogniser(delay_s=0.1), FakeVoice(letter_s=0.01, failures=plan.failures)
    stt.texts.extend(_heard(plan))
    live = LiveCalls(record.events.append)
    router = Router(
        clock=clock,
        admission=Admission(plan.max_calls, plan.max_pending, (ip_network("127.0.0.0/8"),)),
        agent=EchoAgent("echo") if plan.agent == "echo" else _receptionist(stt, tts),
        limits=CallLimits(plan.max_call_s, plan.idle_s),
        run_tool=_run_tool,
        live=live,
    )

    def note(event: j.Event) -> None:
        record.events.append(event)
        if isinstance(event, j.CallStarted):
            record.calls.append(router.live.calls[event.call])

    live.journal = note
    listings: dict[str, Listing] = {
        "live call": lambda: router.live.calls,
        "admitted call": lambda: router.admission.live,
        "connection": lambda: range(router.admission.connections),
        "pending connection": lambda: range(router.admission.pending),
        "line on the clock": lambda: (line.peer for phase in clock._phases for line in phase),
        "recognition": lambda: range(stt.open_turns),
        "synthesis": lambda: range(tts.open_texts),
    }
    with trio.fail_after(_PATIENCE_S):
        async with nothing_left_behind(listings), trio.open_nursery() as engine:
            engine.start_soon(clock.run)
            calls: trio.Nursery = await engine.start(_serve_calls)
            house = _House(record, router, calls)
            witness = Witness(talks=plan.agent == "echo")
            house.connect(0, witness)
            engine.start_soon(witness.run)
            await trio.sleep(0.1)
            besides: dict[str, Listing] = {  # the witness's own tasks come and go, and he may be spoken to
                **listings,
                "task": lambda: calls.child_tasks,
                "synthesis": lambda: range(max(0, tts.open_texts - 1)),
            }
            async with nothing_left_behind(besides, within=0.001), trio.open_nursery() as visitors:
                for port, caller in enumerate(plan.callers, 1):
                    visitors.start_soon(house.visit, port, caller)
                if plan.stops_at is not None:
                    visitors.start_soon(house.stop, trio.current_time() + plan.stops_at + _OFF_GRID_S)
            witness.leave(abruptly=False)
            await witness.served_no_more.wait()
            calls.cancel_scope.cancel()
            engine.cancel_scope.cancel()
    return record


async def _serve_calls(task_status: trio.TaskStatus[trio.Nursery]) -> None:  # noqa: ASYNC114 - started once, above
    async with trio.open_nursery() as calls:
        task_status.started(calls)
        await trio.sleep_forever()


@define
class _House:
    _record: Record
    _router: Router
    _calls: trio.Nursery

    def connect(self, port: int, caller: LiveCaller) -> None:
        self._record.callers[port] = caller
        self._calls.start_soon(self._router.serve, caller.served, "127.0.0.1", port)

    async def visit(self, port: int, plan: Caller) -> None:
        await trio.sleep(plan.start + _OFF_GRID_S + port * _OFFSET_S)
        if self._record.stopped is None:
            caller = LiveCaller(plan)
            self.connect(port, caller)
            await caller.run()

    async def stop(self, at: float) -> None:
        await trio.sleep_until(at)
        self._record.stopped = at
        self._calls.cancel_scope.cancel()


def _heard(plan: Plan) -> Iterator[str | Exception]:
    return (ProviderError("ears", "it failed, as told") if text == "!" else text for text in plan.said)


def _receptionist(stt: FakeRecogniser, tts: FakeVoice) -> ConversationAgent:
    return ConversationAgent(
        name="reception",
        stt=stt,
        tts=tts,
        vad=LoudnessVad,
        dialogue=lambda facts: FlowDialogue(_FLOW, facts=facts),
        endpointing=Endpointing(end_silence_s=0.3),
        no_input_s=1.5,
        apology=Phrase("Sorry, again please.", Pcm(8000, b"\x00\x11" * 800)),
        farewell=Phrase("Sorry, goodbye.", Pcm(8000, b"\x00\x12" * 800)),
    )


async def _run_tool(call: Call, request: ToolCall) -> ToolReturned:
    """As calls.tools does it, but for worker threads, which a virtual clock does not wait for."""
    match request.name:
        case "hang_up":
            call.end("agent hung up")
        case "transfer":
            call.end("transferred", request.arguments.get("target", ""))
        case "take_message":
            assert call.hearing is not None
            with call.hearing.recording(20.0) as recording:
                try:
                    await recording.finished()
                except trio.Cancelled:
                    with trio.move_on_after(SAVING_S, shield=True):
                        await trio.sleep_forever()
                    raise
            with trio.move_on_after(SAVING_S, shield=True):
                await trio.sleep_forever()
        case _:
            await trio.sleep(0.01)
    return ToolReturned(request.id, ok=True, result="")
