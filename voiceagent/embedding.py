"""A service inside another program: with the journal to iterate over, and callers in memory for test rigs.

Nothing here is process-wide: no signal handlers, no settings of the interpreter. Several services may run at once.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

import trio
from attrs import define, field

from voiceagent import app
from voiceagent.app import Provider
from voiceagent.audio.pcm import Pcm
from voiceagent.calls.call import Call, ConversationAgent
from voiceagent.config import Config
from voiceagent.groups import unwrapped
from voiceagent.journal import Journal
from voiceagent.lab.rig import Connection, Lab, Speak
from voiceagent.observe.stream import EventStream, Subscribers
from voiceagent.pbx.clock import ClockStats
from voiceagent.pbx.endpoint import Endpoint
from voiceagent.pbx.memory import memory_pair
from voiceagent.pbx.memory_stream import MemoryStream
from voiceagent.ports import TextToSpeech


@define(eq=False)
class Service:
    """A running service; valid inside its `open_service`. `lab` makes calls to it."""

    lab: Lab
    _service: app.Service
    _subscribers: Subscribers
    _streams: list[EventStream] = field(factory=list)

    @property
    def address(self) -> tuple[str, int]:
        """Host and port where it listens; RuntimeError when it was told not to."""
        return self._service.address

    @property
    def calls(self) -> Mapping[str, Call]:
        """The live calls by UUID (text)."""
        return self._service.calls

    @property
    def refused(self) -> Mapping[str, int]:
        """Connections that were closed before they became calls, by reason."""
        return self._service.refused

    @property
    def frames(self) -> ClockStats:
        """What the media clock has counted, over all lines."""
        return self._service.clock.stats

    def connect(self, endpoint: Endpoint, *, agent: str = "", host: str = "127.0.0.1", port: int = 0) -> None:
        """Serve a connection that came in some other way than through the listener. Takes `endpoint` over.

        `agent` is one that was made ready, "" the one who answers the listener's calls (KeyError for any other).
        """
        self._service.connect(endpoint, agent=agent, host=host, port=port)

    async def drain(self) -> None:
        """Take no further calls and wait until the live ones are over, for at most `service.drain_s`."""
        await self._service.drain()

    @asynccontextmanager
    async def events(self, *, capacity: int = 1024) -> AsyncIterator[EventStream]:
        """The journal from now on, to iterate over; ends with the service.

        At most `capacity` events wait for the reader; when more would, he gets those and then EventsLostError.
        """
        stream = EventStream(capacity)
        self._streams.append(stream)
        try:
            with self._subscribers.subscribed(stream.write):
                yield stream
        finally:
            self._streams.remove(stream)

    def _end_streams(self) -> None:
        for stream in self._streams:
            stream.close()


@asynccontextmanager
async def open_service(
    config: Config,
    *,
    journals: Sequence[Journal] = (),
    agents: Sequence[str] = (),
    providers: Mapping[str, Provider] | None = None,
) -> AsyncIterator[Service]:
    """As app.open_service, which says what it takes and raises."""
    subscribers = Subscribers()
    embedded: Service | None = None
    try:
        with unwrapped() as boundary:
            async with app.open_service(
                config, journals=[*journals, subscribers.write], agents=agents, providers=providers
            ) as service:
                embedded = Service(_lab(service, subscribers), service, subscribers)
                with boundary.body():
                    yield embedded
    finally:
        if embedded is not None:
            embedded._end_streams()


def _lab(service: app.Service, subscribers: Subscribers) -> Lab:
    async def connect(agent: str) -> Connection:
        # Of two things at the same instant on a virtual clock, chance decides which comes first: keep off the grid.
        await trio.sleep_until(service.clock.between_steps())
        here, there = memory_pair()
        service.connect(there, agent=agent)
        stream = MemoryStream(here)
        return stream, stream.abort

    def voice_of(agent: str) -> Speak:
        ready = service.agents[agent or service.answering]
        return say_with(ready.tts) if isinstance(ready, ConversationAgent) else _mute

    return Lab(connect, voice_of, subscribers.subscribed)


def say_with(voice: TextToSpeech) -> Speak:
    """A voice for callers: says a text and returns its audio. Saying raises ProviderError."""

    async def speak(text: str) -> Pcm:
        async with voice.open_speech(text) as chunks:
            audio = [chunk async for chunk in chunks]
        return Pcm(audio[0].rate if audio else 8000, b"".join(chunk.data for chunk in audio))

    return speak


async def _mute(text: str) -> Pcm:
    raise RuntimeError(f"the caller has no voice to say {text!r} with: this agent speaks with none")
