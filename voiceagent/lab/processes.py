"""What a process holds, read from outside by way of /proc (Linux): descriptors, threads, children, memory, by name.

`python -m voiceagent.lab.processes PID` lists it; with `--seconds S` it waits that long and tells what has come in
between and is still there (exit code 1). Nothing here needs the cooperation of the process looked at.
"""

import argparse
import os
import sys
import time
from collections.abc import Iterator, Mapping
from ipaddress import ip_address
from pathlib import Path
from typing import Final

from attrs import frozen

from voiceagent.lab.meters import descendants, resident_bytes

_PROC: Final = Path("/proc")
#: The state of a listening TCP socket: include/net/tcp_states.h.
_LISTENING: Final = "0A"


@frozen
class Descriptor:
    """An open descriptor: what /proc says it is. A socket has an inode there, so that a new one is never an old one."""

    number: int
    what: str


@frozen
class ProcessStock:
    """What a process held at one moment. `addresses` are those of its TCP sockets; threads and children by number."""

    pid: int
    descriptors: frozenset[Descriptor]
    addresses: Mapping[str, str]
    threads: Mapping[int, str]
    children: Mapping[int, str]
    resident_bytes: int

    def since(self, before: "ProcessStock") -> list[str]:
        """What is held now and was not in `before`: `kind: number name`, one line each. Memory is not judged."""
        return [
            *(
                f"descriptor: {describe(descriptor, self.addresses)}"
                for descriptor in sorted(self.descriptors - before.descriptors, key=lambda found: found.number)
            ),
            *_new("thread", self.threads, before.threads),
            *_new("child", self.children, before.children),
        ]

    def __str__(self) -> str:
        nothing = ProcessStock(self.pid, frozenset(), {}, {}, {}, 0)
        return "\n".join([f"process {self.pid}: {self.resident_bytes / 1e6:.1f} MB", *self.since(nothing)])


def process_stock(pid: int) -> ProcessStock:
    """What `pid` holds now. Raises OSError when it is gone or not ours to look into."""
    return ProcessStock(
        pid=pid,
        descriptors=descriptors(pid),
        addresses=socket_addresses(pid),
        threads=dict(_threads(pid)),
        children={child: _command(child) for child in descendants(pid)},
        resident_bytes=resident_bytes(pid),
    )


def descriptors(pid: int | None = None) -> frozenset[Descriptor]:
    """The open descriptors of a process (None: this one). Raises OSError when it is gone."""
    return frozenset(_descriptors(_of(pid)))


def _descriptors(folder: Path) -> Iterator[Descriptor]:
    for entry in (folder / "fd").iterdir():
        try:
            yield Descriptor(int(entry.name), str(entry.readlink()))
        except FileNotFoundError:  # the one that lists the folder, or closed meanwhile
            continue


def describe(descriptor: Descriptor, addresses: Mapping[str, str]) -> str:
    """`9 socket:[4711] tcp 127.0.0.1:9092 listening`."""
    return f"{descriptor.number} {descriptor.what} {addresses.get(descriptor.what, '')}".rstrip()


def socket_addresses(pid: int | None = None) -> dict[str, str]:
    """The TCP sockets of a process's network (None: ours), by what a descriptor says: `tcp HERE -> THERE`."""
    found = {}
    for table in ("tcp", "tcp6"):
        path = _of(pid) / "net" / table
        if not path.exists():  # a kernel without IPv6
            continue
        for row in path.read_text().splitlines()[1:]:
            _, here, there, state, *rest = row.split()
            there = "listening" if state == _LISTENING else f"-> {_address(there)}"
            found[f"socket:[{rest[5]}]"] = f"tcp {_address(here)} {there}"
    return found


def _of(pid: int | None) -> Path:
    return _PROC / ("self" if pid is None else str(pid))


def _address(text: str) -> str:
    """`0100007F:2384`, words of 32 bits in the machine's order, as 127.0.0.1:9092."""
    host, _, port = text.partition(":")
    words = [bytes.fromhex(host)[at : at + 4] for at in range(0, len(host) // 2, 4)]
    packed = b"".join(word[::-1] if sys.byteorder == "little" else word for word in words)
    return f"{ip_address(packed)}:{int(port, 16)}"


def _threads(pid: int) -> Iterator[tuple[int, str]]:
    for entry in (_PROC / str(pid) / "task").iterdir():
        try:
            yield int(entry.name), (entry / "comm").read_text().strip()
        except FileNotFoundError:
            continue


def _command(pid: int) -> str:
    try:
        return (_PROC / str(pid) / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
    except FileNotFoundError:
        return "(gone)"


def _new(kind: str, now: Mapping[int, str], before: Mapping[int, str]) -> list[str]:
    return [f"{kind}: {number} {what}" for number, what in now.items() if before.get(number) != what]


def main(arguments: list[str]) -> int:
    """Exit codes: 0 nothing new, 1 something is left, 2 the process cannot be looked into."""
    parser = argparse.ArgumentParser("voiceagent.lab.processes", description="What a running service holds, by name.")
    parser.add_argument("pid", type=int)
    parser.add_argument("--seconds", type=float, help="wait this long, then tell what is new")
    chosen = parser.parse_args(arguments)
    try:
        before = process_stock(chosen.pid)
        if chosen.seconds is None:
            sys.stdout.write(f"{before}\n")
            return 0
        time.sleep(chosen.seconds)
        now = process_stock(chosen.pid)
    except OSError as error:
        sys.stderr.write(f"process {chosen.pid}: {os.strerror(error.errno or 0)}\n")
        return 2
    left = now.since(before)
    growth = now.resident_bytes - before.resident_bytes
    sys.stdout.write("\n".join([*left, f"{len(left)} left, memory {growth / 1024:+.0f} KB"]) + "\n")
    return 1 if left else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
