"""A call, from the first frame to the last, as one function."""

from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Final, TypeAlias
from uuid import UUID

import trio
from attrs import define, field, frozen

from voiceagent.journal import Journal
from voiceagent.pbx.line import Line, LineEnd
from voiceagent.pipeline.conversation import Conversation, Phrase
from voiceagent.pipeline.hearing import EarEvent, Hearing
from voiceagent.pipeline.mouth import Mouth
from voiceagent.ports import Dialogue, SpeechToText, TextToSpeech, ToolCall, ToolReturned, Vad
from voiceagent.turns.endpointing import Endpointing

#: Ear events that may wait for the conversation: a minute of a caller who flaps between voice and none.
_EVENTS: Final = 64
#: Caller audio an echo may lag behind: 0.2 s.
_ECHO_FRAMES: Final = 10


@frozen
class EchoAgent:
    """A line test: the caller hears himself."""

    name: str


@frozen
class ConversationAgent:
    """What it takes to talk: providers shared by all calls, and what makes a call's own dialogue and detector."""

    name: str
    stt: SpeechToText
    tts: TextToSpeech
    vad: Callable[[int], Vad]
    #: Takes what is known of the caller (`Call.facts`).
    dialogue: Callable[[Mapping[str, str]], Dialogue]
    endpointing: Endpointing
    no_input_s: float
    apology: Phrase
    farewell: Phrase


Agent: TypeAlias = EchoAgent | ConversationAgent


@frozen
class CallLimits:
    """In seconds: how long a call may last, how long the peer may send nothing at all."""

    max_call_s: float
    idle_s: float


@define(eq=False)
class Call:
    """A live call, as the service and its tools see it. `end` ends it from our side; only the first cause counts."""

    uuid: UUID
    agent: str
    peer: str
    started: float
    #: What is known of the caller before he speaks, by the names that flows and prompts have for it.
    facts: Mapping[str, str] = field(factory=dict)
    #: None until the media leg is there.
    line: Line | None = None
    scope: trio.CancelScope = field(factory=trio.CancelScope)
    ending: LineEnd | None = None
    hearing: Hearing | None = None
    conversation: Conversation | None = None

    @property
    def how_it_ended(self) -> LineEnd | None:
        """Why, as far as it is known: None while neither side has ended it."""
        return self.ending or (self.line.ended if self.line is not None else None)

    def end(self, cause: str, detail: str = "") -> None:
        """Cancel the call as a whole. Its line is hung up by whoever runs the call."""
        if self.ending is None:
            self.ending = LineEnd(cause, detail)
        self.scope.cancel()


async def run_call(
    call: Call,
    line: Line,
    agent: Agent,
    *,
    limits: CallLimits,
    run_tool: Callable[[Call, ToolCall], Awaitable[ToolReturned]],
    journal: Journal,
) -> None:
    """Talk on `line` until it ends, `call` is ended or time runs out.

    Comes back only by cancellation: of `call.scope`, or from outside. No task, timer or provider session of the call is
    left then; the line is still open.
    """
    call.line = line
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_keep_alive, call, line, limits)
        match agent:
            case EchoAgent():
                line.on_audio = partial(_echo, line)
            case ConversationAgent():
                conversation = _prepare(call, line, agent, run_tool=run_tool, journal=journal)
                nursery.start_soon(conversation.hearing.run)
                nursery.start_soon(conversation.mouth.run)
                nursery.start_soon(conversation.run)


def _prepare(
    call: Call,
    line: Line,
    agent: ConversationAgent,
    *,
    run_tool: Callable[[Call, ToolCall], Awaitable[ToolReturned]],
    journal: Journal,
) -> Conversation:
    name, dialogue = str(call.uuid), agent.dialogue(call.facts)
    heard, events = trio.open_memory_channel[EarEvent](_EVENTS)
    call.hearing = Hearing(
        line,
        call=name,
        stt=agent.stt,
        vad=agent.vad,
        expected=lambda: dialogue.expected,
        limits=agent.endpointing,
        events=heard,
        journal=journal,
    )
    call.conversation = Conversation(
        call=name,
        hearing=call.hearing,
        events=events,
        quiet=heard,
        mouth=Mouth(line, call=name, journal=journal),
        dialogue=dialogue,
        tts=agent.tts,
        run_tool=partial(run_tool, call),
        apology=agent.apology,
        farewell=agent.farewell,
        end=call.end,
        journal=journal,
        no_input_s=agent.no_input_s,
    )
    return call.conversation


def _echo(line: Line, rate: int, data: bytes) -> None:
    line.playout.push(rate, data)
    if len(line.playout.frames) > _ECHO_FRAMES:
        line.counts["echo dropped"] += line.playout.trim(_ECHO_FRAMES)


async def _keep_alive(call: Call, line: Line, limits: CallLimits) -> None:
    """End the call when its time is up, or when the peer has sent nothing for too long."""
    last = call.started + limits.max_call_s
    while (now := trio.current_time()) < last:
        idle_at = line.last_read + limits.idle_s
        if now >= idle_at:
            call.end("idle", f"nothing came for {limits.idle_s:g} s")
        await trio.sleep_until(min(last, max(idle_at, now + 0.02)))
    call.end("maximum duration", f"{limits.max_call_s:g} s")
