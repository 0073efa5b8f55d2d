"""The HTTP server against clients of all kinds, over real sockets."""

import logging
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress

import pytest
import trio
import trio.testing
from attrs import define
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route, Router

from voiceagent.lab.emptiness import nothing_left_behind
from voiceagent.pbx.listener import open_listener
from voiceagent.web import server
from voiceagent.web.server import serve_http

#: A test that takes longer has failed.
PATIENCE_S = 60.0
GET = b"GET /small HTTP/1.1\r\nHost: x\r\n\r\n"


class Application:
    """Answers of all kinds; `/held` waits until `release`."""

    def __init__(self) -> None:
        self.held = trio.Event()
        self.release = trio.Event()
        routes = [
            Route("/small", self._small, methods=["GET", "POST"]),
            Route("/large", self._large),
            Route("/held", self._held, methods=["GET", "POST"]),
            Route("/broken", self._broken),
        ]
        self.router = Router(routes)

    async def _small(self, _: Request) -> Response:
        return PlainTextResponse("small")

    async def _large(self, _: Request) -> Response:
        return PlainTextResponse(b"x" * (64 << 20))  # more than any socket buffer

    async def _held(self, _: Request) -> Response:
        self.held.set()
        await self.release.wait()
        return PlainTextResponse("released")

    async def _broken(self, _: Request) -> Response:
        raise RuntimeError("as told")


@define
class Clients:
    """They stay until the server has gone."""

    address: tuple[str, int]
    connections: AsyncExitStack

    async def send(self, data: bytes) -> trio.SocketStream:
        stream = await self.connections.enter_async_context(await trio.open_tcp_stream(*self.address))
        await stream.send_all(data)
        return stream

    async def fetch(self, data: bytes) -> bytes:
        """Everything that comes for `data` until the server closes."""
        return await rest(await self.send(data))


@asynccontextmanager
async def serving(application: Application) -> AsyncIterator[Clients]:
    """A server, which is cancelled in the end and leaves nothing, whatever clients do."""
    with trio.fail_after(PATIENCE_S):
        async with nothing_left_behind(), AsyncExitStack() as connections, trio.open_nursery() as nursery:
            listener = await open_listener("127.0.0.1", 0)
            nursery.start_soon(serve_http, listener, application.router)
            yield Clients(listener.getsockname(), connections)
            nursery.cancel_scope.cancel()


async def rest(stream: trio.SocketStream) -> bytes:
    received = b""
    try:
        async for data in stream:
            received += data
    except trio.BrokenResourceError:
        pass  # closed while it had still something from us
    return received


async def test_a_request_is_answered_and_the_connection_closed() -> None:
    async with serving(Application()) as clients:
        answer = await clients.fetch(GET)
    assert answer.startswith(b"HTTP/1.1 200")
    assert b"connection: close" in answer.lower()
    assert answer.endswith(b"small")


async def test_a_client_who_takes_no_answer_does_not_delay_the_end() -> None:
    async with serving(Application()) as clients:
        stream = await clients.send(b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n")
        await stream.receive_some(1)
        await trio.testing.wait_all_tasks_blocked()  # the server in its sending, all buffers full


@pytest.mark.parametrize(
    "sent", [b"", b"GET /small HTT", b"POST /small HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nx"]
)
async def test_a_client_in_the_middle_of_something_does_not_delay_the_end(sent: bytes) -> None:
    async with serving(Application()) as clients:
        await clients.send(sent)
        assert await clients.fetch(GET)  # by now the other one has been accepted, too


async def test_a_request_in_the_works_does_not_delay_the_end() -> None:
    application = Application()
    async with serving(application) as clients:
        await clients.send(b"GET /held HTTP/1.1\r\nHost: x\r\n\r\n")
        await application.held.wait()


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"GET /small HTTP/1.1\r\nHost: x\r\n",
        b"GET /held HTTP/1.1\r\nHost: x\r\n\r\n",
        b"POST /held HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1\r\nx\r\n" * 1000,
    ],
)
async def test_a_connection_has_its_time_and_no_more(sent: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "_CONNECTION_S", 0.05)
    async with serving(Application()) as clients:
        assert await clients.fetch(sent) == b""


async def test_a_client_who_takes_no_answer_has_his_time_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "_CONNECTION_S", 0.05)
    monkeypatch.setattr(server, "_CONNECTIONS", 1)
    async with serving(Application()) as clients:
        stream = await clients.send(b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n")
        with suppress(trio.BrokenResourceError):  # the time may be over already
            await stream.receive_some(1)
        while not await clients.fetch(GET):  # refused until the other one's place is free
            pass


async def test_a_long_body_is_not_waited_for() -> None:
    async with serving(Application()) as clients:
        request = b"POST /small HTTP/1.1\r\nHost: x\r\nContent-Length: 10000000000\r\n\r\nx"
        assert (await clients.fetch(request)).endswith(b"small")


async def test_one_connection_too_many_is_closed_and_place_is_made_by_those_who_leave(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(server, "_CONNECTIONS", 1)
    application = Application()
    async with serving(application) as clients:
        first = await clients.send(b"GET /held HTTP/1.1\r\nHost: x\r\n\r\n")
        await application.held.wait()
        assert await clients.fetch(GET) == b""
        application.release.set()
        assert (await rest(first)).endswith(b"released")
        while not await clients.fetch(GET):
            pass


async def test_an_error_of_the_application_is_answered_and_told(caplog: pytest.LogCaptureFixture) -> None:
    async with serving(Application()) as clients:
        assert (await clients.fetch(b"GET /broken HTTP/1.1\r\nHost: x\r\n\r\n")).startswith(b"HTTP/1.1 500")
        assert (await clients.fetch(GET)).endswith(b"small")
    (record,) = caplog.records
    assert record.name == "voiceagent.web.server"
    assert "RuntimeError: as told" in caplog.text


#: An upgrade to HTTP/2 with settings that are no base64, at which hypercorn raises.
NONSENSE = (
    b"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: x\r\n\r\n"
)


@pytest.mark.parametrize(
    "nonsense", [NONSENSE, b"\x16\x03\x01\x00", b"\0" * 100_000, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\xff" * 99]
)
async def test_nonsense_ends_its_own_connection_and_nothing_else(nonsense: bytes) -> None:
    async with serving(Application()) as clients:
        await clients.fetch(nonsense)
        assert (await clients.fetch(GET)).endswith(b"small")


async def test_what_hypercorn_raises_is_told_in_one_line(caplog: pytest.LogCaptureFixture) -> None:
    async with serving(Application()) as clients:
        await clients.fetch(NONSENSE)
        while not caplog.records:
            await trio.lowlevel.checkpoint()
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert "\n" not in record.getMessage()


async def test_a_second_request_on_the_connection_is_not_answered_and_no_error_of_ours(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with serving(Application()) as clients:
        for _ in range(20):
            assert (await clients.fetch(GET + GET)).count(b"HTTP/1.1") <= 1
    assert not caplog.records


async def test_nobody_elses_logging_is_touched() -> None:
    before = dict(logging.root.manager.loggerDict), list(logging.root.handlers)
    async with serving(Application()) as clients:
        await clients.fetch(GET)
    assert (dict(logging.root.manager.loggerDict), list(logging.root.handlers)) == before
