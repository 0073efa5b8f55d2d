"""TOML tables into attrs classes, reporting every fault with its key path instead of stopping at the first.

cattrs gives up on an object at its first wrong field; here what is wrong is left out and the rest goes on, so that the
checks on meaning can run in the same pass.
"""

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from types import NoneType, UnionType
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

import attrs

Errors = list[tuple[str, str]]
"""(key path, what is wrong) in the order found."""

_T = TypeVar("_T")
_TOML_NAMES: Mapping[type, str] = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "a text",
    list: "a list",
    dict: "a table",
}


def nearest(name: str, valid: Iterable[str]) -> str:
    """`; did you mean 'x'?` for the closest of the names `valid`, or nothing."""
    close = get_close_matches(name, valid, 1)
    return f"; did you mean '{close[0]}'?" if close else ""


def read(kind: type[_T], raw: object, place: str, errors: Errors) -> _T:
    """`raw` as a `kind`: an attrs class, str, tuple[X, ...], Mapping[str, X] or X | None, nested at will.

    Faults are added to `errors`; where they are, the result holds defaults or empty values.
    """
    value: Any = _read(kind, raw, place, errors)
    return value  # type: ignore[no-any-return]


def _read(kind: Any, raw: object, place: str, errors: Errors) -> Any:
    origin = get_origin(kind)
    if origin is UnionType:
        (kind,) = (each for each in get_args(kind) if each is not NoneType)
        return _read(kind, raw, place, errors)
    if kind is str:
        return raw if isinstance(raw, str) else _not(str, raw, place, errors, "")
    if origin is tuple:
        items = raw if isinstance(raw, list) else _not(list, raw, place, errors, [])
        return tuple(_read(get_args(kind)[0], item, f"{place}[{index}]", errors) for index, item in enumerate(items))
    table = raw if isinstance(raw, dict) else _not(dict, raw, place, errors, {})
    if attrs.has(kind):
        return _read_class(kind, table, place, errors, known=isinstance(raw, dict))
    return {name: _read(get_args(kind)[1], item, _join(place, name), errors) for name, item in table.items()}


def _read_class(kind: Any, table: Mapping[str, object], place: str, errors: Errors, *, known: bool) -> Any:
    fields = attrs.fields_dict(kind)
    hints = get_type_hints(kind)
    errors += [(_join(place, name), f"no such key{nearest(name, fields)}") for name in table if name not in fields]
    values = {}
    for name, spec in fields.items():
        if name in table:
            values[name] = _read(hints[name], table[name], _join(place, name), errors)
            if spec.default is attrs.NOTHING and table[name] == "":
                errors.append((_join(place, name), "must not be empty"))
        elif spec.default is attrs.NOTHING:
            if known:
                errors.append((_join(place, name), "is missing"))
            values[name] = _read(hints[name], _EMPTY.get(get_origin(hints[name]) or hints[name], {}), place, [])
    return kind(**values)


_EMPTY: Mapping[Any, object] = {str: "", tuple: []}


def _not(kind: type, raw: object, place: str, errors: Errors, instead: _T) -> _T:
    found = _TOML_NAMES.get(type(raw), "a date or time")
    errors.append((place, f"must be {_TOML_NAMES[kind]}, not {found}"))
    return instead


def _join(place: str, name: str) -> str:
    return f"{place}.{name}" if place else name
