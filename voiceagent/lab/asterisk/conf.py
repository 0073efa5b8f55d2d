"""The configuration of one Asterisk: options, free ports, and the templates filled in."""

import os
import random
import re
import resource
import shutil
import socket
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from attrs import fields, frozen

from voiceagent.lab.asterisk.recipe import TEMPLATES
from voiceagent.lab.debian import LabError

HOST: Final = "127.0.0.1"
USER: Final = "voiceagent"

#: Asterisk warns of configuration files that are not there.
_EMPTY: Final = (
    *("acl", "ccss", "chan_websocket", "cli", "codecs", "dnsmgr", "dsp", "enum", "extconfig", "features"),
    *("sorcery", "stasis", "udptl"),
)
_FOLDERS: Final = (
    "etc",
    "cache",
    "lib",
    "run",
    "log",
    "agi-bin",
    "moh",
    "spool/recording",
    "spool/monitor",
    "spool/tmp",
)
#: Where ranges for RTP begin: below the ports that systems hand out by themselves.
_RTP_STARTS: Final = range(10_000, 31_000, 1000)
#: Two ports for each SIP call.
_RTP_PORTS: Final = 1000
#: Longest path of a Unix socket on Linux: sun_path of unix(7).
_LONGEST_SOCKET: Final = 107


@frozen
class Options:
    """What can be chosen about an Asterisk. Ports that are 0 are chosen.

    `app`: the Stasis application of extensions 1000 and 1001. `audiosocket`: HOST:PORT that 1002, 1003, 1004 and 1008
    connect to. `ari_websocket` and `media_websocket`: HOST:PORT that 1006 and 1007 connect to.
    """

    app: str = "voiceagent"
    audiosocket: str = "127.0.0.1:9092"
    ari_websocket: str = "127.0.0.1:9301"
    media_websocket: str = "127.0.0.1:9302"
    ari_port: int = 0
    sip_port: int = 0
    agent_port: int = 0


def read_options(settings: Mapping[str, str]) -> Options:
    """Options by name, as on a command line. Raises LabError, which names the one that is wrong."""
    known = {each.name: each for each in fields(Options)}
    chosen: dict[str, str | int] = {}
    for name, value in settings.items():
        if name not in known:
            raise LabError(f"no setting {name!r}: there are {', '.join(known)}")
        if known[name].type is int:
            if not value.isdecimal() or int(value) > 0xFFFF:
                raise LabError(f"{name}: {value!r} is no port")
            chosen[name] = int(value)
        elif not re.fullmatch(r"[\w.:\[\]-]+", value):  # it becomes part of a dialplan
            raise LabError(f"{name}: {value!r} has characters that it must not have")
        else:
            chosen[name] = value
    return Options(**chosen)  # type: ignore[arg-type]


@frozen
class Ports:
    """Ports of the loopback interface. `agent`: of a SIP phone that Asterisk can call as PJSIP/agent."""

    ari: int
    sip: int
    agent: int
    rtp: int


def choose_ports(options: Options) -> Ports:
    """Ports that are free now. Somebody else may still take one before Asterisk does."""
    with ExitStack() as held:  # all at once, so that they differ
        return Ports(
            ari=options.ari_port or _free(held, socket.SOCK_STREAM),
            sip=options.sip_port or _free(held, socket.SOCK_DGRAM),
            agent=options.agent_port or _free(held, socket.SOCK_DGRAM),
            rtp=next(filter(_has_free_range, random.sample(_RTP_STARTS, len(_RTP_STARTS))), _RTP_STARTS[0]),
        )


def _free(held: ExitStack, kind: socket.SocketKind) -> int:
    sock = held.enter_context(socket.socket(socket.AF_INET, kind))
    sock.bind((HOST, 0))
    return int(sock.getsockname()[1])


def _has_free_range(start: int) -> bool:
    for port in range(start, start + _RTP_PORTS, 50):  # one Asterisk takes them at random: a sample shows a busy one
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            try:
                sock.bind((HOST, port))
            except OSError:
                return False
    return True


def write_configuration(run: Path, tree: Path, options: Options, ports: Ports, password: str) -> None:
    """Everything Asterisk expects below `run`, for its owner only. Raises LabError."""
    control = run / "run" / "asterisk.ctl"
    if len(os.fsencode(control)) > _LONGEST_SOCKET:
        raise LabError(f"{control}: too long for a Unix socket (choose a run directory with a shorter name)")
    run.mkdir(mode=0o700, parents=True, exist_ok=True)
    for folder in _FOLDERS:
        (run / folder).mkdir(parents=True, exist_ok=True)
    for name in _EMPTY:
        (run / "etc" / f"{name}.conf").touch()
    values = {
        "RUN": run,
        "TREE": tree,
        "MODULES": next(tree.glob("usr/lib/*/asterisk/modules")),
        "MAX_FILES": min(resource.getrlimit(resource.RLIMIT_NOFILE)[1], 65536),
        "SYSTEM_NAME": run.name,
        "USER": USER,
        "PASSWORD": password,
        "ARI_PORT": ports.ari,
        "SIP_PORT": ports.sip,
        "AGENT_PORT": ports.agent,
        "RTP_FIRST": ports.rtp,
        "RTP_LAST": ports.rtp + _RTP_PORTS - 1,
        "APP": options.app,
        "AUDIOSOCKET": options.audiosocket,
        "ARI_WEBSOCKET": options.ari_websocket,
        "MEDIA_WEBSOCKET": options.media_websocket,
    }
    for template in TEMPLATES.glob("*.conf"):
        text = re.sub(r"@([A-Z_]+)@", lambda found: str(values[found[1]]), template.read_text())
        (run / "etc" / template.name).write_text(text)
    for music in tree.glob("usr/share/asterisk/sounds/*/demo-congrats.gsm"):
        shutil.copy(music, run / "moh" / "music.gsm")
