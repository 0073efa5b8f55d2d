"""`voiceagent check`: whether everything a configuration needs is there, and what to do where it is not.

Exit codes: 0 nothing failed, 1 something did.
"""

import argparse
import errno
import json
import os
import socket
from collections.abc import Callable
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Final, Literal
from uuid import UUID, uuid4

import trio
from attrs import asdict, evolve, frozen

from voiceagent.app import StartError, open_service
from voiceagent.config import Config, ConfigErrors, load_config, parse_address
from voiceagent.dialogue import FlowErrors
from voiceagent.groups import unwrapped
from voiceagent.pbx.ari.client import AriClient, open_client
from voiceagent.pbx.ari.errors import AriError, NotFoundError, UnauthorisedError
from voiceagent.pbx.listener import address_text, open_listener
from voiceagent.wire.ari.commands import applications, asterisk, channels
from voiceagent.wire.ari.models import AsteriskInfo, Module
from voiceagent.wire.ari.versions import shortcomings
from voiceagent.wire.audiosocket import Decoder, Identity

#: For everything; a worker that hangs or an Asterisk that does not answer must not keep anybody waiting.
_PATIENCE_S: Final = 60.0
#: Asterisk gives a connection 2 s.
_CONNECT_S: Final = 3.0
#: What calls through Stasis need, and those of the AudioSocket() application.
_MODULES: Final = (
    "app_stasis.so",
    "bridge_simple.so",
    "chan_audiosocket.so",
    "res_ari_applications.so",
    "res_ari_bridges.so",
    "res_ari_channels.so",
    "res_ari_events.so",
    "res_audiosocket.so",
    "res_stasis.so",
)


@frozen
class Finding:
    """What one check found, and what to do about it unless it is ok."""

    check: str
    verdict: Literal["ok", "warning", "failed"]
    detail: str
    remedy: str = ""

    def __str__(self) -> str:
        return f"{self.verdict:<8} {self.check}: {self.detail}" + (
            f"\n         -> {self.remedy}" if self.remedy else ""
        )


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--config", type=Path, metavar="FILE", help="configuration (default: as serve)")
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="override one key of it; may be repeated"
    )
    parser.add_argument("--json", action="store_true", help="print data instead of lines")


def run(args: argparse.Namespace) -> int:
    try:
        config = load_config(args.config, args.set, os.environ)
    except ConfigErrors as error:
        found = [Finding("config", "failed", line, "correct this key") for line in error.lines]
        for finding in found if not args.json else ():
            print(finding)
    else:
        found = trio.run(_look, config, args.json)
    if args.json:
        print(json.dumps([asdict(finding) for finding in found], indent=1))
    return 1 if any(finding.verdict == "failed" for finding in found) else 0


async def _look(config: Config, quiet: bool) -> list[Finding]:  # noqa: FBT001 - of the command line
    """Every check in turn, told as it is done."""
    found: list[Finding] = []

    def tell(*findings: Finding) -> None:
        found.extend(findings)
        for finding in findings if not quiet else ():
            print(finding, flush=True)

    with trio.move_on_after(_PATIENCE_S) as patience:
        await _look_at_all(config, tell)
    if patience.cancelled_caught:
        tell(Finding("check", "failed", f"not done within {_PATIENCE_S:g} s", "see what hangs after the last line"))
    return found


async def _look_at_all(config: Config, tell: Callable[..., None]) -> None:
    tell(Finding("config", "ok", f"{len(config.agents)} agents, {config.audiosocket.agent} answers"))
    tell(await _agents(config))
    listener, finding = await _listener("audiosocket", config.audiosocket.listen)
    tell(finding)
    for name, where in (("dialplan", config.dialplan.listen), ("http", config.http.listen)):
        if where:
            other, finding = await _listener(name, where)
            tell(finding)
            if other is not None:
                other.close()
    with listener or nullcontext():
        ari = config.ari
        if not ari.url:
            tell(Finding("ari", "ok", "not configured: calls come from AudioSocket() in the dialplan"))
            return
        async with open_client(ari.url, ari.user, ari.password) as client:
            reached = await _asterisk(client, config)
            tell(*reached)
            if all(finding.verdict != "failed" for finding in reached):
                tell(await _modules(client))
                tell(await _application(client, config, serving=listener is None))
                tell(await _media(client, config, listener))


async def _agents(config: Config) -> Finding:
    """Start everything that speaks and listens, and stop it again."""
    quiet = evolve(
        config,
        audiosocket=evolve(config.audiosocket, listen=""),
        ari=evolve(config.ari, url=""),
        http=evolve(config.http, listen=""),
        dialplan=evolve(config.dialplan, listen=""),
    )
    try:
        async with open_service(quiet, agents=tuple(config.agents)):
            return Finding("agents", "ok", f"{', '.join(config.agents)}: flows, voices and recognisers start")
    except (StartError, FlowErrors) as error:
        return Finding("agents", "failed", str(error), "install or correct what is named there")


