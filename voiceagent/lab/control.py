"""The yardstick: a bare asyncio echo server, `python -m voiceagent.lab.control`.

It does the least an AudioSocket server can do (every byte goes back as it came), with the standard library's own event
loop and Protocol, so that a figure of the service can be given as a ratio to it on the same machine in the same minute.

Prints its port as a JSON line and lives until its standard input ends.
"""

import asyncio
import gc
import json
import signal
import sys
from typing import cast


class Echo(asyncio.Protocol):
    """Sends back what comes."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._transport.write(data)


async def serve_echo() -> None:
    """Echo on a free loopback port until standard input ends."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Echo, "127.0.0.1", 0, backlog=1024)
    over = asyncio.Event()
    loop.add_reader(sys.stdin.fileno(), over.set)
    sys.stdout.write(json.dumps({"port": server.sockets[0].getsockname()[1]}) + "\n")
    sys.stdout.flush()
    gc.collect()
    gc.freeze()  # as the service does
    await over.wait()
    loop.remove_reader(sys.stdin.fileno())
    server.close()


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # whoever started this ends it
    asyncio.run(serve_echo())
