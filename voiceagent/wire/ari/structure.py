"""JSON to frozen attrs classes, driven by the classes' own fields.

A field without default must be there; one with a default may be missing or null; what a class does not name is ignored,
for Asterisk gains fields with every release.
"""

from collections.abc import Callable, Mapping
from functools import cache
from types import NoneType, UnionType
from typing import Any, TypeAlias, TypeVar, cast, get_args, get_origin, get_type_hints

import attrs

T = TypeVar("T")

#: (value, where in the message) to value; raises MessageError.
_Reader: TypeAlias = Callable[[object, str], Any]

_NAMES = {str: "text", int: "a whole number", bool: "true or false", float: "a number"}


class MessageError(ValueError):
    """Asterisk said something that is not what it describes. `where` names message and field: `Dial.peer.id`."""

    def __init__(self, where: str, problem: str) -> None:
        super().__init__(f"{where}: {problem}")
        self.where = where
        self.problem = problem


def structure(kind: type[T], data: object, where: str) -> T:
    """An instance of the attrs class `kind` from decoded JSON; `where` says in errors what it is.

    Raises MessageError when a field is missing or of another type.
    """
    if not isinstance(data, dict):
        raise MessageError(where, "is not an object")
    values = {}
    for name, required, read in _fields(cast("type", kind)):
        value = data.get(name)
        if value is not None:
            values[name] = read(value, f"{where}.{name}")
        elif required:
            raise MessageError(f"{where}.{name}", "is missing")
    return kind(**values)


@cache
def _fields(kind: type) -> tuple[tuple[str, bool, _Reader], ...]:
    hints = get_type_hints(kind)
    return tuple((each.name, each.default is attrs.NOTHING, _reader(hints[each.name])) for each in attrs.fields(kind))


def _reader(hint: Any) -> _Reader:
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is UnionType:
        (hint,) = (each for each in arguments if each is not NoneType)
        return _reader(hint)
    if origin is tuple:
        return _tuple_reader(_reader(arguments[0]))
    if origin is Mapping:
        return _mapping_reader(None if arguments[1] is object else _reader(arguments[1]))
    if attrs.has(hint):
        return lambda value, where: structure(hint, value, where)
    return _plain_reader(hint)


def _plain_reader(kind: type) -> _Reader:
    accepted = (int, float) if kind is float else kind

    def read(value: object, where: str) -> object:
        if not isinstance(value, accepted) or (value.__class__ is bool and kind is not bool):
            raise MessageError(where, f"is not {_NAMES[kind]}")
        return value

    return read


def _tuple_reader(each: _Reader) -> _Reader:
    def read(value: object, where: str) -> tuple[object, ...]:
        if not isinstance(value, list):
            raise MessageError(where, "is not a list")
        return tuple(each(item, f"{where}[{index}]") for index, item in enumerate(value))

    return read


def _mapping_reader(each: _Reader | None) -> _Reader:
    """None: the values stay as they are."""

    def read(value: object, where: str) -> Mapping[str, object]:
        if not isinstance(value, dict):
            raise MessageError(where, "is not an object")
        return value if each is None else {key: each(item, f"{where}.{key}") for key, item in value.items()}

    return read
