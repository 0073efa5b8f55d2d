"""Requests to Asterisk over HTTP, each with a deadline, few at a time."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final, TypeVar

import httpx
import trio
from attrs import define

from voiceagent.pbx.ari.errors import AriTimeoutError, AriUnavailableError, ServerError, status_error
from voiceagent.wire.ari.commands.request import Request
from voiceagent.wire.ari.structure import MessageError, structure

T = TypeVar("T")

#: Most requests take 1-3 ms; externalMedia to a host that does not answer is refused after 2.0 s.
REQUEST_S: Final = 2.5
#: Connections, and so requests at a time; more wait within their deadline. Asterisk's listen backlog is 10 (what is
#: beyond that waits for TCP's own retry, 1 s) and it serves 100 sessions, WebSockets and other clients among them.
CONNECTIONS: Final = 10
#: Idle connections are closed after this long, for Asterisk closes them after 15 s.
_KEEP_ALIVE_S: Final = 10.0
#: What is kept of a reason Asterisk gives, in characters.
_REASON: Final = 200
#: There was a connection, and it has gone: mostly because Asterisk closed it, idle, the moment we used it.
_LOST: Final = (httpx.ReadError, httpx.WriteError, httpx.CloseError, httpx.RemoteProtocolError)


@define
class AriClient:
    """Asks one Asterisk. Any number of tasks may share it."""

    _http: httpx.AsyncClient

    async def request(self, request: Request, within: float = REQUEST_S) -> Any:
        """Ask, and return the decoded answer; None if it is empty.

        Raises an AriError: of its status, AriTimeoutError after `within` seconds (waiting for a free connection
        included), AriUnavailableError without connection. Cancelling or a time-out abandons the request: Asterisk may
        still carry it out. A request that can be repeated is, once, if its connection was lost.
        """
        with trio.move_on_after(within):
            return _decoded(request, await self._send(request, again=request.repeatable))
        raise AriTimeoutError(str(request), f"no answer within {within:g} s")

    async def fetch(self, kind: type[T], request: Request, within: float = REQUEST_S) -> T:
        """The same, with the answer as a value. Raises a ServerError as well if it is no such thing."""
        answer = await self.request(request, within)
        return _structured(kind, answer, request)

    async def fetch_all(self, kind: type[T], request: Request, within: float = REQUEST_S) -> tuple[T, ...]:
        """The same, for an answer that is a list."""
        answer = await self.request(request, within)
        if not isinstance(answer, list):
            raise ServerError(str(request), "the answer is not a list", 200)
        return tuple(_structured(kind, each, request) for each in answer)

    async def _send(self, request: Request, *, again: bool) -> httpx.Response:
        """`again`: whether a request whose connection was lost may be sent once more."""
        try:
            return await self._send_once(request)
        except httpx.HTTPError as error:
            if not (again and isinstance(error, _LOST)):
                raise AriUnavailableError(str(request), str(error) or type(error).__name__) from error
        return await self._send(request, again=False)

    async def _send_once(self, request: Request) -> httpx.Response:
        base = self._http.base_url
        url = base.copy_with(raw_path=base.raw_path.rstrip(b"/") + request.target.encode())
        headers = {} if request.body is None else {"content-type": "application/json"}
        return await self._http.request(request.method, url, content=request.content, headers=headers)


@asynccontextmanager
async def open_client(
    url: str, user: str, password: str, *, transport: httpx.AsyncBaseTransport | None = None
) -> AsyncIterator[AriClient]:
    """A client for the ARI at `url` ("http://127.0.0.1:8088/ari"). Leaving it closes all connections.

    `transport` is for tests.
    """
    limits = httpx.Limits(
        max_connections=CONNECTIONS, max_keepalive_connections=CONNECTIONS, keepalive_expiry=_KEEP_ALIVE_S
    )
    async with httpx.AsyncClient(
        base_url=url,
        auth=(user, password),
        limits=limits,
        timeout=None,  # noqa: S113 - requests have a deadline, whatever they wait for
        verify=url.startswith("https"),  # reading the certificates takes a quarter of a second
        trust_env=False,  # no proxy between us and our Asterisk
        transport=transport,
    ) as http:
        yield AriClient(http)


def _decoded(request: Request, response: httpx.Response) -> Any:
    if not response.is_success:
        raise status_error(request, response.status_code, _reason(response))
    if not response.content:
        return None
    try:
        return json.loads(response.content)
    except (ValueError, RecursionError):
        raise ServerError(str(request), "the answer is not JSON", response.status_code) from None


def _structured(kind: type[T], answer: object, request: Request) -> T:
    try:
        return structure(kind, answer, kind.__name__)
    except MessageError as error:
        raise ServerError(str(request), f"the answer is of no use: {error}", 200) from None


def _reason(response: httpx.Response) -> str:
    """What Asterisk said, or HTTP's own words for the status."""
    try:
        answer = json.loads(response.content)
    except (ValueError, RecursionError):
        return response.reason_phrase
    said = (answer.get("message") or answer.get("error")) if isinstance(answer, dict) else None
    return str(said)[:_REASON] if said else response.reason_phrase
