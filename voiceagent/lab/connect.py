"""Getting through to an agent, with errors that say in one line why not."""

import os
import socket
import struct
from typing import Final

import trio

#: Asterisk gives up on connecting after this.
_CONNECT_S: Final = 2.0


class LineError(Exception):
    """No call could be made; the message is one line that says where and why."""


async def connect(host: str, port: int) -> trio.SocketStream:
    """A connection, within the 2 s that Asterisk allows for it. Raises LineError."""
    try:
        with trio.fail_after(_CONNECT_S):
            return await trio.open_tcp_stream(host, port)
    except trio.TooSlowError:
        raise LineError(f"{host}:{port}: no connection within {_CONNECT_S:g} s") from None
    except OSError as error:
        raise LineError(f"{host}:{port}: {_reason(error)}") from None


def reset(stream: trio.SocketStream) -> None:
    """Tear a connection down at once."""
    stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    stream.socket.close()


def _reason(error: OSError) -> str:
    """Trio wraps what each address of a host answered; the first is reason enough."""
    cause: BaseException | None = error.__cause__
    while isinstance(cause, BaseExceptionGroup):
        cause = cause.exceptions[0]
    if isinstance(cause, OSError) and cause.errno:
        return os.strerror(cause.errno).lower()
    return (error.strerror or str(error)).lower()
