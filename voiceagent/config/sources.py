"""From files, overrides and the environment to one tree of tables, before anything in it is judged."""

import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias, cast

from voiceagent.config.problems import ConfigErrors, KeyPath, Problem, key_text, look_up

Table: TypeAlias = dict[str, Any]

_REFERENCE = re.compile(r"\$\$\{|\$\{([^}]*)\}?")


def read_table(path: Path) -> Table:
    """The tables of a TOML file. Raises ConfigErrors with one line."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigErrors([f"{path}: expected a readable file, got: {error.strerror}"]) from None
    except UnicodeDecodeError as error:
        raise ConfigErrors([f"{path}: expected UTF-8 text, got a byte that is not, at offset {error.start}"]) from None
    except RecursionError:
        raise ConfigErrors([f"{path}: expected TOML, got tables or lists nested too deeply"]) from None
    except tomllib.TOMLDecodeError as error:
        message, _, place = str(error).rstrip(")").partition(" (at ")
        raise ConfigErrors([f"{path}: {place or 'TOML'}: expected valid TOML, got: {message}"]) from None


def read_override(text: str) -> tuple[tuple[str, ...], Any]:
    """`dotted.key=value` as path and value: the value is TOML where it can be read so, else the text itself.

    Raises ConfigErrors with one line.
    """
    key, equals, value = text.partition("=")
    path = _read_key(key) if equals else None
    if path is None:
        raise ConfigErrors([f"--set {text.strip()}: expected KEY=VALUE with a dotted key"])
    try:
        table = tomllib.loads(f"value = {value}")
    except (tomllib.TOMLDecodeError, RecursionError):
        return path, value
    return path, table["value"] if len(table) == 1 else value


def _read_key(text: str) -> tuple[str, ...] | None:
    """The parts of a dotted key, which TOML reads for us; None if it is none."""
    try:
        inner: object = tomllib.loads(f"{text} = 0")
    except tomllib.TOMLDecodeError:
        return None
    path: list[str] = []
    while isinstance(inner, dict) and len(inner) == 1:
        ((key, inner),) = inner.items()
        path.append(key)
    return tuple(path) if inner == 0 else None


def overlay(base: Table, top: Table) -> Table:
    """`base` with everything `top` says instead: tables are merged key by key, anything else is replaced."""
    merged = dict(base)
    for key, value in top.items():
        below = merged.get(key)
        merged[key] = overlay(below, value) if isinstance(below, dict) and isinstance(value, dict) else value
    return merged


def set_key(tree: Table, path: Sequence[str], value: object) -> Table:
    """`tree` with `value` laid over what it has at `path`. Raises ConfigErrors if a key on the way is no table."""
    for length in range(1, len(path)):
        blocking = look_up(tree, tuple(path[:length]))
        if blocking is not None and not isinstance(blocking, dict):
            key = key_text(tuple(path))
            raise ConfigErrors([f"--set {key}: expected {key_text(tuple(path[:length]))} to be a table, got a value"])
    for key in reversed(path):
        value = {key: value}
    return overlay(tree, cast(Table, value))


def expand(tree: Table, environ: Mapping[str, str]) -> tuple[Table, list[Problem]]:
    """`tree` with `${NAME}` in its texts replaced from `environ` (`$${` stays as `${`), and what was undefined."""
    problems: list[Problem] = []

    def replaced(value: object, path: KeyPath) -> object:
        match value:
            case dict():
                return {key: replaced(inner, (*path, key)) for key, inner in value.items()}
            case list():
                return [replaced(inner, (*path, index)) for index, inner in enumerate(value)]
            case str():
                problems.extend(_undefined(value, path, environ))
                return _REFERENCE.sub(lambda m: "${" if m[0] == "$${" else environ.get(m[1], m[0]), value)
            case _:
                return value

    return {key: replaced(value, (key,)) for key, value in tree.items()}, problems


def _undefined(text: str, path: KeyPath, environ: Mapping[str, str]) -> Iterator[Problem]:
    for match in _REFERENCE.finditer(text):
        name = match[1]
        if match[0] == "$${" or (match[0].endswith("}") and name in environ):
            continue
        if match[0].endswith("}") and re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
            yield Problem(path, f"the environment variable {name} to be set")
        else:
            yield Problem(path, "${NAME} with the name of an environment variable")
