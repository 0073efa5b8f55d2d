"""The event socket: connected for ever, parsed once, handed to the dispatch.

    connect ── events are held ── what there is: asked by REST ── `on_connected` ── events are released ── until lost
       ▲                                                                                                      │
       └──────────────────────────────── back-off with jitter ────────────────────────────────────────────────┘

While the socket is down Asterisk drops events and lets channels be: their audio goes on. So after each connection, the
first included, the owner is told what there is before it hears of anything it is not subscribed to.
"""

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Final, NoReturn, TypeAlias

import attrs
import trio
from attrs import define, field, frozen
from trio_websocket import WebSocketConnection

from voiceagent.groups import leaves
from voiceagent.journal import AriConnected, AriEventBad, AriLost, AriReplaced, Journal
from voiceagent.pbx.ari.client import AriClient
from voiceagent.pbx.ari.dispatch import Dispatch
from voiceagent.pbx.ari.errors import AriError, AriTimeoutError
from voiceagent.wire.ari.commands import applications, bridges, channels
from voiceagent.wire.ari.events import ApplicationReplaced, parse_event
from voiceagent.wire.ari.models import Application, Bridge, Channel
from voiceagent.wire.ari.structure import MessageError

#: Asterisk sends no pings itself, and answers ours at once.
PING_S: Final = 10.0
PONG_S: Final = 5.0
#: For asking what there is and for `on_connected`.
SYNCHRONISE_S: Final = 10.0
#: Different problems with events that are told; all are counted.
_PROBLEMS: Final = 100

Connect: TypeAlias = Callable[[], AbstractAsyncContextManager[WebSocketConnection]]


@frozen
class StreamState:
    """`connected`: events arrive and the owner knows what there is. `replaced`: they go to another client instead.

    That lasts until this socket is lost, whatever becomes of the other client: two that took the name back from each
    other would do so for ever.
    """

    connected: bool = False
    replaced: bool = False
    last_error: str = ""

    @property
    def ready(self) -> bool:
        return self.connected and not self.replaced


@frozen
class Snapshot:
    """What there is: of the application, and all channels and bridges of the Asterisk."""

    application: Application
    channels: tuple[Channel, ...]
    bridges: tuple[Bridge, ...]


@define(eq=False)
class EventStream:
    """Follows one application. `run` it in a task; cancelling closes the socket.

    `on_connected` has SYNCHRONISE_S together with the asking, and may be cancelled then; an AriError of it means the
    connection is given up and tried again. `on_state` must not wait. `draw` gives randomness between 0 and 1.
    """

    app: str
    _client: AriClient
    _dispatch: Dispatch
    _connect: Connect
    _on_connected: Callable[[Snapshot], Awaitable[None]]
    _on_state: Callable[[StreamState], None]
    _journal: Journal
    _draw: Callable[[], float]
    state: StreamState = field(factory=StreamState)
    bad_events: int = 0
    _problems: set[str] = field(factory=set)
    _failures: int = 0

    async def run(self) -> NoReturn:
        while True:
            reason = await self._follow()
            retry_s = backoff_s(self._failures, self._draw())
            self._failures += 1
            self._change(attrs.evolve(self.state, connected=False, last_error=reason))
            self._journal(AriLost(trio.current_time(), reason, retry_s))
            await trio.sleep(retry_s)

    async def _follow(self) -> str:
        """Connect and stay so as long as possible. Returns why it ended."""
        reasons: list[str] = []
        try:
            async with self._connect() as socket, trio.open_nursery() as nursery:
                self._dispatch.hold()
                self._change(attrs.evolve(self.state, replaced=False))
                nursery.start_soon(self._read, socket)
                nursery.start_soon(_keep_alive, socket)
                await self._synchronise()
        except* AriError as errors:
            reasons += map(str, leaves(errors))
        return "; ".join(reasons)

    async def _read(self, socket: WebSocketConnection) -> NoReturn:
        while True:
            message = await socket.get_message()
            try:
                event = parse_event(message)
            except MessageError as error:
                self._skip(str(error))
                continue
            if isinstance(event, ApplicationReplaced):
                self._change(attrs.evolve(self.state, replaced=True))
                self._journal(AriReplaced(trio.current_time(), event.application))
            self._dispatch.publish(event)

    def _skip(self, problem: str) -> None:
        self.bad_events += 1
        if problem not in self._problems and len(self._problems) < _PROBLEMS:
            self._problems.add(problem)
            self._journal(AriEventBad(trio.current_time(), problem))

    async def _synchronise(self) -> None:
        with trio.move_on_after(SYNCHRONISE_S) as deadline:
            snapshot = Snapshot(
                await self._client.fetch(Application, applications.get(self.app)),
                await self._client.fetch_all(Channel, channels.get_all()),
                await self._client.fetch_all(Bridge, bridges.get_all()),
            )
            await self._on_connected(snapshot)
        if deadline.cancelled_caught:
            raise AriTimeoutError("taking stock", f"not done within {SYNCHRONISE_S:g} s")
        self._failures = 0
        self._change(attrs.evolve(self.state, connected=True, last_error=""))
        live = len(snapshot.application.channel_ids)
        self._journal(AriConnected(trio.current_time(), self.app, live))
        self._dispatch.release()

    def _change(self, state: StreamState) -> None:
        if state != self.state:
            self.state = state
            self._on_state(state)


def backoff_s(failures: int, draw: float) -> float:
    """How long to wait after `failures` that went before: 0.2 to 0.4 s at first, in the end 5 to 10 s."""
    longest = min(10.0, 0.4 * 2.0 ** min(failures, 10))
    return longest * (1 + draw) / 2


async def _keep_alive(socket: WebSocketConnection) -> NoReturn:
    while True:
        await trio.sleep(PING_S)
        for _ in range(2):  # when this process stood still, the answer to the first may be there and unread
            with trio.move_on_after(PONG_S / 2):
                await socket.ping()
                break
        else:
            raise AriTimeoutError("ping", f"no answer within {PONG_S:g} s")
