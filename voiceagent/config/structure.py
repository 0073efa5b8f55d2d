"""From one tree of tables to typed settings, collecting everything that does not fit.

cattrs walks the classes of `settings`. Every key is converted and validated by itself, so that one bad key hides no
other; the tree of exceptions this gives is then read off as problems with their key paths.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final, TypeAlias, get_args, get_origin

import attrs
from cattrs import (
    AttributeValidationNote,
    BaseValidationError,
    Converter,
    ForbiddenExtraKeysError,
    IterableValidationNote,
)
from cattrs.gen import make_dict_structure_fn, override

from voiceagent.config.problems import KeyPath, Problem, look_up, nearest
from voiceagent.config.settings import Config
from voiceagent.config.sources import Table

_Hook: TypeAlias = Callable[[Any, Any], Any]

#: What TOML must have for an attribute's type; an attrs class takes a table too.
_KINDS: Final[Mapping[Any, tuple[str, tuple[type, ...]]]] = {
    str: ("a text in quotes", (str,)),
    int: ("a whole number", (int,)),
    float: ("a number", (int, float)),
    bool: ("true or false", (bool,)),
    tuple: ("a list", (list,)),
    Mapping: ("a table", (dict,)),
}


class _UnfitError(ValueError):
    """A value does not fit its key: what would, the words to choose from, and where in a list the culprit is."""

    def __init__(self, expected: str, *, words: tuple[str, ...] = (), item: int | None = None) -> None:
        super().__init__(expected)
        self.expected = expected
        self.words = words
        self.item = item


def structure(tree: Table) -> tuple[Config, list[Problem]]:
    """The settings of `tree`, and what in it did not fit; keys that do not fit have their defaults in the settings."""
    converter = Converter(forbid_extra_keys=True, detailed_validation=True)
    for scalar in (str, int, float, bool):
        converter.register_structure_hook(scalar, _structure_scalar)
    converter.register_structure_hook_factory(attrs.has, lambda cls: _class_hook(cls, converter))
    try:
        return converter.structure(tree, Config), []
    except BaseValidationError as error:
        problems = list(_problems(error, (), tree))
    for problem in problems:
        tree = _without(tree, problem.path)
    return converter.structure(tree, Config), problems


def _check_kind(value: object, kind: Any) -> None:
    expected, accepted = _KINDS.get(get_origin(kind) or kind, _KINDS[Mapping])
    if not isinstance(value, accepted) or (isinstance(value, bool) and kind is not bool):
        raise _UnfitError(expected)


def _structure_scalar(value: Any, kind: Any) -> object:
    _check_kind(value, kind)
    return kind(value)


def _class_hook(cls: Any, converter: Converter) -> _Hook:
    keys = {attribute.name: _key_override(attribute, converter) for attribute in attrs.fields(cls)}
    from_table = make_dict_structure_fn(cls, converter, **keys)

    def hook(value: Any, kind: Any) -> object:
        _check_kind(value, kind)
        return from_table(value, kind)

    return hook


def _key_override(attribute: "attrs.Attribute[Any]", converter: Converter) -> Any:
    """How cattrs shall treat one key. `Config.directory` is none: it is where the file lies, not what it says."""
    if attribute.type is Path:
        return override(omit=True)

    def hook(value: Any, kind: Any) -> object:
        _check_kind(value, kind)
        if isinstance(value, list):
            _check_items(value, get_args(kind)[0], attribute)
            return tuple(value)
        result = converter.structure(value, kind)
        _validate(result, attribute)
        return result

    return override(struct_hook=hook)


def _check_items(items: list[Any], kind: Any, attribute: "attrs.Attribute[Any]") -> None:
    """Each item by itself, as a list of that one: a validator cannot tell which it means."""
    errors: list[_UnfitError] = []
    for place, item in enumerate(items):
        try:
            _check_kind(item, kind)
            _validate((item,), attribute)
        except _UnfitError as error:
            errors.append(_UnfitError(error.expected, words=error.words, item=place))
    if errors:
        raise ExceptionGroup("items that do not fit", errors)


def _validate(value: object, attribute: "attrs.Attribute[Any]") -> None:
    if attribute.validator is None:
        return
    try:
        attribute.validator(None, attribute, value)
    except (ValueError, TypeError) as error:
        words = error.args[2] if len(error.args) > 2 and isinstance(error.args[2], tuple) else ()  # from `in_`
        raise _UnfitError(" or ".join(map(repr, words)) or _expected(error), words=words) from None


def _expected(error: ValueError | TypeError) -> str:
    """What a validator asks for. attrs' own end with the value, which may be a secret: that is cut off."""
    said = re.fullmatch(r"'\w+' must (?:be )?(.*?)(?:: .*| \(.*\))?", str(error.args[0]), re.DOTALL)
    return said[1].replace("match regex", "text that matches") if said else "another value"


def _problems(error: BaseException, path: KeyPath, tree: Table) -> Iterator[Problem]:
    match error:
        case ExceptionGroup():
            for inner in error.exceptions:
                yield from _problems(inner, (*path, *_step(inner)), tree)
        case ForbiddenExtraKeysError():
            for key in sorted(error.extra_fields):
                yield _unknown_key((*path, key), error.cl)
        case _UnfitError():
            where = path if error.item is None else (*path, error.item)
            yield Problem(where, error.expected, nearest(look_up(tree, where), error.words))
        case _:
            raise error


def _step(error: BaseException) -> KeyPath:
    """Which key or item of the thing above `error` it is about, by cattrs' notes."""
    for note in getattr(error, "__notes__", ()):
        if isinstance(note, AttributeValidationNote):
            return (note.name,)
        if isinstance(note, IterableValidationNote):
            return (note.index,)
    return ()


def _unknown_key(path: KeyPath, cls: Any) -> Problem:
    known = tuple(a.name for a in attrs.fields(cls) if not (cls is Config and a.name == "directory"))
    return Problem(path, f"one of the keys {', '.join(known)}", nearest(path[-1], known), "an unknown key")


def _without(tree: Table, path: KeyPath) -> Table:
    """`tree` without what lies at `path`; an agent or provider that is no table becomes an empty one."""
    key, rest = str(path[0]), path[1:]
    if len(rest) == 1 and key in ("agents", "providers") and isinstance(tree[key], dict):
        return {**tree, key: {**tree[key], str(rest[0]): {}}}
    if not rest or isinstance(rest[0], int):
        return {name: value for name, value in tree.items() if name != key}
    return {**tree, key: _without(tree[key], rest)}
