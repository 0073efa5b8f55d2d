"""What processes cost, read from outside (Linux): nothing here needs the cooperation of those measured."""

import time
from pathlib import Path
from typing import Final

_PROC: Final = Path("/proc")
_PAGE_BYTES: Final = 4096


def cpu_seconds(pid: int) -> float:
    """User and system time the process has used, all threads, to the nanosecond. Raises OSError when it is gone."""
    # A process's CPU clock by its pid: MAKE_PROCESS_CPUCLOCK(pid, CPUCLOCK_SCHED) in the kernel's posix-timers.h.
    return time.clock_gettime(~pid << 3 | 2)


def resident_bytes(pid: int) -> int:
    """Memory the process holds now. Raises OSError when it is gone."""
    return int((_PROC / str(pid) / "statm").read_text().split()[1]) * _PAGE_BYTES


def descendants(pid: int) -> list[int]:
    """The children of a process, and theirs."""
    parents: dict[int, int] = {}
    for entry in _PROC.iterdir():
        if entry.name.isdecimal():
            try:
                stat = (entry / "stat").read_text()
            except OSError:  # gone meanwhile
                continue
            parents[int(entry.name)] = int(stat.rpartition(")")[2].split()[1])  # a name may hold anything
    found = [pid]
    for parent in found:
        found += [child for child, of in parents.items() if of == parent]
    return found[1:]


def cpu_of_descendants(pid: int) -> float:
    """CPU seconds of all living descendants of a process; those that have ended no longer count."""
    total = 0.0
    for child in descendants(pid):
        try:
            total += cpu_seconds(child)
        except OSError:
            continue
    return total


def open_descriptors(pid: int) -> int:
    """Files and sockets a process has open. Raises OSError when it is gone."""
    return sum(1 for _ in (_PROC / str(pid) / "fd").iterdir())


def machine_cpu_seconds() -> float:
    """What all CPUs together have spent on anything but idling, stolen time included."""
    user, nice, system, _idle, _wait, irq, soft, steal = map(int, _PROC.joinpath("stat").read_text().split()[1:9])
    return (user + nice + system + irq + soft + steal) / 100
