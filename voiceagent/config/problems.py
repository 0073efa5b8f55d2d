"""What is wrong with a configuration, told in one line each: where, what was expected, what is there instead."""

import json
import re
from collections.abc import Sequence
from datetime import date, time
from difflib import get_close_matches
from typing import Any, TypeAlias

from attrs import frozen

#: From the root of the file: table names, then the key; a number is a place in a list, counted from 0.
KeyPath: TypeAlias = tuple[str | int, ...]

_SECRET = re.compile(r"key|secret|token|password|credential", re.IGNORECASE)


class ConfigErrors(Exception):  # noqa: N818 - it holds several
    """Every error of a configuration; `lines` has one complete sentence for each."""

    def __init__(self, lines: Sequence[str]) -> None:
        super().__init__("\n".join(lines))
        self.lines = tuple(lines)


@frozen
class Problem:
    """One error at one key. `nearest` is what was probably meant; `got` is there where it is not the key's value."""

    path: KeyPath
    expected: str
    nearest: str = ""
    got: str = ""

    def told(self, tree: object) -> str:
        """The rest of the line: `expected ..., got ...`, where `tree` is what the file says, nothing expanded."""
        hint = f"; did you mean {self.nearest!r}?" if self.nearest else ""
        return f"expected {self.expected}, got {self.got or shown(self.path, look_up(tree, self.path))}{hint}"


def key_text(path: KeyPath) -> str:
    """The path as TOML writes it: `agents."front desk".kind`, `audiosocket.allow[1]`."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            bare = re.fullmatch(r"[A-Za-z0-9_-]+", part)
            text += ("." if text else "") + (part if bare else json.dumps(part, ensure_ascii=False))
    return text


def nearest(word: object, known: Sequence[str]) -> str:
    """The one of `known` that `word` was probably meant to be, or nothing."""
    return next(iter(get_close_matches(word, known, n=1)), "") if isinstance(word, str) else ""


def look_up(tree: object, path: KeyPath) -> Any:
    """What `tree` has at `path`; None where there is nothing (TOML knows no null)."""
    for part in path:
        if isinstance(tree, dict):
            tree = tree.get(str(part))
        elif isinstance(tree, list) and isinstance(part, int) and part < len(tree):
            tree = tree[part]
        else:
            return None
    return tree


def shown(path: KeyPath, value: object) -> str:
    """A value as an error may show it: short, on one line, and never a secret.

    `value` is what the file says, so that text from the environment appears as `${NAME}` and not as what it holds.
    """
    match value:
        case None:
            return "nothing"
        case bool():
            return "true" if value else "false"
        case dict():
            return "a table"
        case list():
            return "a list"
        case date() | time():
            return "a date or time"
        case _ if any(isinstance(part, str) and _SECRET.search(part) for part in path):
            return "something else (not shown)"
        case _:
            text = repr(value)
            return text if len(text) <= 60 else text[:57] + "..."
