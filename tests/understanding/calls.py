"""Calls played off-line: what synthetic callers say is recognised and answered as the service would."""

import re
import zlib
from collections import Counter

from attrs import define, field, frozen

from tests.understanding.material import Answer, Done, Errand, Told, Voice
from tests.understanding.telephone import Telephone, persist
from voiceagent.audio.pcm import Pcm
from voiceagent.dialogue import Flow, FlowDialogue
from voiceagent.ports import CallerSpoke, CallOpened, SpeechToText, Text, ToolCall, ToolReturned, Turn

#: Nobody asks a machine more often than this.
_MAX_TURNS = 14
#: Tools after which the caller has no more to say.
_LAST = frozenset({"hang_up", "transfer"})
#: Words typed to a fresh dialogue to bring it to each of the questions where callers are heard.
STATES = {
    "welcome": (),
    "day": ("i need an appointment",),
    "hour": ("book an appointment for monday",),
    "confirm": ("i would like to book monday at nine o'clock",),
}
_NOT_UNDERSTOOD = "did not understand"


@define
class Agent:
    """One call's dialogue, whose tools always succeed."""

    _flow: Flow
    _dialogue: FlowDialogue = field(init=False)
    tools: list[ToolCall] = field(factory=list)
    texts: list[str] = field(factory=list)

    def __attrs_post_init__(self) -> None:
        self._dialogue = FlowDialogue(self._flow)

    @property
    def ended(self) -> bool:
        return bool(self.tools) and self.tools[-1].name in _LAST

    async def answer(self, turn: Turn) -> str:
        """What it says to `turn`, and to what came of its tools."""
        said, call = "", None
        async with self._dialogue.open_reply(turn) as events:
            async for event in events:
                match event:
                    case Text(text):
                        said += text
                    case ToolCall():
                        call = event
        self.texts.append(said)
        if call is not None:
            self.tools.append(call)
            said += " " + await self.answer(ToolReturned(call.id, ok=True, result=""))
        return said

    async def hear(self, stt: SpeechToText, audio: Pcm) -> str:
        """The words of a turn, as recognised while this is what is expected."""
        return await persist(lambda: self._hear(stt, audio))

    async def _hear(self, stt: SpeechToText, audio: Pcm) -> str:
        async with stt.open_recognition(self._dialogue.expected) as recognition:
            size = 2 * audio.rate // 10
            for at in range(0, len(audio.data), size):
                await recognition.send(Pcm(audio.rate, audio.data[at : at + size]))
            return (await recognition.finish()).text


@frozen
class Outcome:
    reached: bool
    transcript: tuple[str, ...]


@frozen
class Rig:
    """What all calls share. `seed` varies the noise."""

    flow: Flow
    stt: SpeechToText
    phone: Telephone

    async def run_errand(self, errand: Errand, voice: Voice) -> Outcome:
        """One call from greeting to its end. The caller says again, or in other words, what was not understood."""
        agent, log, used = Agent(self.flow), list[str](), Counter[Answer]()
        answer: Answer | None = None
        heard = await agent.answer(CallOpened())
        log.append(f"agent: {heard}")
        while not agent.ended and len(log) < 2 * _MAX_TURNS:
            if answer is None or _NOT_UNDERSTOOD not in heard:
                answer = next(each for each in errand.answers if re.search(each.when, heard, re.IGNORECASE))
            again = used[answer] > 0
            used[answer] += 1
            said = (answer.again or answer.first) if again and used[answer] % 2 == 0 else answer.first
            turns = await self.phone.say(said, voice.patient if again else voice.options, seed=_seed(voice.name, *log))
            for turn in turns:
                if not agent.ended:
                    words = await agent.hear(self.stt, turn)
                    heard = await agent.answer(CallerSpoke(words))
                    log.append(f"caller: {said} [{words}]")
                    log.append(f"agent: {heard}")
            if not turns:
                log += [f"caller: {said} [no turn]", "agent: "]
                heard = _NOT_UNDERSTOOD
        return Outcome(_reached(errand, agent), tuple(log))

    async def is_acted_upon(self, said: str, voice: Voice, state: str) -> Outcome:
        """Whether a fresh dialogue in `state` takes `said` for something it knows."""
        agent = Agent(self.flow)
        await agent.answer(CallOpened())
        for typed in STATES[state]:
            await agent.answer(CallerSpoke(typed))
        log = [f"{state}: {said}"]
        acted = False
        for turn in await self.phone.say(said, voice.options, seed=_seed(voice.name, said)):
            words = await agent.hear(self.stt, turn)
            reply = await agent.answer(CallerSpoke(words))
            acted |= _NOT_UNDERSTOOD not in reply
            log.append(f"[{words}] {reply}")
        return Outcome(acted, tuple(log))

    async def is_understood(self, said: str, meaning: str, voice: Voice) -> tuple[bool, bool]:
        """Whether the first answer to `said` is that to the typed phrase `meaning`, and whether it is any other."""
        agent, typist = Agent(self.flow), Agent(self.flow)
        await agent.answer(CallOpened())
        await typist.answer(CallOpened())
        wanted = await typist.answer(CallerSpoke(meaning))
        turns = await self.phone.say(said, voice.options, seed=_seed(voice.name, said))
        reply = await agent.answer(CallerSpoke(await agent.hear(self.stt, turns[0]) if turns else ""))
        right = reply == wanted and [tool.arguments for tool in agent.tools] == [t.arguments for t in typist.tools]
        return right, not right and _NOT_UNDERSTOOD not in reply


def _reached(errand: Errand, agent: Agent) -> bool:
    """Every goal, and no tool but those of the goals, in their order."""
    wanted = [goal for goal in errand.goals if isinstance(goal, Done)]
    told = [goal for goal in errand.goals if isinstance(goal, Told)]
    everything = " ".join(agent.texts)
    return (
        all(goal.words in everything for goal in told)
        and [goal.tool for goal in wanted] == [call.name for call in agent.tools]
        and all(
            goal.arguments.items() <= call.arguments.items() for goal, call in zip(wanted, agent.tools, strict=True)
        )
    )


def _seed(*parts: str) -> int:
    return zlib.crc32("|".join(parts).encode())
