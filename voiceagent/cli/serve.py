"""`voiceagent serve`: answer calls until SIGTERM or SIGINT, then let the live ones finish.

Exit codes: 0 stopped as told, 1 cannot start, 2 the configuration has errors.
"""

import argparse
import gc
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import trio

from voiceagent.app import StartError, open_service
from voiceagent.cli.systemd import notify
from voiceagent.config import Config, ConfigErrors, load_config
from voiceagent.dialogue import FlowErrors
from voiceagent.observe.log_writer import open_log
from voiceagent.pbx.listener import address_text

#: The log's descriptor.
_STDERR: Final = 2


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--config",
        type=Path,
        metavar="FILE",
        help="configuration (default: config.toml in the working directory, else what comes with the package)",
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="override one key of it, such as audiosocket.listen=127.0.0.1:0; may be repeated",
    )


def run(args: argparse.Namespace) -> int:
    try:
        trio.run(_serve, _load(args))
    except (ConfigErrors, FlowErrors) as error:
        print(error, file=sys.stderr)
        return 2
    except StartError as error:
        print(f"voiceagent cannot start: {error}", file=sys.stderr)
        return 1
    return 0


def _load(args: argparse.Namespace) -> Config:
    config = load_config(args.config, args.set, os.environ)
    if not config.audiosocket.listen:
        raise ConfigErrors(["audiosocket.listen: expected HOST:PORT, got nothing: only an embedded service needs none"])
    return config


async def _serve(config: Config) -> None:
    """Serve until the first signal, drain, and end; a second signal ends it at once, wherever it is."""
    stopping = trio.Event()
    failure: Exception | None = None
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async with open_log(_STDERR, config.service.instance) as log, trio.open_nursery() as nursery:
            nursery.start_soon(_heed, signals, stopping, nursery.cancel_scope)
            try:
                async with open_service(config, journals=[log]) as service:
                    _settle_memory()
                    ready = f"AudioSocket on {address_text(*service.address)}, agent {config.audiosocket.agent}"
                    if service.dialplan_address is not None:
                        ready += f", of the dialplan on {address_text(*service.dialplan_address)}"
                    if config.ari.url:
                        ready += f", ARI {config.ari.url}"
                    if service.http_address is not None:
                        ready += f", HTTP on {address_text(*service.http_address)}"
                    print(f"voiceagent ready: {ready}", flush=True)
                    notify("READY=1", os.environ)
                    await stopping.wait()
                    notify("STOPPING=1", os.environ)
                    await service.drain()
            except (StartError, FlowErrors) as error:
                failure = error
            nursery.cancel_scope.cancel()
    if failure is not None:
        raise failure  # outside the nursery, which would wrap it in a group


async def _heed(signals: AsyncIterator[int], stopping: trio.Event, scope: trio.CancelScope) -> None:
    async for _ in signals:
        if stopping.is_set():
            scope.cancel()
        stopping.set()


def _settle_memory() -> None:
    """Take what was loaded out of the garbage collector's sight: a full collection then costs what calls made of it.

    Process-wide, so only done where the process is ours.
    """
    gc.collect()
    gc.freeze()
