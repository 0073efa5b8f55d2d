"""Every request the client can make, and everything it understands, against the running Asterisk's own description."""

import inspect
import re
import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, Literal, Union, get_args, get_origin, get_type_hints

import attrs
import pytest
import trio

from voiceagent.lab.asterisk import RunningAsterisk
from voiceagent.pbx.ari.client import open_client
from voiceagent.wire.ari import models
from voiceagent.wire.ari.commands import applications, bridges, channels, playbacks, recordings
from voiceagent.wire.ari.commands import asterisk as asterisk_commands
from voiceagent.wire.ari.commands.request import Request, make
from voiceagent.wire.ari.events import KNOWN

RESOURCES = ("applications", "asterisk", "bridges", "channels", "events", "playbacks", "recordings")
COMMANDS = (applications, asterisk_commands, bridges, channels, playbacks, recordings)

#: What we call other than Asterisk does.
NAMES = {"CallerId": "CallerID", "DialplanPosition": "DialplanCEP", "RtpStatistics": "RTPstat"}

#: Stands for any text.
SOME: Final = "some"

Builder = Callable[..., Request]


def builders() -> Iterator[Builder]:
    for module in COMMANDS:
        for function in vars(module).values():
            if inspect.isfunction(function) and function.__module__ == module.__name__:
                yield function


def named(function: Builder) -> str:
    return f"{function.__module__.rpartition('.')[2]}.{function.__name__}"


class Docs:
    """All of /ari/api-docs that we have to do with."""

    def __init__(self, documents: Sequence[Mapping[str, Any]]) -> None:
        self.models: dict[str, Any] = {name: model for each in documents for name, model in each["models"].items()}
        self._operations = [
            (operation["httpMethod"], re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(api["path"])), operation)
            for each in documents
            for api in each["apis"]
            for operation in api["operations"]
        ]

    def operation(self, request: Request) -> Mapping[str, Any]:
        """The one that is meant, and not one whose path has an id in place of the word."""
        fits = [
            (pattern.count("[^/]+"), operation)
            for method, pattern, operation in self._operations
            if method == request.method and re.fullmatch(pattern, request.path)
        ]
        assert fits, f"there is no {request}"
        return min(fits, key=lambda each: each[0])[1]  # type: ignore[no-any-return]


@pytest.fixture(scope="session")
def docs(asterisk: RunningAsterisk) -> Docs:
    async def ask() -> Docs:
        async with open_client(asterisk.ari_url, asterisk.user, asterisk.password) as client:
            return Docs([await client.request(make("GET", "api-docs", f"{name}.json"), 30.0) for name in RESOURCES])

    return trio.run(ask)


def samples(hint: Any) -> list[Any]:
    """Values for an argument: one, or all there are."""
    if get_origin(hint) in (types.UnionType, Union):
        return [sample for each in get_args(hint) if each is not types.NoneType for sample in samples(each)]
    if get_origin(hint) is Literal:
        return list(get_args(hint))
    if get_origin(hint) in (Mapping, dict):
        return [{"NAME": "value"}]
    if get_origin(hint) is Sequence:
        return [["one", "two"]]
    return [{str: SOME, int: 7, bool: True}[hint]]


def requests(function: Builder) -> Iterator[tuple[Request, bool]]:
    """With all arguments, each with each of its values, and (True) with those alone that must be."""
    hints = get_type_hints(function)
    parameters = inspect.signature(function).parameters
    full = {name: samples(hints[name])[0] for name in parameters}
    must = {name: full[name] for name, each in parameters.items() if each.default is each.empty}
    yield function(**must), True
    for name in parameters:
        for sample in samples(hints[name]):
            yield function(**(full | {name: sample})), False


@pytest.mark.parametrize("function", list(builders()), ids=named)
def test_a_request_is_one_that_asterisk_describes(function: Builder, docs: Docs) -> None:
    for request, bare in requests(function):
        parameters = {each["name"]: each for each in docs.operation(request).get("parameters", [])}
        sent = dict(request.query)
        for name, value in sent.items():
            assert parameters[name]["paramType"] == "query"
            check_value(parameters[name], value)
        if bare:
            needed = {name for name, each in parameters.items() if each["required"] and each["paramType"] == "query"}
            assert needed <= sent.keys()
        for name in request.body or ():
            body = next(each["name"] for each in parameters.values() if each["paramType"] == "body")
            assert body in ("filter", name)


def check_value(parameter: Mapping[str, Any], value: str) -> None:
    assert parameter["allowMultiple"] or "," not in value or parameter["name"] in ("appArgs", "formats")
    match parameter["dataType"]:
        case "int" | "long":
            assert value.isdigit()
        case "boolean":
            assert value in ("true", "false")
        case kind:
            assert kind == "string"
    allowed = parameter.get("allowableValues", {})
    if allowed.get("valueType") == "LIST":
        assert value in allowed["values"] or value == SOME


def classes() -> Iterator[type]:
    for thing in vars(models).values():
        if attrs.has(thing):
            yield thing


@pytest.mark.parametrize("kind", [*KNOWN.values(), *classes()], ids=lambda kind: kind.__name__)
def test_what_is_understood_is_what_asterisk_describes(kind: type[attrs.AttrsInstance], docs: Docs) -> None:
    described = docs.models[NAMES.get(kind.__name__, kind.__name__)]["properties"]
    if kind.__name__ in KNOWN:
        assert kind.__name__ in docs.models["Event"]["subTypes"]
        described = docs.models["Message"]["properties"] | docs.models["Event"]["properties"] | described
    hints = get_type_hints(kind)
    for each in attrs.fields(kind):
        assert each.name in described
        required = described[each.name].get("required", False)
        assert required or each.default is not attrs.NOTHING, f"{each.name} may be missing"
        assert spelt(hints[each.name]) == described[each.name]["type"].replace("long", "int").replace("Date", "string")


def spelt(hint: Any) -> str:
    """A type of ours in Asterisk's words."""
    if isinstance(hint, types.UnionType):
        hint = next(each for each in get_args(hint) if each is not types.NoneType)
    if get_origin(hint) is tuple:
        return f"List[{spelt(get_args(hint)[0])}]"
    if get_origin(hint) is Mapping:
        return "object"
    words = {str: "string", int: "int", bool: "boolean", float: "double"}
    return words.get(hint) or NAMES.get(hint.__name__, hint.__name__)


def test_nothing_is_missed(docs: Docs) -> None:
    """There is something to compare: this module cannot pass by having found nothing."""
    assert len(list(builders())) > 50
    assert len(KNOWN) > 35
    assert len(list(classes())) > 15
    assert {"StasisStart", "Channel"} <= docs.models.keys()
