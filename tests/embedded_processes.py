"""What the tests of the embedded speech providers share: fake workers, and a look at real processes."""

import sys
from collections.abc import Awaitable, Callable
from functools import wraps
from pathlib import Path
from typing import ParamSpec

import trio

from voiceagent.providers.embedded.worker import Limits

#: Short enough for a test, long enough for a loaded machine.
LIMITS = Limits(start_s=20.0, patience_s=0.3, job_s=20.0, restart_wait_s=20.0, grace_s=1.0, backoff_s=0.01)

P = ParamSpec("P")


def within(seconds: float) -> Callable[[Callable[P, Awaitable[None]]], Callable[P, Awaitable[None]]]:
    """A test that takes longer has failed: nothing here may wait for ever."""

    def decorate(test: Callable[P, Awaitable[None]]) -> Callable[P, Awaitable[None]]:
        @wraps(test)
        async def run(*args: P.args, **kwargs: P.kwargs) -> None:
            with trio.fail_after(seconds):
                await test(*args, **kwargs)

        return run

    return decorate


_PRELUDE = """
import json, os, struct, sys, time
H = struct.Struct("<cII")
def put(kind, job, payload=b""):
    sys.stdout.buffer.write(H.pack(kind, job, len(payload)) + payload); sys.stdout.flush()
def get():
    header = sys.stdin.buffer.read(9)
    if len(header) < 9: sys.exit()
    kind, job, length = H.unpack(header)
    return kind, job, sys.stdin.buffer.read(length)
"""


def fake_worker(body: str) -> list[str]:
    """The command of a worker program that does `body`, with put(kind, job, payload) and get() at hand."""
    return [sys.executable, "-c", _PRELUDE + body]


def process_state(pid: int) -> str:
    """The kernel's letter for the process: R, S, T, Z …; empty when it is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return ""


def children() -> set[int]:
    """Processes this one has started and not yet seen the end of."""
    found: set[int] = set()
    for task in Path("/proc/self/task").iterdir():
        found |= {int(pid) for pid in (task / "children").read_text().split()}
    return found


def open_descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))
