"""Requests over HTTP: what is sent, what comes of answers, refusals, silence and lost connections."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import httpx
import pytest
import trio
from trio.testing import MockClock

from voiceagent.pbx.ari.client import CONNECTIONS, AriClient, open_client
from voiceagent.pbx.ari.errors import (
    AriError,
    AriTimeoutError,
    AriUnavailableError,
    BadRequestError,
    ConflictError,
    ForbiddenError,
    NotFoundError,
    ServerError,
    UnauthorisedError,
    UnprocessableError,
    unless_gone,
)
from voiceagent.wire.ari.commands import asterisk, bridges, channels
from voiceagent.wire.ari.commands.request import Request
from voiceagent.wire.ari.models import AsteriskInfo, Bridge, SystemInfo

Answer = Callable[[httpx.Request], Awaitable[httpx.Response]]


@asynccontextmanager
async def answered(answer: httpx.Response | Answer, url: str = "http://pbx/ari") -> AsyncIterator[AriClient]:
    async def handler(request: httpx.Request) -> httpx.Response:
        return answer if isinstance(answer, httpx.Response) else await answer(request)

    async with open_client(url, "voiceagent", "secret", transport=httpx.MockTransport(handler)) as client:
        yield client


@pytest.mark.parametrize("url", ["http://pbx:8088/ari", "http://pbx:8088/ari/"])
async def test_a_request_goes_out_as_it_was_built(url: str) -> None:
    seen: list[httpx.Request] = []

    async def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200, json={"id": "c/1"})

    request = channels.originate("c/1;2", "PJSIP/a b", app="voiceagent", values={"X": "ü"})
    async with answered(answer, url) as client:
        assert await client.request(request) == {"id": "c/1"}
    (sent,) = seen
    assert sent.method == "POST"
    assert sent.url.raw_path == b"/ari/channels?channelId=c%2F1%3B2&endpoint=PJSIP%2Fa%20b&app=voiceagent"
    assert json.loads(sent.content) == {"variables": {"X": "ü"}}
    assert sent.headers["content-type"] == "application/json"
    assert sent.headers["authorization"] == "Basic dm9pY2VhZ2VudDpzZWNyZXQ="


async def test_an_empty_answer_is_none() -> None:
    async with answered(httpx.Response(204)) as client:
        assert await client.request(channels.answer("c-1")) is None


async def test_an_answer_becomes_a_value() -> None:
    async with answered(httpx.Response(200, json={"system": {"version": "22.10.1"}, "new": 1})) as client:
        assert await client.fetch(AsteriskInfo, asterisk.info()) == AsteriskInfo(SystemInfo("22.10.1"))


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        (httpx.Response(200, json=[{"id": "b-1"}]), "the answer is of no use: Bridge.technology: is missing"),
        (httpx.Response(200, json={}), "the answer is not a list"),
        (httpx.Response(200, text="<html>"), "the answer is not JSON"),
        (httpx.Response(204), "the answer is not a list"),
    ],
)
async def test_an_answer_that_makes_no_sense_is_asterisks_error(answer: httpx.Response, problem: str) -> None:
    async with answered(answer) as client:
        with pytest.raises(ServerError, match=f"^GET /bridges: 20[04] {problem}$"):
            await client.fetch_all(Bridge, bridges.get_all())


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, BadRequestError),
        (401, UnauthorisedError),
        (403, ForbiddenError),
        (404, NotFoundError),
        (405, BadRequestError),
        (409, ConflictError),
        (412, ConflictError),
        (413, BadRequestError),
        (422, UnprocessableError),
        (301, ServerError),
        (500, ServerError),
        (503, ServerError),
    ],
)
async def test_a_refusal_is_an_error_of_its_kind(status: int, kind: type[AriError]) -> None:
    async with answered(httpx.Response(status, json={"message": "Not today"})) as client:
        with pytest.raises(kind, match=f"^POST /channels/c-1/variable: {status} Not today$") as error:
            await client.request(channels.set_variable("c-1", "CARD", "4111"))
    assert type(error.value) is kind


@pytest.mark.parametrize(
    ("response", "said"),
    [
        (httpx.Response(500, json={"error": "Allocation failed"}), "500 Allocation failed"),
        (httpx.Response(500, text="<html>"), "500 Internal Server Error"),
        (httpx.Response(500, json=["x"]), "500 Internal Server Error"),
        (httpx.Response(500, json={"message": "x" * 1000}), "500 " + "x" * 200),
    ],
)
async def test_a_refusal_says_what_asterisk_said(response: httpx.Response, said: str) -> None:
    async with answered(response) as client:
        with pytest.raises(ServerError) as error:
            await client.request(channels.get_all())
    assert error.value.reason == said


@pytest.mark.parametrize(
    ("request_", "status", "gone"),
    [
        (channels.answer("c-1"), 404, True),
        (bridges.add("b-1", ["c-1"]), 400, True),
        (bridges.remove("b-1", ["c-1"]), 400, True),
        (channels.hangup("c-1", "nonsense"), 400, False),
        (channels.answer("c-1"), 409, False),
        (bridges.add("b-1", ["c-1"]), 422, False),
        (channels.answer("c-1"), 500, False),
    ],
)
async def test_that_something_has_gone_can_be_told_from_a_mistake(request_: Request, status: int, gone: bool) -> None:
    async with answered(httpx.Response(status)) as client:
        with pytest.raises(AriError) as error:
            await client.request(request_)
        assert error.value.gone is gone
        if gone:
            with unless_gone():
                await client.request(request_)
        else:
            with pytest.raises(AriError), unless_gone():
                await client.request(request_)


async def test_silence_is_a_time_out(autojump_clock: MockClock) -> None:
    async def answer(request: httpx.Request) -> httpx.Response:
        await trio.sleep_forever()
        raise AssertionError

    async with answered(answer) as client:
        with pytest.raises(AriTimeoutError, match=r"^POST /channels/c-1/answer: no answer within 2\.5 s$"):
            await client.request(channels.answer("c-1"))
    assert trio.current_time() == pytest.approx(2.5)


@pytest.mark.parametrize(
    ("request_", "tries"), [(channels.get("c-1"), 2), (channels.hangup("c-1"), 2), (channels.answer("c-1"), 1)]
)
async def test_only_what_can_be_repeated_is_tried_again_when_its_connection_was_lost(
    request_: Request, tries: int
) -> None:
    tried = 0

    async def answer(request: httpx.Request) -> httpx.Response:
        nonlocal tried
        tried += 1
        raise httpx.RemoteProtocolError("Server disconnected without sending a response.")

    async with answered(answer) as client:
        with pytest.raises(AriUnavailableError, match="Server disconnected"):
            await client.request(request_)
    assert tried == tries


async def test_no_connection_is_no_reason_to_try_again_at_once() -> None:
    tried = 0

    async def answer(request: httpx.Request) -> httpx.Response:
        nonlocal tried
        tried += 1
        raise httpx.ConnectError("refused")

    async with answered(answer) as client:
        with pytest.raises(AriUnavailableError, match=r"^GET /channels: refused$"):
            await client.request(channels.get_all())
    assert tried == 1


OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]"


@asynccontextmanager
async def peer(serve: Callable[[trio.SocketStream], Awaitable[None]]) -> AsyncIterator[str]:
    """A server on loopback; gives its URL."""
    async with trio.open_nursery() as nursery:
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nursery.start_soon(trio.serve_listeners, serve, [listener])
        yield f"http://127.0.0.1:{listener.socket.getsockname()[1]}/ari"
        nursery.cancel_scope.cancel()


async def request_head(stream: trio.SocketStream) -> bytes:
    data = b""
    while b"\r\n\r\n" not in data:
        more = await stream.receive_some()
        if not more:
            return b""
        data += more
    return data


async def test_a_connection_is_used_again_and_one_closed_while_idle_is_replaced() -> None:
    served: list[int] = []

    async def serve(stream: trio.SocketStream) -> None:
        served.append(0)
        async with stream:
            while served[-1] < 2 and await request_head(stream):
                served[-1] += 1
                await stream.send_all(OK)

    async with peer(serve) as url, open_client(url, "u", "p") as client:
        for _ in range(3):
            await client.request(channels.get_all())
    assert served == [2, 1]


async def test_a_connection_that_dies_on_a_request_is_replaced_if_that_can_be_repeated() -> None:
    connections = 0

    async def serve(stream: trio.SocketStream) -> None:
        nonlocal connections
        connections += 1
        async with stream:
            if connections > 1:
                while await request_head(stream):
                    await stream.send_all(OK)
            else:
                await request_head(stream)

    async with peer(serve) as url, open_client(url, "u", "p") as client:
        assert await client.request(channels.get_all()) == []
    assert connections == 2


async def test_there_are_never_more_connections_than_asterisk_takes() -> None:
    open_now, most, answered_ = 0, 0, trio.Event()

    async def serve(stream: trio.SocketStream) -> None:
        nonlocal open_now, most
        open_now += 1
        most = max(most, open_now)
        if open_now == CONNECTIONS:
            answered_.set()
        async with stream:
            while await request_head(stream):
                await answered_.wait()
                await stream.send_all(OK)
        open_now -= 1

    async with peer(serve) as url, open_client(url, "u", "p") as client, trio.open_nursery() as nursery:
        for _ in range(5 * CONNECTIONS):
            nursery.start_soon(client.request, channels.get_all(), 30.0)
    assert most == CONNECTIONS


async def test_an_abandoned_request_leaves_the_client_usable() -> None:
    connections, full = 0, trio.Event()

    async def serve(stream: trio.SocketStream) -> None:
        nonlocal connections
        connections += 1
        silent = connections <= CONNECTIONS
        if connections == CONNECTIONS:
            full.set()
        async with stream:
            while await request_head(stream):
                if not silent:
                    await stream.send_all(OK)

    async with peer(serve) as url, open_client(url, "u", "p") as client:
        async with trio.open_nursery() as nursery:
            for _ in range(CONNECTIONS):
                nursery.start_soon(client.request, channels.get_all(), 30.0)
            await full.wait()
            nursery.cancel_scope.cancel()
        assert await client.request(channels.get_all(), 30.0) == []
