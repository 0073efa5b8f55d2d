"""Asterisks that have names and stay when the command that started them is over."""

import json
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import cattrs
import platformdirs

from voiceagent.lab.asterisk.conf import Options
from voiceagent.lab.asterisk.running import RunningAsterisk, start_asterisk
from voiceagent.lab.debian import LabError, Progress
from voiceagent.lab.locked import locked

#: Starting and stopping one: not together with another.
_LOCK_S: Final = 180.0
_NOTE: Final = "lab.json"


def instances_folder() -> Path:
    """Where their run directories are: the user's state directory."""
    return platformdirs.user_state_path("voiceagent") / "lab"


def up(name: str, tree: Path, options: Options, progress: Progress) -> RunningAsterisk:
    """The Asterisk of that name: the one that runs already, or else a new one. Raises LabError."""
    run = _run_directory(name)
    with _alone(progress):
        found = _read(run)
        if found is not None and found.process.is_running:
            if found.site.options != options:
                raise LabError(f"{name!r} runs already, with other settings: stop it first (voiceagent lab down)")
            progress(f"{name!r} runs already")
            return found
        shutil.rmtree(run, ignore_errors=True)  # of one that died
        progress("booting")
        try:
            asterisk = start_asterisk(tree, run, options, spawned=_write)
        except BaseException as error:
            if not isinstance(error, LabError):  # what an error says of the log is to be read
                shutil.rmtree(run, ignore_errors=True)
            raise
        _write(asterisk)
    return asterisk


def down(name: str, progress: Progress) -> bool:
    """Stop it and remove its run directory. False: it had died by itself. Raises LabError when there is none."""
    run = _run_directory(name)
    with _alone(progress):
        asterisk = _read(run)
        if asterisk is None:
            names = ", ".join(each.run.name for each in instances())
            raise LabError(f"there is no {name!r}: {f'running are {names}' if names else 'none is running'}")
        was_running = asterisk.process.is_running
        asterisk.stop()
        shutil.rmtree(run)
    return was_running


def instances() -> list[RunningAsterisk]:
    """Those that were started and not stopped; some may have died."""
    runs = sorted(path.parent for path in instances_folder().glob(f"*/{_NOTE}"))
    return [found for run in runs if (found := _read(run)) is not None]


def _run_directory(name: str) -> Path:
    if not re.fullmatch(r"\w[\w.-]{0,40}", name, re.ASCII):
        raise LabError(f"--name: {name!r} is no name (letters, digits, and between them . _ -)")
    return instances_folder() / name


@contextmanager
def _alone(progress: Progress) -> Iterator[None]:
    folder = instances_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with locked(folder / "lock", within=_LOCK_S, waiting=lambda: progress("another one is starting or stopping")):
            yield
    except OSError as error:
        raise LabError(f"{error.filename or folder}: {error.strerror}") from None


def _write(asterisk: RunningAsterisk) -> None:
    (asterisk.run / _NOTE).write_text(json.dumps(cattrs.unstructure(asterisk)))  # the folder is for its owner only


def _read(run: Path) -> RunningAsterisk | None:
    try:
        told: Any = json.loads((run / _NOTE).read_text())
        return cattrs.structure(told, RunningAsterisk)
    except FileNotFoundError:
        return None
    except (ValueError, cattrs.BaseValidationError):
        raise LabError(f"{run / _NOTE} is not as it was written: end that Asterisk by hand, remove {run}") from None
