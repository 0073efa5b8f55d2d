"""Proof that nothing is left of a call: what is here now, compared with what was here before, by name.

`nothing_left_behind` watches the process it runs in: Trio tasks, descriptors, and whatever the caller can list (live
calls, open provider sessions, a folder). Everything is compared by identity, so a new call's task is not excused by an
old one that has gone meanwhile. For a service in another process there is `voiceagent.lab.processes`.
"""

from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Final, TypeAlias

import trio
from attrs import frozen

from voiceagent.lab.processes import Descriptor, describe, descriptors, socket_addresses

#: How often those that are on their way out are looked at again.
_LOOK_S: Final = 0.005

#: Lists what exists of one kind (live calls, worker requests, files): hashable things whose text names them.
Listing: TypeAlias = Callable[[], Iterable[object]]


class LeftBehindError(AssertionError):
    """Something is still there; `leftovers` has one line for each."""

    def __init__(self, leftovers: Iterable[str]) -> None:
        self.leftovers = list(leftovers)
        super().__init__("left behind:\n" + "\n".join(f"  {line}" for line in self.leftovers))


@frozen
class Stock:
    """What existed at one moment, by kind."""

    things: Mapping[str, frozenset[object]]

    def since(self, before: "Stock") -> list[str]:
        """What is here and was not in `before`: `kind: name`, one line each, sorted."""
        new = {kind: found - before.things.get(kind, frozenset()) for kind, found in self.things.items()}
        addresses = socket_addresses() if new["descriptor"] else {}
        return sorted(f"{kind}: {_name(thing, addresses)}" for kind, found in new.items() for thing in found)


def take_stock(listings: Mapping[str, Listing] = MappingProxyType({})) -> Stock:
    """All tasks and descriptors of this process, and what `listings` (by kind) list. Runs inside Trio.

    A listing called "task" or "descriptor" is taken in place of all.
    """
    listings = {"task": all_tasks, "descriptor": descriptors, **listings}
    return Stock({kind: frozenset(listing()) for kind, listing in listings.items()})


@asynccontextmanager
async def nothing_left_behind(
    listings: Mapping[str, Listing] = MappingProxyType({}), *, within: float = 0.0
) -> AsyncIterator[None]:
    """Whatever the body starts has to be gone when it ends, or `within` seconds later (the Trio clock's).

    `listings` add to what is watched: `{"call": lambda: service.calls, "file": files_in(folder)}`. Raises
    LeftBehindError with a name for each leftover. A body that raises is not judged.
    """
    before = take_stock(listings)
    yield
    deadline = trio.current_time() + within
    while left := take_stock(listings).since(before):
        if trio.current_time() >= deadline:
            raise LeftBehindError(left)
        await trio.sleep(min(_LOOK_S, deadline - trio.current_time()))


def files_in(*folders: Path) -> Listing:
    """Lists the files below `folders`, which need not exist."""
    return lambda: (path for folder in folders for path in folder.rglob("*") if not path.is_dir())


def all_tasks() -> Iterator[trio.lowlevel.Task]:
    """Every task of the running Trio, the system's and the one that asks included."""
    root = trio.lowlevel.current_root_task()
    waiting = [root] if root is not None else []
    while waiting:
        task = waiting.pop()
        yield task
        for nursery in task.child_nurseries:
            waiting += nursery.child_tasks


def task_name(task: trio.lowlevel.Task) -> str:
    """The task's function, and the innermost place of ours where it waits."""
    frames = [(frame.f_code, line) for frame, line in task.iter_await_frames()]
    ours = [code for code, _ in frames if "trio" not in Path(code.co_filename).parts]
    if not ours:
        return task.name
    line = next(line for code, line in reversed(frames) if code is ours[-1])
    return f"{task.name} in {ours[-1].co_name} ({Path(ours[-1].co_filename).name}:{line})"


def _name(thing: object, addresses: Mapping[str, str]) -> str:
    match thing:
        case trio.lowlevel.Task():
            return task_name(thing)
        case Descriptor():
            return describe(thing, addresses)
        case _:
            return str(thing)
