"""A folder with a few programs of Debian packages, what they load, and nothing else; cached."""

import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from attrs import field, frozen

from voiceagent.lab.debian.apt import open_apt
from voiceagent.lab.debian.commands import LabError, Progress, output_of
from voiceagent.lab.locked import locked

#: Another process may be fetching the same: that long it is waited for.
_LOCK_S: Final = 900.0
_LOOK_S: Final = 60.0


@frozen
class Recipe:
    """What to fetch, and what to keep of it. Patterns are relative to the root of the packages' files.

    `packages`: what is wanted. `sufficient`: of all that these need, the packages whose names match this whole are
    known to be enough; where they are not (Debian moves on) all are fetched. `programs`: what has libraries to be
    found, each with at least one file. `files`: what else is kept. `links`: what an installation would have linked,
    from and to.
    """

    name: str
    packages: tuple[str, ...]
    programs: tuple[str, ...]
    files: tuple[str, ...] = ()
    links: tuple[tuple[str, str], ...] = ()
    sufficient: str = ".*"
    suite: str = field(kw_only=True, default="sid")

    @property
    def folder(self) -> str:
        """Its name in a cache: changes with whatever changes the content, apart from Debian itself."""
        return f"{self.name}-{self.suite}-{hashlib.sha256(repr(self).encode()).hexdigest()[:12]}"


class MissingLibraryError(Exception):
    """Something that is kept needs something that is not there."""


def fetch_tree(recipe: Recipe, cache: Path, progress: Progress) -> Path:
    """The tree of `recipe` below `cache`, fetched if it is not there yet; whoever fetches it first does it for all.

    Blocks for as long as it takes: seconds to minutes. Raises LabError.
    """
    tree = cache / recipe.folder
    if tree.exists():
        return tree
    try:
        with locked(
            cache / f"{recipe.folder}.lock",
            within=_LOCK_S,
            waiting=lambda: progress("another process is fetching the same; waiting for it"),
        ):
            if not tree.exists():
                for left in cache.glob(f"{recipe.folder}.*/"):  # by one that was killed: the lock is ours
                    shutil.rmtree(left, ignore_errors=True)
                _build(recipe, tree, progress)
    except OSError as error:
        raise LabError(f"{error.filename or cache}: {error.strerror} (choose another folder with --cache)") from None
    return tree


def program(tree: Path, path: str) -> list[str]:
    """The command that runs the program at `path` of a tree: through its own loader, with its own libraries."""
    loader, libraries = _loader(tree)
    return [str(loader), "--library-path", str(libraries), str(tree / path)]


def _build(recipe: Recipe, tree: Path, progress: Progress) -> None:
    # Beside the tree, as it is renamed in the end, when it is complete.
    with tempfile.TemporaryDirectory(prefix=f"{recipe.folder}.", dir=tree.parent) as scratch:
        work, made = Path(scratch) / "apt", Path(scratch) / "tree"
        work.mkdir()
        apt = open_apt(work, recipe.suite, progress)
        closure = apt.closure(recipe.packages)
        enough = [each for each in closure if re.fullmatch(recipe.sufficient, each.partition("=")[0])]
        attempts = [enough, closure] if len(enough) < len(closure) else [closure]
        for packages in attempts:
            full = Path(scratch) / "full"
            progress(f"downloading {len(packages)} of {len(closure)} packages")
            apt.unpack(packages, full, progress)
            try:
                _prune(recipe, full, made)
                break
            except MissingLibraryError as missing:
                if packages is attempts[-1]:
                    raise LabError(f"{recipe.suite} has no working {recipe.name}: {missing}") from None
                progress(f"{missing}: more packages are needed")
                shutil.rmtree(full)
                shutil.rmtree(made, ignore_errors=True)
        made.rename(tree)


def _prune(recipe: Recipe, full: Path, made: Path) -> None:
    """Copy what is kept. Raises MissingLibraryError."""
    loader, libraries = _loader(full)
    keep = {*_chain(loader)}
    for pattern in recipe.programs:
        found = sorted(full.glob(pattern))
        if not found:
            raise MissingLibraryError(f"no package has {pattern}")
        for each in found:
            keep.update(_chain(each))
            for library in _needed(loader, libraries, each):
                if not library.is_relative_to(full):
                    raise MissingLibraryError(f"{each.name} needs {library.name}")
                keep.update(_chain(library))
    keep.update(*(_chain(path) for pattern in recipe.files for path in full.glob(pattern)))
    for path in sorted(keep):
        copy = made / path.relative_to(full)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, copy, follow_symlinks=False)
    for link, target in recipe.links:
        (made / link).symlink_to(target)


def _needed(loader: Path, libraries: Path, binary: Path) -> Iterator[Path]:
    """The libraries that a binary loads at its start. Raises MissingLibraryError for one that is nowhere."""
    told = output_of([loader, "--library-path", libraries, "--list", binary], within=_LOOK_S)
    for line in told.splitlines():
        name, _, where = line.strip().partition(" => ")
        if where.startswith("not found"):
            raise MissingLibraryError(f"{binary.name} needs {name}")
        if where.startswith("/"):
            yield Path(os.path.normpath(where.partition(" (")[0]))


def _chain(path: Path) -> Iterator[Path]:
    """A file, and if it is a link, all the way to where it points."""
    yield path
    while path.is_symlink():
        path = Path(os.path.normpath(path.parent / path.readlink()))
        yield path


def _loader(tree: Path) -> tuple[Path, Path]:
    """The dynamic loader of a tree, and the folder with its libraries: both are named after the architecture."""
    loaders = _files(tree, ("usr/lib64/ld-linux*.so.*", "usr/lib/ld-linux*.so.*"))
    libraries = _files(tree, ("usr/lib/*/libc.so.6",))
    if not loaders or not libraries:
        raise LabError(f"{tree}: no C library in it (remove the folder, and it is fetched anew)")
    return loaders[0], libraries[0].parent


def _files(tree: Path, patterns: Sequence[str]) -> list[Path]:
    return [path for pattern in patterns for path in sorted(tree.glob(pattern))]
