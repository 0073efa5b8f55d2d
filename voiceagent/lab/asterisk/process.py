"""A process that may outlive whoever started it, known by its number and its start time, so never taken for another."""

import os
import select
import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from attrs import frozen


@frozen
class ProcessId:
    """`started`: clock ticks since the machine was booted, as /proc says (Linux)."""

    pid: int
    started: int

    @property
    def is_running(self) -> bool:
        return not self.wait(0)

    def wait(self, seconds: float) -> bool:
        """Whether it is over within that time. A child of ours is then reaped."""
        with self._descriptor() as descriptor:
            if descriptor is not None:
                poll = select.poll()
                poll.register(descriptor, select.POLLIN)
                if not poll.poll(seconds * 1000):
                    return False
        with suppress(ChildProcessError):
            os.waitpid(self.pid, os.WNOHANG)
        return True

    def kill(self) -> None:
        """At once; when this returns it is gone."""
        self._signal(signal.SIGKILL)
        self.wait(10)

    def end(self, patience: float) -> None:
        """Ask it to go, and end it if it has not gone after `patience` seconds."""
        self._signal(signal.SIGTERM)
        if not self.wait(patience):
            self.kill()

    def _signal(self, number: signal.Signals) -> None:
        with self._descriptor() as descriptor:
            if descriptor is not None:
                with suppress(ProcessLookupError):
                    signal.pidfd_send_signal(descriptor, number)

    @contextmanager
    def _descriptor(self) -> Iterator[int | None]:
        """A descriptor of this very process, None when it is gone."""
        try:
            descriptor = os.pidfd_open(self.pid)
        except ProcessLookupError:
            yield None
            return
        try:
            # Read after opening: if the number had been given to another process in between, this is its time.
            yield descriptor if _started(self.pid) == self.started else None
        finally:
            os.close(descriptor)


def spawn(command: list[str], env: Mapping[str, str], output: Path) -> ProcessId:
    """Start `command` in a session of its own, where no Ctrl-C of ours reaches it; what it says goes to `output`.

    Raises OSError.
    """
    pid = os.posix_spawn(
        command[0],
        command,
        env,
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, str(output), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ],
        setsid=True,
        setsigdef=[signal.SIGPIPE],  # Python ignores it, and that is inherited
    )
    return ProcessId(pid, _started(pid) or 0)  # a child's number is its own until it is reaped


def _started(pid: int) -> int | None:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return int(stat.rpartition(")")[2].split()[19])  # the name before the parenthesis may hold anything
