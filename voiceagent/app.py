"""The composition root: from a configuration to a running service. The only place that names concrete providers."""

import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from ipaddress import ip_network
from typing import Final, TypeAlias

import trio
from attrs import define, evolve, field

from voiceagent.audio.pcm import Pcm
from voiceagent.calls.admission import Admission
from voiceagent.calls.call import Agent, Call, CallLimits, ConversationAgent, EchoAgent
from voiceagent.calls.live import LiveCalls
from voiceagent.calls.router import Router
from voiceagent.calls.tools import Tools
from voiceagent.config import Config, ProviderOptions, flow_path, parse_address, state_path
from voiceagent.dialogue.load import load_flow
from voiceagent.dialogue.scripted import FlowDialogue
from voiceagent.groups import unwrapped
from voiceagent.journal import Journal, ServiceReady, ServiceStopping, fan_out
from voiceagent.observe.metrics import Metrics
from voiceagent.pbx.clock import MediaClock
from voiceagent.pbx.endpoint import Endpoint
from voiceagent.pbx.listener import accept_connections, address_text, open_listener
from voiceagent.pipeline.conversation import Phrase
from voiceagent.ports import ProviderError, SpeechToText, TextToSpeech
from voiceagent.providers import embedded
from voiceagent.providers.embedded import EspeakTextToSpeech, SphinxSpeechToText
from voiceagent.providers.webrtc import WebrtcVad
from voiceagent.turns.endpointing import Endpointing
from voiceagent.web.health import Check, CheckResult
from voiceagent.web.service import serve_health

_APOLOGY: Final = "I am sorry, something went wrong. Could you say that again?"
_FAREWELL: Final = "I am sorry, we have a technical problem. Please call again later. Goodbye."


#: Something that listens or speaks, or both.
Provider: TypeAlias = SpeechToText | TextToSpeech


class StartError(Exception):
    """The service cannot start; one line that says what is missing or in the way."""


@define(eq=False)
class Service:
    """A running service. `agents` are those that are ready to take calls, by name."""

    _address: tuple[str, int] | None
    clock: MediaClock
    agents: Mapping[str, Agent]
    _drain_s: float
    _router: Router
    _routers: Mapping[str, Router]
    _journal: Journal
    _nursery: trio.Nursery
    http_address: tuple[str, int] | None  # where health and metrics are; None: nowhere
    _accepting: trio.CancelScope = field(factory=trio.CancelScope)

    @property
    def address(self) -> tuple[str, int]:
        """Where it listens; RuntimeError when it was told not to."""
        if self._address is None:
            raise RuntimeError("this service has no listener: audiosocket.listen is empty")
        return self._address

    @property
    def answering(self) -> str:
        """The agent who answers the listener's calls."""
        return self._router.agent.name

    @property
    def calls(self) -> Mapping[str, Call]:
        """The live calls by UUID (text)."""
        return self._router.live.calls

    @property
    def refused(self) -> Mapping[str, int]:
        """Connections that were closed before they became calls, by reason."""
        return self._router.refused

    @property
    def draining(self) -> bool:
        """Whether it takes no further calls."""
        return self._accepting.cancel_called

    def connect(self, endpoint: Endpoint, *, agent: str = "", host: str = "127.0.0.1", port: int = 0) -> None:
        """Serve a connection that came in some other way than through the listener. Takes `endpoint` over.

        `agent` is one of `agents`, "" the one who answers the listener's calls. KeyError: it is not ready.
        """
        router = self._routers[agent] if agent else self._router
        self._nursery.start_soon(router.serve, endpoint, host, port)

    async def drain(self) -> None:
        """Take no further calls and wait until the live ones are over, for at most `service.drain_s`."""
        self._accepting.cancel()
        self._journal(ServiceStopping(trio.current_time(), len(self.calls), self._drain_s))
        with trio.move_on_after(self._drain_s):
            await self._router.wait_idle()


@asynccontextmanager
async def open_service(
    config: Config,
    *,
    journals: Sequence[Journal] = (),
    agents: Sequence[str] = (),
    providers: Mapping[str, Provider] | None = None,
) -> AsyncIterator[Service]:
    """A service that answers calls as long as the context is open; leaving it ends the live calls within 2 s.

    `agents` are made ready besides the one who answers the listener. `providers` are ready objects by the names that
    agents know them by; each does what it implements (listening, speaking, or both) in place of what is configured
    under its name, and stays open and its owner's.

    Raises StartError when a provider or a listener cannot start, dialogue.load.FlowErrors for a bad flow. An error of
    the media clock or of a provider's supervision cancels the body and comes out of the context. A single error, be it
    one of these or the body's own, comes out as itself and not in a group.
    """
    metrics = Metrics()
    journal = fan_out(*journals, metrics.write)
    with unwrapped() as boundary:
        async with AsyncExitStack() as stack:
            opened = _Providers(config, providers or {}, stack, journal)
            ready = {name: await _prepare_agent(name, opened) for name in (config.audiosocket.agent, *agents)}
            listener = await _listen("AudioSocket", config.audiosocket.listen, stack)
            http = await _listen("HTTP", config.http.listen, stack)
            async with _serve(config, ready, journal, listener, http, metrics) as service:
                with boundary.body():
                    yield service


