"""Where configured things lie on disk."""

from collections.abc import Mapping
from pathlib import Path

import platformdirs

from voiceagent.config.settings import ServiceConfig

_PACKAGE = Path(__file__).resolve().parent.parent

#: The commented default: every file given by a user is laid over it.
DEFAULT_FILE = _PACKAGE / "config.toml"


def built_in_flows() -> tuple[str, ...]:
    """The names of the flows that come with the package."""
    return tuple(sorted(path.stem for path in (_PACKAGE / "dialogue").glob("*.toml")))


def flow_path(flow: str, directory: Path) -> Path:
    """The file of a configured flow: a built-in one by its bare name, any other by its path from `directory`."""
    return _PACKAGE / "dialogue" / f"{flow}.toml" if flow in built_in_flows() else directory / flow


def state_path(service: ServiceConfig, environ: Mapping[str, str]) -> Path:
    """Where recordings and other state go: as configured, as systemd says, or the user's state directory.

    Nothing is created here.
    """
    if service.state_dir:
        return Path(service.state_dir).expanduser()
    if systemd := environ.get("STATE_DIRECTORY", ""):
        return Path(systemd.split(":")[0])  # systemd lists several separated by colons
    return platformdirs.user_state_path("voiceagent")
