"""An ASGI application served to few and distrusted clients, by hypercorn's Trio worker.

Of that worker only the connection is used: it brings no listener, signal handlers or logging set-up of its own. A
connection carries one request and lives 10 s at most, so nobody can hold one open, feed a body for hours or take the
answer a byte at a time; the service's end cuts all of them off at once.
"""

import logging
import socket
from contextlib import suppress
from functools import partial
from typing import Final, cast

import trio
from hypercorn.app_wrappers import ASGIWrapper
from hypercorn.config import Config
from hypercorn.trio.tcp_server import TCPServer
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import ASGIFramework, ConnectionState
from starlette.types import ASGIApp, Receive, Scope, Send

#: From accept to close. Whoever needs longer than this for a request of a kilobyte and its answer is not served.
_CONNECTION_S: Final = 10.0
#: At once; one more is closed unanswered. Each holds at most 1 MB of what it was sent.
_CONNECTIONS: Final = 32

#: Errors of ours go here, with no handler added: an embedding program decides what becomes of its log.
_log: Final = logging.getLogger(__name__)


async def serve_http(listener: socket.socket, app: ASGIApp) -> None:
    """Answer requests on `listener`, which is bound and listens, until cancelled. Closes it.

    When cancelled it returns at once: the connections that are open are cut off. An error in `app` is answered with
    500 and logged, one in the protocol ends its connection.
    """

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        with suppress(trio.BusyResourceError):  # how hypercorn tells that the client left while it was being answered
            await app(scope, receive, send)

    serve = partial(
        _serve_connection, ASGIWrapper(cast(ASGIFramework, answer)), _settings(), trio.CapacityLimiter(_CONNECTIONS)
    )
    await trio.serve_listeners(serve, [trio.SocketListener(trio.socket.from_stdlib_socket(listener))])


def _settings() -> Config:
    config = Config()
    config.errorlog = _log
    config.include_server_header = False
    config.keep_alive_timeout = _CONNECTION_S
    config.keep_alive_max_requests = 0  # every answer says "Connection: close"
    config.h2_max_concurrent_streams = 1
    return config


async def _serve_connection(
    app: ASGIWrapper, config: Config, room: trio.CapacityLimiter, stream: trio.SocketStream
) -> None:
    """`stream` is closed by whoever calls this."""
    if not room.available_tokens:
        return
    async with room, trio.open_nursery() as nursery:
        nursery.cancel_scope.deadline = trio.current_time() + _CONNECTION_S
        nursery.start_soon(_close_when_cancelled, stream)
        try:
            await TCPServer(app, config, WorkerContext(None), ConnectionState({}), stream)  # type: ignore[arg-type]
        except* Exception as group:  # another boundary: hypercorn raises at some nonsense, which must not end calls
            _log.warning("an HTTP connection failed: %r", group.exceptions[0])
        nursery.cancel_scope.cancel()


async def _close_when_cancelled(stream: trio.SocketStream) -> None:
    """hypercorn shields what it sends from cancellation: a client who takes nothing would hold us up for ever.

    A socket that is closed ends that, too.
    """
    try:
        await trio.sleep_forever()
    finally:
        stream.socket.close()
