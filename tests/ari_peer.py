"""An Asterisk for the ARI client's tests: its event socket over streams in memory, its REST answers from a table."""

import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, TypeVar, cast

import httpx
import trio
from attrs import define, field
from trio.testing import memory_stream_pair
from trio_websocket import WebSocketConnection, wrap_server_stream

from voiceagent.journal import Event as JournalEvent
from voiceagent.pbx.ari.client import AriClient, open_client
from voiceagent.pbx.ari.dispatch import Dispatch
from voiceagent.pbx.ari.errors import AriUnavailableError
from voiceagent.pbx.ari.stream import EventStream, Snapshot, StreamState
from voiceagent.pbx.ari.websocket import Stream, websocket_over
from voiceagent.wire.ari.events import Event

T = TypeVar("T")

URL = "http://pbx:8088/ari"


def channel(id_: str) -> Mapping[str, Any]:
    """A channel as Asterisk describes it."""
    return {
        "id": id_,
        "name": f"PJSIP/{id_}",
        "state": "Up",
        "caller": {"name": "", "number": "100"},
        "connected": {"name": "", "number": ""},
        "dialplan": {"context": "in", "exten": "1000", "priority": 1, "app_name": "Stasis", "app_data": "voiceagent"},
        "creationtime": "2026-11-23T02:06:55.908+0000",
        "language": "en",
    }


def bridge(id_: str) -> Mapping[str, Any]:
    return {"id": id_, "technology": "simple_bridge", "bridge_type": "mixing", "name": "", "channels": []}


def message(kind: str, **fields: object) -> str:
    return json.dumps({"type": kind, "application": "voiceagent", "timestamp": "2026", **fields})


@define(eq=False)
class Pbx:
    """What there is in it, who connected, and what it does with the next connections.

    `sockets` are the server's halves of the connections that were made, `resources` what they asked for. `deaf` ones
    accept the stream and say nothing; `refusals` are raised by the next attempts. Requests wait for `answering`.
    """

    nursery: trio.Nursery
    channel_ids: list[str] = field(factory=list)
    bridge_ids: list[str] = field(factory=list)
    sockets: list[WebSocketConnection] = field(factory=list)
    resources: list[str] = field(factory=list)
    attempts: int = 0
    unavailable: int = 0
    deaf: bool = False
    answering: trio.Event = field(factory=trio.Event)
    rest: Callable[[httpx.Request], httpx.Response | None] = lambda request: None  # noqa: ARG005

    @asynccontextmanager
    async def connect(self) -> AsyncIterator[WebSocketConnection]:
        self.attempts += 1
        if self.unavailable:
            self.unavailable -= 1
            raise AriUnavailableError("event socket", "refused")
        here, there = memory_stream_pair()
        if not self.deaf:
            self.nursery.start_soon(self._accept, there)
        async with websocket_over(cast("Stream", here), URL, "voiceagent", "secret", "voiceagent") as socket:
            yield socket

    async def _accept(self, stream: trio.abc.Stream) -> None:
        request = await wrap_server_stream(self.nursery, stream)
        self.resources.append(request.path)
        self.sockets.append(await request.accept())

    async def answer(self, request: httpx.Request) -> httpx.Response:
        await self.answering.wait()
        if (response := self.rest(request)) is not None:
            return response
        match request.url.path:
            case "/ari/applications/voiceagent":
                told: object = {"name": "voiceagent", "channel_ids": self.channel_ids, "bridge_ids": self.bridge_ids}
            case "/ari/channels":
                told = [channel(id_) for id_ in self.channel_ids]
            case "/ari/bridges":
                told = [bridge(id_) for id_ in self.bridge_ids]
            case _:
                return httpx.Response(204)
        return httpx.Response(200, json=told)

    async def tell(self, kind: str, **fields: object) -> None:
        """An event over the latest connection."""
        await self.sockets[-1].send_message(message(kind, **fields))


@define(eq=False)
class Follower:
    """An event stream at a Pbx, and all it told, in order."""

    pbx: Pbx
    client: AriClient
    dispatch: Dispatch
    stream: EventStream
    told: list[Event | Snapshot | StreamState | JournalEvent]

    def of(self, kind: type[T]) -> list[T]:
        return [each for each in self.told if isinstance(each, kind)]


@asynccontextmanager
async def follower(pbx: Pbx, on_connected: Callable[[Snapshot], object] | None = None) -> AsyncIterator[Follower]:
    """A stream that runs while the context lasts; the Pbx answers requests at once."""
    told: list[Event | Snapshot | StreamState | JournalEvent] = []

    async def connected(snapshot: Snapshot) -> None:
        told.append(snapshot)
        if on_connected is not None:
            on_connected(snapshot)
        await trio.lowlevel.checkpoint()

    transport = httpx.MockTransport(pbx.answer)
    async with open_client(URL, "voiceagent", "secret", transport=transport) as client, trio.open_nursery() as nursery:
        dispatch = Dispatch(told.append)
        stream = EventStream(
            app="voiceagent",
            client=client,
            dispatch=dispatch,
            connect=pbx.connect,
            on_connected=connected,
            on_state=told.append,
            journal=told.append,
            draw=lambda: 1.0,
        )
        pbx.answering.set()
        nursery.start_soon(stream.run)
        yield Follower(pbx, client, dispatch, stream, told)
        nursery.cancel_scope.cancel()
