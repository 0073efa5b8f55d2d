"""A service: listeners, clock, calls, call control and health, in nurseries that end in the right order."""

import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from ipaddress import ip_network

import trio
from attrs import define, evolve, field, frozen

from voiceagent.app.agents import Provider, Providers, StartError, prepare_agent
from voiceagent.app.health import checks_of
from voiceagent.app.stasis import open_stasis_calls
from voiceagent.calls.admission import Admission
from voiceagent.calls.call import Agent, Call, CallLimits
from voiceagent.calls.live import LiveCalls
from voiceagent.calls.router import Router
from voiceagent.calls.stasis import StasisCalls
from voiceagent.calls.tools import Tools
from voiceagent.config import Config, parse_address, state_path
from voiceagent.groups import unwrapped
from voiceagent.journal import Journal, ServiceReady, ServiceStopping, fan_out
from voiceagent.observe.metrics import Metrics
from voiceagent.pbx.clock import MediaClock
from voiceagent.pbx.endpoint import Endpoint
from voiceagent.pbx.listener import accept_connections, address_text, open_listener
from voiceagent.web.service import serve_health


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
    #: Where health and metrics are, and plain AudioSocket() calls beside those of ARI; None: nowhere.
    http_address: tuple[str, int] | None = None
    dialplan_address: tuple[str, int] | None = None
    #: Call control; None without it.
    stasis: StasisCalls | None = None
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
        if self.stasis is not None:
            self.stasis.accepting = False
        self._journal(ServiceStopping(trio.current_time(), len(self.calls), self._drain_s))
        with trio.move_on_after(self._drain_s):
            if self.stasis is not None:
                await self.stasis.wait_none()
            await self._router.live.wait_none()
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
    # Whoever telephones through Stasis may ask for any of them.
    names = tuple(config.agents) if config.ari.url else (config.audiosocket.agent, *agents)
    with unwrapped() as boundary:
        async with AsyncExitStack() as stack:
            opened = Providers(config, providers or {}, stack, journal)
            ready = {name: await prepare_agent(name, opened) for name in names}
            listeners = await _open_listeners(config, stack)
            async with _serve(config, ready, journal, listeners, metrics) as service:
                with boundary.body():
                    yield service


@frozen
class _Listeners:
    """Those that are configured. They are closed by whom they are given to, and at the latest when the service ends."""

    audiosocket: socket.socket | None
    dialplan: socket.socket | None
    http: socket.socket | None


async def _open_listeners(config: Config, stack: AsyncExitStack) -> _Listeners:
    async def listen(what: str, address: str) -> socket.socket | None:
        if not address:
            return None
        host, port = parse_address(address)
        try:
            return stack.enter_context(await open_listener(host, port))
        except OSError as error:
            raise StartError(f"cannot listen for {what} on {address}: {error.strerror}") from None

    return _Listeners(
        await listen("AudioSocket", config.audiosocket.listen),
        await listen("AudioSocket() of the dialplan", config.dialplan.listen),
        await listen("HTTP", config.http.listen),
    )


@asynccontextmanager
async def _serve(
    config: Config, agents: Mapping[str, Agent], journal: Journal, listeners: _Listeners, metrics: Metrics
) -> AsyncIterator[Service]:
    clock = MediaClock()
    routers = _routers(config, agents, clock, journal)
    plain = routers[config.audiosocket.agent]
    router = evolve(plain, only_announced=bool(config.ari.url))
    address, http = _address(listeners.audiosocket), listeners.http
    async with trio.open_nursery() as engine:
        # Calls say goodbye on the wire while they are cancelled: the clock outlives them.
        ticking, watching = trio.CancelScope(shield=True), trio.CancelScope()
        engine.start_soon(_run_within, ticking, clock.run)
        try:
            async with trio.open_nursery() as connections, AsyncExitStack() as control:
                service = Service(
                    address,
                    clock,
                    agents,
                    config.service.drain_s,
                    router,
                    routers,
                    journal,
                    connections,
                    http_address=_address(http),
                    dialplan_address=_address(listeners.dialplan),
                )
                if config.ari.url and address is not None:
                    opening = open_stasis_calls(config, agents, router, address_text(*address))
                    service.stasis = await control.enter_async_context(opening)
                for listener, target in ((listeners.audiosocket, router), (listeners.dialplan, plain)):
                    if listener is not None:
                        accept = partial(accept_connections, listener, target.serve, connections, target.trouble)
                        # Calls that have begun get their media legs, also while the service takes no further ones.
                        until = trio.CancelScope() if target.only_announced else service._accepting
                        connections.start_soon(_run_within, until, accept)
                if http is not None:  # it outlives the calls: what goes on while they end can be watched
                    ready, token = checks_of(service, listeners.audiosocket), config.http.token
                    health = partial(serve_health, http, clock=clock, ready=ready, metrics=metrics, token=token)
                    engine.start_soon(_run_within, watching, health)
                journal(ServiceReady(trio.current_time(), address_text(*address) if address is not None else "nowhere"))
                yield service
                await control.aclose()  # calls that came through Stasis end first: their legs are connections
                connections.cancel_scope.cancel()
        finally:
            ticking.cancel()
            watching.cancel()


def _routers(config: Config, agents: Mapping[str, Agent], clock: MediaClock, journal: Journal) -> dict[str, Router]:
    """A router for each agent; they share everything that changes: calls, admission, counts."""
    audiosocket, first = config.audiosocket, config.audiosocket.agent

    def limits(agent: str) -> CallLimits:
        return CallLimits(config.agents[agent].max_call_s, audiosocket.idle_s)

    allowed = tuple(map(ip_network, audiosocket.allow))
    router = Router(
        clock=clock,
        admission=Admission(config.service.max_calls, audiosocket.max_pending, allowed),
        agent=agents[first],
        limits=limits(first),
        run_tool=Tools(state_path(config.service, os.environ), journal).run,
        live=LiveCalls(journal),
    )
    return {name: evolve(router, agent=agent, limits=limits(name)) for name, agent in agents.items()}


async def _run_within(scope: trio.CancelScope, task: Callable[[], Awaitable[None]]) -> None:
    with scope:
        await task()


def _address(listener: socket.socket | None) -> tuple[str, int] | None:
    return listener.getsockname()[:2] if listener is not None else None