async def _listener(name: str, where: str) -> tuple[socket.socket | None, Finding]:
    """A configured listener, open, unless somebody has the address."""
    host, port = parse_address(where)
    try:
        listener = await open_listener(host, port)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            remedy = f"all is well if that is this voiceagent, running; else choose another {name}.listen"
            return None, Finding(name, "warning", f"{where} is in use", remedy)
        return None, Finding(
            name, "failed", f"{where}: {error.strerror}", f"set {name}.listen to an address of this machine"
        )
    return listener, Finding(name, "ok", f"{address_text(*listener.getsockname()[:2])} can be listened on")


async def _asterisk(client: AriClient, config: Config) -> list[Finding]:
    """Whether it answers, and what its version lacks."""
    ari = config.ari
    try:
        info = await client.fetch(AsteriskInfo, asterisk.info())
    except UnauthorisedError:
        remedy = "ari.user and ari.password must be those of a section with type=user in Asterisk's ari.conf"
        return [Finding("ari", "failed", f"Asterisk does not know {ari.user!r} with this password", remedy)]
    except AriError as error:
        remedy = "see that Asterisk runs, with enabled=yes in http.conf and ari.conf, and that ari.url is right"
        return [Finding("ari", "failed", f"{ari.url}: {error.reason}", remedy)]
    version = info.system.version if info.system is not None else "unknown"
    found = [Finding("ari", "ok", f"Asterisk {version} at {ari.url}")]
    try:
        lacks = list(shortcomings(version, config.media.format))
    except ValueError as error:
        return [*found, Finding("version", "warning", str(error), "22.7 or later is what this was tried with")]
    return found + [Finding("version", "warning", each, "22.10, 23.4 or later has no such trouble") for each in lacks]


async def _modules(client: AriClient) -> Finding:
    try:
        loaded = await client.fetch_all(Module, asterisk.modules())
    except AriError as error:
        return Finding("modules", "failed", str(error), "ari.user needs read_only=no")
    running = {module.name for module in loaded if module.status == "Running"}
    missing = [name for name in _MODULES if name not in running]
    if missing:
        remedy = "load them in modules.conf; the package that has them may be called asterisk-modules"
        return Finding("modules", "failed", f"not running: {', '.join(missing)}", remedy)
    return Finding("modules", "ok", f"{len(_MODULES)} modules that calls need are running")


async def _application(client: AriClient, config: Config, *, serving: bool) -> Finding:
    """Whether somebody has our application: `serving` tells that a service like us seems to run."""
    app = config.ari.app
    try:
        await client.request(applications.get(app))
    except NotFoundError:
        if serving:
            remedy = "what has the address of audiosocket.listen is not this voiceagent: stop it, or choose another"
            return Finding("application", "failed", f"{app} is nobody's, so no voiceagent runs with it", remedy)
        return Finding("application", "ok", f"{app} is nobody's yet")
    except AriError as error:
        return Finding("application", "failed", str(error), "see above")
    if serving:
        return Finding("application", "ok", f"{app} is registered, by the running service it seems")
    remedy = "harmless if a voiceagent crashed; else stop the other client, or choose another ari.app"
    return Finding("application", "warning", f"{app} is registered, though no voiceagent runs here", remedy)


async def _media(client: AriClient, config: Config, listener: socket.socket | None) -> Finding:
    """Have Asterisk connect, as it does for each call."""
    where = config.audiosocket.advertise
    if not where:
        host, port = parse_address(config.audiosocket.listen)
        where = address_text(host, listener.getsockname()[1] if listener is not None else port)
    leg, channel = uuid4(), f"{config.service.instance}-check-{uuid4()}"
    remedy = "set audiosocket.advertise to an address that Asterisk reaches, and let it through firewalls"
    request = channels.external_media(channel, config.ari.app, where, config.media.format, data=str(leg))
    heard: list[UUID] = []
    try:
        with unwrapped():
            async with trio.open_nursery() as nursery:
                if listener is not None:
                    nursery.start_soon(_identify, listener, heard)
                await client.request(request)
    except AriError as error:
        return Finding("media", "failed", f"Asterisk cannot connect to {where}: {error}", remedy)
    finally:
        with trio.move_on_after(_CONNECT_S, shield=True), suppress(AriError):
            await client.request(channels.hangup(channel))
    if _is_any(where):
        advice = "set audiosocket.advertise to this machine's own address, unless Asterisk runs here"
        return Finding("media", "warning", f"Asterisk connects to {where}", advice)
    if listener is not None and heard != [leg]:
        return Finding("media", "failed", f"Asterisk connects to somebody else at {where}", remedy)
    return Finding("media", "ok", f"Asterisk connects to {where}")


def _is_any(where: str) -> bool:
    """Whether it stands for all addresses of a machine, which to Asterisk are its own."""
    return parse_address(where)[0] in ("0.0.0.0", "::")  # noqa: S104 - is asked about, not bound


async def _identify(listener: socket.socket, heard: list[UUID]) -> None:
    """Take one connection, and note the UUID that it begins with."""
    with trio.move_on_after(_CONNECT_S):
        connection, _ = await trio.socket.from_stdlib_socket(listener).accept()
        with connection:
            decoder = Decoder()
            while data := await connection.recv(4096):
                decoder.receive_data(data)
                if isinstance(message := decoder.next_message(), Identity):
                    heard.append(message.uuid)
                    return
