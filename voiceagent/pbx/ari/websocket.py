"""One connection to the event socket.

trio-websocket's own way to open one waits for ever for a peer that accepts and then says nothing, whatever its
time-out, and what a peer says that speaks no HTTP comes out as errors of the libraries below it. So the stream, the
nursery, the deadlines and the translation of errors are ours.
"""

from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final, TypeAlias
from urllib.parse import quote, urlsplit

import trio
from h11 import ProtocolError as HttpError
from trio_websocket import ConnectionClosed, ConnectionRejected, WebSocketConnection, wrap_client_stream
from wsproto.utilities import ProtocolError

from voiceagent.groups import leaves
from voiceagent.pbx.ari.errors import AriTimeoutError, AriUnavailableError

CONNECT_S: Final = 5.0
#: To send the closing frame, without which Asterisk logs warnings. Nobody may be there to read its answer: when this is
#: cancelled, trio-websocket's reader is, too.
_GOODBYE_S: Final = 0.1
_ABOUT: Final = "event socket"

Stream: TypeAlias = trio.SocketStream | trio.SSLStream[trio.SocketStream]
_FOREIGN: Final = (ConnectionClosed, ConnectionRejected, ProtocolError, HttpError)


#: What a refusal means.
_HINTS: Final = {
    401: ": ari.user or ari.password is wrong",
    403: ": ari.user may not do that",
    404: ": there is no ARI at ari.url, or it is not enabled",
}


@asynccontextmanager
async def open_websocket(url: str, user: str, password: str, app: str) -> AsyncIterator[WebSocketConnection]:
    """The events of `app` at the ARI at `url`; nothing else of Asterisk is subscribed to.

    Raises an AriError, as itself or in groups, when there is no connection or no handshake within CONNECT_S seconds
    each, it is refused, or lost: this wraps what is done with the connection, so trio-websocket's errors from inside
    come out as AriErrors as well. Leaving takes 0.1 s at most, even when cancelled.
    """
    stream = await _open_stream(url)
    async with websocket_over(stream, url, user, password, app) as socket:
        yield socket


@asynccontextmanager
async def websocket_over(
    stream: Stream, url: str, user: str, password: str, app: str
) -> AsyncIterator[WebSocketConnection]:
    """The same over a stream that is connected already. Owns `stream`."""
    at = urlsplit(url)
    resource = f"{at.path.rstrip('/')}/events?app={quote(app, safe='')}"
    token = b64encode(f"{user}:{password}".encode())
    try:
        async with trio.open_nursery() as nursery:
            with trio.move_on_after(CONNECT_S) as handshake:
                socket = await wrap_client_stream(
                    nursery, stream, at.netloc, resource, extra_headers=[(b"authorization", b"Basic " + token)]
                )
            if handshake.cancelled_caught:
                raise AriTimeoutError(_ABOUT, f"no handshake within {CONNECT_S:g} s")
            try:
                yield socket
            finally:
                with trio.move_on_after(_GOODBYE_S, shield=True):
                    await socket.aclose()
                nursery.cancel_scope.cancel()
    except* _FOREIGN as errors:
        raise AriUnavailableError(_ABOUT, _told(next(leaves(errors)))) from None
    finally:
        await trio.aclose_forcefully(stream)


async def _open_stream(url: str) -> Stream:
    at = urlsplit(url)
    host = at.hostname or ""
    try:
        with trio.move_on_after(CONNECT_S):
            if at.scheme == "https":
                return await trio.open_ssl_over_tcp_stream(host, at.port or 443, https_compatible=True)
            return await trio.open_tcp_stream(host, at.port or 80)
    except OSError as error:
        raise AriUnavailableError(_ABOUT, str(error)) from error
    raise AriTimeoutError(_ABOUT, f"no connection within {CONNECT_S:g} s")


def _told(error: BaseException) -> str:
    match error:
        case ConnectionRejected(status_code=status):
            return f"refused with {status}{_HINTS.get(status, '')}"
        case ConnectionClosed(reason=reason):
            return f"closed, {reason.name if reason else 'without a word'}"
        case _:
            return f"the peer speaks another protocol: {error}"
