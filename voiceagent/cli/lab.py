"""`voiceagent lab`: a real Asterisk on this machine, for trying and testing. docs/lab.md tells more.

Exit codes: 0 done, 1 not possible (one line says what is in the way), 2 the arguments have errors, 130 interrupted from
the keyboard.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any, Final

from voiceagent.cli import lab_soak
from voiceagent.lab.asterisk import LabError, RunningAsterisk, default_cache, fetch, read_options
from voiceagent.lab.asterisk.instances import down, instances, up

_NAME: Final = "lab"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    what = parser.add_subparsers(title="what to do", required=True, metavar="up | down | status | soak")
    starting = what.add_parser("up", help="boot an Asterisk; fetch it first if it is not there yet")
    starting.add_argument("--set", action="append", default=[], type=_setting, metavar="KEY=VALUE", dest="settings")
    starting.add_argument("--cache", type=Path, help=f"where it is fetched to ({default_cache()})")
    starting.set_defaults(act=_up)
    stopping = what.add_parser("down", help="stop it and remove its files, apart from the fetched ones")
    stopping.set_defaults(act=_down)
    for command in (starting, stopping):
        command.add_argument("--name", default=_NAME, help=f"which one, if there are several ({_NAME})")
    listing = what.add_parser("status", help="list those that were started")
    listing.set_defaults(act=_status)
    soaking = what.add_parser("soak", help="many calls through an Asterisk of its own, and what they heard")
    lab_soak.add_arguments(soaking)
    soaking.set_defaults(act=lab_soak.run)
    for command in (starting, listing):
        command.add_argument("--json", action="store_true", help="print it as JSON")


def _setting(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise argparse.ArgumentTypeError(f"{text!r}: expected KEY=VALUE")
    return name, value


def run(args: argparse.Namespace) -> int:
    try:
        return int(args.act(args))
    except KeyboardInterrupt:
        return 130
    except LabError as error:
        print(f"voiceagent lab: {error}", file=sys.stderr)
        return 1


def _up(args: argparse.Namespace) -> int:
    options = read_options(dict(args.settings))
    tree = fetch((args.cache or default_cache()).absolute(), _tell)
    told = _details(up(args.name, tree, options, _tell))
    if args.json:
        print(json.dumps(told))
    else:
        _print_details(told)
        print(f"\nStop it with: voiceagent lab down{'' if args.name == _NAME else f' --name {args.name}'}")
    return 0


def _down(args: argparse.Namespace) -> int:
    print(f"{args.name}: {'stopped' if down(args.name, _tell) else 'had ended already'}")
    return 0


def _status(args: argparse.Namespace) -> int:
    told = [_details(each) | {"running": each.process.is_running} for each in instances()]
    if args.json:
        print(json.dumps(told))
        return 0
    for each in told:
        _print_details(each)
        print()
    if not told:
        print("none is running")
    return 0


def _details(asterisk: RunningAsterisk) -> dict[str, Any]:
    return {
        "name": asterisk.run.name,
        "version": asterisk.version,
        "ari_url": asterisk.ari_url,
        "user": asterisk.user,
        "password": asterisk.password,
        "app": asterisk.site.options.app,
        "sip": f"{asterisk.sip_host}:{asterisk.sip_port}",
        "agent_port": asterisk.agent_port,
        "audiosocket": asterisk.site.options.audiosocket,
        "pid": asterisk.pid,
        "run": str(asterisk.run),
        "log": str(asterisk.log),
    }


def _print_details(told: dict[str, Any]) -> None:
    for name, value in told.items():
        print(f"{name:12} {value}")


def _tell(text: str) -> None:
    """Progress is no result."""
    print(f"lab: {text}", file=sys.stderr, flush=True)