@asynccontextmanager
async def _serve(
    config: Config,
    agents: Mapping[str, Agent],
    journal: Journal,
    listener: socket.socket | None,
    http: socket.socket | None,
    metrics: Metrics,
) -> AsyncIterator[Service]:
    """Clock and calls, those of `listener` among them, and health on `http`."""
    audiosocket = config.audiosocket
    clock = MediaClock()
    router = Router(
        clock=clock,
        admission=Admission(
            config.service.max_calls, audiosocket.max_pending, tuple(map(ip_network, audiosocket.allow))
        ),
        agent=agents[audiosocket.agent],
        limits=CallLimits(config.agents[audiosocket.agent].max_call_s, audiosocket.idle_s),
        run_tool=Tools(state_path(config.service, os.environ), journal).run,
        live=LiveCalls(journal),
    )
    # A router for each agent; they share everything that changes: calls, admission, counts.
    routers = {
        name: evolve(router, agent=agent, limits=CallLimits(config.agents[name].max_call_s, audiosocket.idle_s))
        for name, agent in agents.items()
    }
    address = _address(listener)
    async with trio.open_nursery() as engine:
        # Calls say goodbye on the wire while they are cancelled: the clock outlives them.
        ticking, watching = trio.CancelScope(shield=True), trio.CancelScope()
        engine.start_soon(_run_within, ticking, clock.run)
        try:
            async with trio.open_nursery() as calls:
                service = Service(
                    address, clock, agents, config.service.drain_s, router, routers, journal, calls, _address(http)
                )
                if listener is not None:
                    accept = partial(accept_connections, listener, router.serve, calls, router.trouble)
                    calls.start_soon(_run_within, service._accepting, accept)
                if http is not None:  # it outlives the calls: what goes on while they end can be watched
                    health = partial(
                        serve_health,
                        http,
                        clock=clock,
                        ready=_checks(service, listener),
                        metrics=metrics,
                        token=config.http.token,
                    )
                    engine.start_soon(_run_within, watching, health)
                journal(ServiceReady(trio.current_time(), address_text(*address) if address is not None else "nowhere"))
                yield service
                calls.cancel_scope.cancel()
        finally:
            ticking.cancel()
            watching.cancel()


async def _run_within(scope: trio.CancelScope, task: Callable[[], Awaitable[None]]) -> None:
    with scope:
        await task()


async def _listen(what: str, address: str, stack: AsyncExitStack) -> socket.socket | None:
    """Listens on `address` as long as `stack` is open; None where it is empty."""
    if not address:
        return None
    host, port = parse_address(address)
    try:
        return stack.enter_context(await open_listener(host, port))
    except OSError as error:
        raise StartError(f"cannot listen for {what} on {address}: {error.strerror}") from None


def _address(listener: socket.socket | None) -> tuple[str, int] | None:
    return listener.getsockname()[:2] if listener is not None else None


def _checks(service: Service, listener: socket.socket | None) -> dict[str, Check]:
    """What has to be in order for the service to take calls."""

    def listens() -> CheckResult:
        is_open = listener is not None and listener.fileno() >= 0
        return CheckResult(is_open, address_text(*service.address) if is_open else "closed")

    def takes_calls() -> CheckResult:
        return CheckResult(not service.draining, "no further calls are taken" if service.draining else "no")

    def workers_run() -> CheckResult:
        troubles = sorted(set(map(_trouble, service.agents.values())) - {""})
        return CheckResult(not troubles, "; ".join(troubles) or "all run")

    checks: dict[str, Check] = {"draining": takes_calls, "workers": workers_run}
    return checks if listener is None else {"listener": listens, **checks}


def _trouble(agent: Agent) -> str:
    """What is wrong with the workers of an agent, if anything; those of others answer for themselves."""
    speech = (agent.stt, agent.tts) if isinstance(agent, ConversationAgent) else ()
    ours = (part for part in speech if isinstance(part, SphinxSpeechToText | EspeakTextToSpeech))
    return "; ".join(part.trouble for part in ours if part.trouble)


@define
class _Providers:
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


async def _prepare_agent(name: str, providers: _Providers) -> Agent:
    """The agent `name` of the configuration, its providers open."""
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
