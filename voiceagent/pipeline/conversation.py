"""The conversation: whose turn it is, and what the agent answers.

The agent holds the floor in a task of its own while the conversation listens; what the caller does next ends it.
"""

from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final

import trio
from attrs import define, field, frozen

from voiceagent.audio.pcm import Pcm
from voiceagent.dialogue.sentences import SentenceCutter
from voiceagent.journal import BargeIn, CallerSilent, Journal, ProviderFailed
from voiceagent.pipeline.hearing import EarEvent, Heard, Hearing, Interrupted, Keyed, Quiet
from voiceagent.pipeline.mouth import Mouth
from voiceagent.ports import (
    CallerPressed,
    CallerQuiet,
    CallerSpoke,
    CallOpened,
    Dialogue,
    Done,
    ProviderError,
    Text,
    TextToSpeech,
    ToolCall,
    ToolReturned,
    Turn,
)

#: Replies in a row that may fail by a provider's fault before the call ends.
_FAILURES: Final = 3
#: A sentence is tried this often; a failed worker is replaced meanwhile.
_ATTEMPTS: Final = 2
#: Tool calls within one reply; a dialogue that wants more is running away.
_TOOLS_PER_REPLY: Final = 8


@frozen
class Phrase:
    """Something to say that needs no working synthesis: rendered when the service started."""

    text: str
    audio: Pcm


@define
class Conversation:
    """One call's conversation. `run` is the pipeline task; it talks until the call is ended, which cancels it."""

    call: str
    hearing: Hearing
    events: trio.MemoryReceiveChannel[EarEvent]
    quiet: trio.MemorySendChannel[EarEvent]
    mouth: Mouth
    dialogue: Dialogue
    tts: TextToSpeech
    run_tool: Callable[[ToolCall], Awaitable[ToolReturned]]
    apology: Phrase
    farewell: Phrase
    end: Callable[[str, str], None]
    journal: Journal
    no_input_s: float
    turns: int = 0
    _failures: int = field(default=0, init=False)
    #: Turns and outcomes that the dialogue has not been told of: one reply's, and the turns that interrupted it.
    _untold: deque[Turn] = field(factory=deque, init=False)
    _speaking: bool = field(default=False, init=False)

    async def run(self) -> None:
        """Take turns: hold the floor with an answer, while listening for what the caller does next."""
        turn: Turn | None = CallOpened()
        while True:
            async with trio.open_nursery() as nursery:
                floor = trio.CancelScope()
                nursery.start_soon(self._hold_floor, turn, floor)
                turn, since = await self._next_turn(floor)
                floor.cancel()
            self.mouth.stop()
            self.mouth.answer(since)
            self.turns += 1

    async def _next_turn(self, floor: trio.CancelScope) -> tuple[Turn | None, float]:
        """What the caller does next (None: he spoke and the recogniser failed), and when. Barge-in cancels `floor`."""
        while True:
            match await self.events.receive():
                case Interrupted():
                    if self._speaking:
                        self.journal(BargeIn(trio.current_time(), self.call))
                    floor.cancel()
                    self.mouth.stop()
                case Heard(text="", confirmed=False):
                    pass  # a cough: too short to have meant anything
                case Heard(text=text, voice_ended=voice_ended):
                    return (None if text is None else CallerSpoke(text)), voice_ended
                case Keyed(digit):
                    return CallerPressed(digit), trio.current_time()
                case Quiet(turn) if turn == self.turns:
                    return CallerQuiet(), trio.current_time()

    async def _hold_floor(self, turn: Turn | None, floor: trio.CancelScope) -> None:
        """Answer, do what the answer asks for, then wait for the caller; all of it until `floor` is cancelled."""
        with floor:
            self._speaking = True
            try:
                if turn is None:
                    await self._apologise()
                else:
                    await self._answer(turn)
            except ProviderError as error:
                self.journal(ProviderFailed(trio.current_time(), self.call, error.provider, error.message))
                await self._apologise()
            await self.mouth.drained()
            self._speaking = False
            await trio.sleep(self.no_input_s)
            while self.hearing.is_busy:
                await trio.sleep(1)
            self.journal(CallerSilent(trio.current_time(), self.call))
            await self.quiet.send(Quiet(self.turns))

    async def _answer(self, turn: Turn) -> None:
        """First what was interrupted before the dialogue knew of it, then `turn`, then what its own tools bring."""
        self._untold.append(turn)
        for _ in range(len(self._untold) + _TOOLS_PER_REPLY):
            if not self._untold:
                return
            await self._reply(self._untold[0])
        self._untold.clear()
        raise ProviderError("dialogue", f"it asked for tools {_TOOLS_PER_REPLY} times in one reply")

    async def _reply(self, turn: Turn) -> None:
        """Say what the dialogue answers to `turn`; once that has been heard, do what it asked for."""
        cutter = SentenceCutter()
        requests: list[ToolCall] = []
        async with self.dialogue.open_reply(turn) as events:
            self._untold.popleft()
            async for event in events:
                match event:
                    case Text(text):
                        for sentence in cutter.push(text):
                            await self._speak(sentence)
                    case ToolCall():
                        requests.append(event)
                    case Done():
                        break
        for sentence in cutter.flush():
            await self._speak(sentence)
        if requests:
            await self.mouth.drained()
        for request in requests:
            await self._do(request)

    async def _do(self, request: ToolCall) -> None:
        """Run a tool. Its outcome is kept until the dialogue has taken it, whatever interrupts."""
        self._untold.append(ToolReturned(request.id, ok=False, result="interrupted"))
        outcome = await self.run_tool(request)
        self._untold[-1] = outcome

    async def _speak(self, sentence: str) -> None:
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                async with self.tts.open_speech(sentence) as chunks:
                    await self.mouth.say(sentence, chunks)
                self._failures = 0
                return
            except ProviderError as error:
                if attempt == _ATTEMPTS:
                    raise
                self.journal(ProviderFailed(trio.current_time(), self.call, error.provider, error.message))

    async def _apologise(self) -> None:
        """A provider failed: say so and let the caller try again; after three times in a row, say goodbye."""
        self._failures += 1
        if self._failures < _FAILURES:
            await self.mouth.say(self.apology.text, _once(self.apology.audio))
            return
        await self.mouth.say(self.farewell.text, _once(self.farewell.audio))
        await self.mouth.drained()
        self.end("provider failed", f"{_FAILURES} replies in a row")


async def _once(audio: Pcm) -> AsyncIterator[Pcm]:
    yield audio
