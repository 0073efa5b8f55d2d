"""One process at a time."""

import fcntl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from voiceagent.lab.debian.commands import LabError


@contextmanager
def locked(path: Path, *, within: float, waiting: Callable[[], None]) -> Iterator[None]:
    """Hold the lock on `path`, a file that stays; calls `waiting` when somebody else has it.

    Raises LabError when it is not free `within` seconds.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    deadline = time.monotonic() + within
    with path.open("w") as file:
        told = False
        while not _take(file.fileno()):
            if not told:
                waiting()
                told = True
            if time.monotonic() > deadline:
                raise LabError(f"{path}: held by another process for more than {within:g} s (is it stuck? end it)")
            time.sleep(0.2)
        yield


def _take(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
