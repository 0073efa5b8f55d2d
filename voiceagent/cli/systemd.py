"""What systemd likes to hear from a service (sd_notify(3)), where it asked for it."""

import socket
from collections.abc import Mapping
from contextlib import suppress

_PATIENCE_S = 0.5


def notify(state: str, environ: Mapping[str, str]) -> None:
    """Send `state` to `$NOTIFY_SOCKET`, abstract (`@`) or a path; without one, or if nobody is there, do nothing."""
    address = environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    if address.startswith("@"):
        address = "\0" + address[1:]
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as connection:
        connection.settimeout(_PATIENCE_S)
        connection.sendto(state.encode(), address)
