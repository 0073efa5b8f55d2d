"""The command line: one file per command, each with `add_arguments(parser)` and `run(args) -> exit code`."""

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module, metadata

_COMMANDS = {
    "serve": "answer calls until told to stop",
    "call": "telephone a running service as Asterisk does, and time it",
    "demo": "hear a scripted caller talk with the agent",
    "bench": "measure what this machine carries",
    "check": "look whether everything that a configuration needs is there",
    "dialplan": "print the lines of extensions.conf for a configuration",
    "lab": "run a real Asterisk on this machine, for trying and testing",
}

#: Packages that are not called as what they are imported as.
_PACKAGES = {
    "espeakng_loader": "espeakng-loader",
    "webrtc_noise_gain": "webrtc-noise-gain",
    "webrtcvad": "webrtcvad-wheels",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command. Only its own module is imported: a service has no use for what the others need."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    parser = argparse.ArgumentParser(prog="voiceagent", description="Answers telephone calls on Asterisk.")
    parser.add_argument("--version", action="version", version=f"voiceagent {metadata.version('voiceagent')}")
    commands = parser.add_subparsers(title="commands", required=True)
    chosen = next((word for word in arguments if not word.startswith("-")), None)
    for name, summary in _COMMANDS.items():
        command = commands.add_parser(name, help=summary, description=f"{summary[0].upper()}{summary[1:]}.")
        if name == chosen:
            try:
                module = import_module(f"voiceagent.cli.{name}")
            except ImportError as error:
                missing = (error.name or "").partition(".")[0]
                if missing in ("", "voiceagent"):
                    raise  # our own mistake
                package = _PACKAGES.get(missing, missing)
                said = f"the package {package} is missing or does not load: {error}"
                print(f"voiceagent cannot start: {said}", file=sys.stderr)
                return 1
            module.add_arguments(command)
            command.set_defaults(run=module.run)
    args = parser.parse_args(arguments)
    return int(args.run(args))
