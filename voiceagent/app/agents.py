"""From a configured agent to one that can take calls. The only place that names concrete providers."""

from collections.abc import Mapping
from contextlib import AsyncExitStack
from typing import Final, TypeAlias

from attrs import define, field

from voiceagent.audio.pcm import Pcm
from voiceagent.calls.call import Agent, ConversationAgent, EchoAgent
from voiceagent.config import Config, ProviderOptions, flow_path
from voiceagent.dialogue.load import load_flow
from voiceagent.dialogue.scripted import FlowDialogue
from voiceagent.journal import Journal
from voiceagent.pipeline.conversation import Phrase
from voiceagent.ports import ProviderError, SpeechToText, TextToSpeech
from voiceagent.providers import embedded
from voiceagent.providers.embedded import EspeakTextToSpeech, SphinxSpeechToText
from voiceagent.providers.webrtc import WebrtcVad
from voiceagent.turns.endpointing import Endpointing

_APOLOGY: Final = "I am sorry, something went wrong. Could you say that again?"
_FAREWELL: Final = "I am sorry, we have a technical problem. Please call again later. Goodbye."

#: Something that listens or speaks, or both.
Provider: TypeAlias = SpeechToText | TextToSpeech


class StartError(Exception):
    """The service cannot start; one line that says what is missing or in the way."""


@define
class Providers:
    """Opens what is configured into `stack`, each once, unless something `ready` does its part."""

    config: Config
    ready: Mapping[str, Provider]
    stack: AsyncExitStack
    journal: Journal
    _ears: dict[str, SpeechToText] = field(factory=dict)
    _voices: dict[str, TextToSpeech] = field(factory=dict)

    async def stt(self, name: str) -> SpeechToText:
        """Raises ProviderError."""
        ready = self.ready.get(name)
        if isinstance(ready, SpeechToText):
            return ready
        if name not in self._ears:
            opening = embedded.open_speech_to_text(name, self._options(name), journal=self.journal)
            self._ears[name] = await self.stack.enter_async_context(opening)
        return self._ears[name]

    async def tts(self, name: str) -> TextToSpeech:
        """Raises ProviderError."""
        ready = self.ready.get(name)
        if isinstance(ready, TextToSpeech):
            return ready
        if name not in self._voices:
            opening = embedded.open_text_to_speech(name, self._options(name), journal=self.journal)
            self._voices[name] = await self.stack.enter_async_context(opening)
        return self._voices[name]

    def _options(self, name: str) -> ProviderOptions:
        if name not in self.config.providers:
            raise ProviderError(name, "there is no such provider")
        return self.config.providers[name]


async def prepare_agent(name: str, providers: Providers) -> Agent:
    """The agent `name` of the configuration, its providers open. Raises StartError, FlowErrors."""
    config = providers.config
    if name not in config.agents:
        raise StartError(f"there is no agent {name!r}")
    agent = config.agents[name]
    if agent.kind == "echo":
        return EchoAgent(name)
    flow = load_flow(flow_path(agent.flow, config.directory))
    try:
        tts = await providers.tts(agent.tts)
        stt = await providers.stt(agent.stt)
        apology, farewell = await _render(tts, _APOLOGY), await _render(tts, _FAREWELL)
    except ProviderError as error:
        raise StartError(f"agent {name}: {error}") from None
    return ConversationAgent(
        name=name,
        stt=stt,
        tts=tts,
        vad=WebrtcVad,
        dialogue=lambda facts: FlowDialogue(flow, greeting=agent.greeting, facts=facts),
        endpointing=Endpointing(
            end_silence_s=agent.end_silence_s,
            confirm_s=agent.barge_in_s,
            min_voice_s=min(0.12, agent.barge_in_s),  # what interrupts is a turn
        ),
        no_input_s=agent.no_input_s,
        apology=apology,
        farewell=farewell,
    )


async def _render(tts: TextToSpeech, text: str) -> Phrase:
    """Say `text` once, while nobody waits: proves that the synthesis works, and is there when it does not."""
    async with tts.open_speech(text) as chunks:
        audio = [chunk async for chunk in chunks]
    if not audio:
        raise ProviderError("tts", f"no audio for {text!r}")
    return Phrase(text, Pcm(audio[0].rate, b"".join(chunk.data for chunk in audio)))


def trouble(agent: Agent) -> str:
    """What is wrong with the workers of an agent, if anything; those of others answer for themselves."""
    speech = (agent.stt, agent.tts) if isinstance(agent, ConversationAgent) else ()
    ours = (part for part in speech if isinstance(part, SphinxSpeechToText | EspeakTextToSpeech))
    return "; ".join(part.trouble for part in ours if part.trouble)
