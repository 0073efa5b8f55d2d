"""An Asterisk in memory: channels, bridges, variables, the requests that calls make, the events these cause.

It does what the real one was seen doing, no more. A request that is abandoned is carried out all the same.
"""

import json
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import cast
from uuid import UUID

import httpx
import trio
from attrs import define, field

from tests.peer import Peer
from voiceagent.pbx.ari.client import AriClient
from voiceagent.pbx.ari.dispatch import Dispatch
from voiceagent.pbx.ari.handles import Ari
from voiceagent.pbx.ari.stream import EventStream, Snapshot, StreamState
from voiceagent.pbx.memory import MemoryEndpoint
from voiceagent.wire.ari.events import Event, parse_event
from voiceagent.wire.ari.models import Application, Bridge, Channel
from voiceagent.wire.ari.structure import structure

APP = "voiceagent"
#: From a request to its answer.
REQUEST_S = 0.002


def ignore(what: object) -> None:
    """Nothing happens."""


@define(eq=False)
class AsteriskTwin(httpx.AsyncBaseTransport):
    """`connect` takes the far end of each AudioSocket connection. `nursery` holds what goes on inside."""

    nursery: trio.Nursery
    connect: Callable[[MemoryEndpoint], None]
    take: Callable[[Event], None] = ignore
    channels: dict[str, dict[str, object]] = field(factory=dict)
    bridges: dict[str, set[str]] = field(factory=dict)
    variables: dict[tuple[str, str], str] = field(factory=dict)
    #: Asterisk's ends of the AudioSocket connections, by the channel they are the audio of.
    legs: dict[str, Peer] = field(factory=dict)
    #: What the caller says next, as `Peer.talk` has it; silence when there is nothing.
    says: deque[str] = field(factory=deque)
    #: Callers that went back to the dialplan, with what had been said of them.
    released: list[tuple[str, dict[str, str]]] = field(factory=list)
    requests: list[str] = field(factory=list)
    #: What the dialplan says next to a caller who comes back: the arguments of Stasis().
    again: dict[str, list[str]] = field(factory=dict)
    #: Called at every moment: before and after each request is carried out.
    moment: Callable[[int], None] = ignore
    #: Requests that are refused with 500, by the end of their path.
    refuse: set[str] = field(factory=set)
    #: Whether media legs come to us.
    starts_media: bool = True
    down: bool = False
    #: Events go to another client.
    replaced: bool = False
    dispatch: Dispatch = field(init=False)

    def ari(self, instance: str = "test") -> Ari:
        """A client of it; events reach it without a socket."""
        self.dispatch = Dispatch(lambda event: self.take(event))  # noqa: PLW0108 - `take` changes
        http = httpx.AsyncClient(transport=self, base_url="http://asterisk/ari", timeout=None)  # noqa: S113
        client = AriClient(http)
        return Ari(APP, instance, client, self.dispatch, cast("EventStream", self))

    @property
    def state(self) -> StreamState:
        """Of the event stream that there would be."""
        return StreamState(connected=True, replaced=self.replaced)

    # What happens in the world -----------------------------------------------------------------------------------

    def enter(self, id_: str = "caller-1", *arguments: str, **variables: str) -> str:
        """A caller comes to Stasis."""
        self.channels[id_] = _channel(id_, f"PJSIP/{id_}", ",".join((APP, *arguments)))
        self.variables.update({(id_, name): value for name, value in variables.items()})
        self.tell("StasisStart", channel=self.channels[id_], args=list(arguments))
        return id_

    def hang_up(self, id_: str = "caller-1") -> None:
        """He hangs up, if he is still there."""
        if id_ in self.channels:
            self.tell("ChannelHangupRequest", channel=self.channels[id_])
            self._leave(id_)

    def tell(self, kind: str, **what: object) -> None:
        if self.replaced:
            return
        message = {"type": kind, "application": APP, "timestamp": "2026-01-01T00:00:00.000+0000", **what}
        self.dispatch.publish(parse_event(json.dumps(message)))

    def snapshot(self) -> Snapshot:
        channels = tuple(structure(Channel, channel, "channel") for channel in self.channels.values())
        bridges = tuple(
            Bridge(id_, "simple_bridge", "mixing", "", tuple(members)) for id_, members in self.bridges.items()
        )
        return Snapshot(Application(APP, tuple(self.channels), tuple(self.bridges)), channels, bridges)

    def _leave(self, id_: str) -> None:
        channel = self.channels.pop(id_)
        for members in self.bridges.values():
            members.discard(id_)
        self.tell("StasisEnd", channel=channel)
        if id_ in self.legs:
            self.legs[id_].end.close()
            self.tell("ChannelDestroyed", channel=channel, cause=16, cause_txt="Normal Clearing")

    # Requests ----------------------------------------------------------------------------------------------------

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if self.down:
            raise httpx.ConnectError("connection refused")
        number = len(self.requests)
        path = request.url.path.removeprefix("/ari/")
        self.requests.append(f"{request.method} {path}")
        done, answers = trio.Event(), list[httpx.Response]()

        async def carry_out() -> None:
            self.moment(2 * number)
            await trio.sleep(REQUEST_S)
            answers.append(await self._answer(request.method, path.split("/"), request.url.params))
            self.moment(2 * number + 1)
            done.set()

        self.nursery.start_soon(carry_out)
        await done.wait()
        return answers[0]

    async def _answer(self, method: str, path: list[str], query: httpx.QueryParams) -> httpx.Response:
        if path[-1] in self.refuse:
            return httpx.Response(500, json={"error": "Allocation failed"})
        match method, path:
            case "GET", ["channels"]:
                return httpx.Response(200, json=list(self.channels.values()))
            case "POST", ["channels", "externalMedia"]:
                await self._connect(query)
                return httpx.Response(200, json=self.channels[query["channelId"]])
            case "POST", ["bridges"]:
                self.bridges[query["bridgeId"]] = set()
                return httpx.Response(200, json={})
            case _, ["bridges", bridge, *_] if bridge not in self.bridges:
                return httpx.Response(404, json={"message": "Bridge not found"})
            case "POST", ["bridges", bridge, "addChannel"]:
                members = set(query["channel"].split(","))
                if not members <= self.channels.keys():
                    return httpx.Response(400, json={"message": "Channel not found"})
                self.bridges[bridge] |= members
            case "DELETE", ["bridges", bridge]:
                del self.bridges[bridge]
            case _, ["channels", channel, *_] if channel not in self.channels:
                return httpx.Response(404, json={"message": "Channel not found"})
            case "DELETE", ["channels", channel]:
                self._leave(channel)
            case "POST", ["channels", channel, "continue"]:
                said = {name: value for (owner, name), value in self.variables.items() if owner == channel}
                self.released.append((channel, said))
                self._leave(channel)
                if channel in self.again:
                    self.enter(channel, *self.again.pop(channel))
            case "GET", ["channels", channel, "variable"]:
                value = self.variables.get((channel, query["variable"]))
                if value is None:
                    return httpx.Response(404, json={"message": "Provided variable was not found"})
                return httpx.Response(200, json={"value": value})
            case "POST", ["channels", channel, "variable"]:
                self.variables[channel, query["variable"]] = query["value"]
            case "POST", ["channels", _, "answer" | "ring"]:
                pass
            case _:
                raise AssertionError(f"{method} {path}: the twin does not know this")
        return httpx.Response(204)

    async def _connect(self, query: httpx.QueryParams) -> None:
        """The connection is there before the channel, the channel before its StasisStart."""
        id_, leg = query["channelId"], Peer()
        self.connect(leg.endpoint)
        leg.identify(UUID(query["data"]))
        self.legs[id_] = leg
        self.nursery.start_soon(self._hear, id_, leg)
        await trio.sleep(REQUEST_S)
        self.channels[id_] = _channel(id_, f"AudioSocket/{query['external_host']}-{query['data']}", APP)
        if self.starts_media:
            self.tell("StasisStart", channel=self.channels[id_], args=[query["data"]])

    async def _hear(self, id_: str, leg: Peer) -> None:
        """Silence from the caller; 0x00 or the end of the connection ends the channel."""
        with suppress(OSError):  # either end has closed
            while not leg.hung_up and leg.over is None and not leg.end.closed:
                await leg.talk(self.says.popleft() if self.says else ".")
        if id_ in self.channels:
            self._leave(id_)


def _channel(id_: str, name: str, app_data: str) -> dict[str, object]:
    return {
        "id": id_,
        "name": name,
        "state": "Ring",
        "caller": {"name": "Ada", "number": "5551"},
        "connected": {"name": "", "number": ""},
        "dialplan": {"context": "in", "exten": "1000", "priority": 1, "app_name": "Stasis", "app_data": app_data},
        "creationtime": "2026-01-01T00:00:00.000+0000",
        "language": "en",
    }
