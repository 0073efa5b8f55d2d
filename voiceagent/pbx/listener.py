"""The AudioSocket listener: sockets in, one task of the service per connection."""

import errno
import socket
import struct
from collections.abc import Awaitable, Callable
from typing import Final

import trio

#: What a dead or stalled peer may hide in: about half a second of 8 kHz audio, so that "written" is close to "heard".
_SEND_BUFFER: Final = 8192
#: Unacknowledged data for this long ends the connection (a dead peer otherwise takes minutes to notice).
_USER_TIMEOUT_MS: Final = 5000
_BACKLOG: Final = 512
#: Out of descriptors: wait, in the hope that a call ends.
_EXHAUSTED_S: Final = 0.1
_EXHAUSTED: Final = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)


class SocketEndpoint(socket.socket):
    """An accepted connection as a line's endpoint: non-blocking, no delay, small send buffer."""

    def __init__(self, accepted: socket.socket) -> None:
        super().__init__(accepted.family, accepted.type, accepted.proto, fileno=accepted.detach())
        self.setblocking(False)  # noqa: FBT003 - the standard library's signature
        self.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER)
        self.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _USER_TIMEOUT_MS)

    def shut_down(self) -> None:
        """The peer reads what was sent, then the end."""
        self.shutdown(socket.SHUT_WR)

    def abort(self) -> None:
        """Close with a reset instead of an orderly end."""
        self.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()


async def open_listener(host: str, port: int) -> socket.socket:
    """Bind and listen; port 0 picks one. Raises OSError (port in use, address not local, name unknown)."""
    (family, kind, protocol, _, address), *_ = await trio.socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setblocking(False)  # noqa: FBT003 - the standard library's signature
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, host != "::")
        listener.bind(address)
        listener.listen(_BACKLOG)
    except BaseException:
        listener.close()
        raise
    return listener


def address_text(host: str, port: int) -> str:
    """`HOST:PORT`; an IPv6 host stands in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


async def accept_connections(
    listener: socket.socket,
    serve: Callable[[SocketEndpoint, str, int], Awaitable[None]],
    nursery: trio.Nursery,
    on_trouble: Callable[[str], None],
) -> None:
    """Start `serve(endpoint, host, port)` in `nursery` for every connection, until cancelled. Closes `listener`."""
    with listener:
        while True:
            await trio.lowlevel.wait_readable(listener)
            try:
                accepted, address = listener.accept()
                endpoint = SocketEndpoint(accepted)
            except BlockingIOError:
                continue
            except OSError as error:
                if error.errno in _EXHAUSTED:
                    on_trouble(f"cannot accept: {error.strerror}")
                    await trio.sleep(_EXHAUSTED_S)
                continue  # anything else is the peer's: it left before it was accepted
            nursery.start_soon(serve, endpoint, address[0], address[1])
