"""A request as a value, within the limits of Asterisk's HTTP server."""

import json
from collections.abc import Mapping, Sequence
from typing import Final, TypeAlias
from urllib.parse import quote, urlencode

from attrs import frozen

#: Of main/http.c: the longest request line and the largest body, in bytes.
MAX_LINE: Final = 4096
MAX_BODY: Final = 40960
#: The part of the line that is not ours: prefix of the server (http.conf), "/ari", version, line end.
_AROUND: Final = 96

#: Booleans are integers here, too.
Value: TypeAlias = str | int | Sequence[str] | None


class RequestTooLongError(ValueError):
    """Asterisk would refuse to read this: a request line of 4096 bytes, a body of 40960 bytes at most."""


@frozen
class Request:
    """`path` is below the root of ARI, ids in it percent-encoded; `body` is sent as JSON."""

    method: str
    path: str
    query: tuple[tuple[str, str], ...] = ()
    body: Mapping[str, object] | None = None

    def __str__(self) -> str:
        """Method and path: the query may hold what is nobody's business."""
        return f"{self.method} {self.path}"

    @property
    def target(self) -> str:
        """Path and query as they stand in the request line."""
        return f"{self.path}?{urlencode(self.query, quote_via=quote)}" if self.query else self.path

    @property
    def content(self) -> bytes | None:
        return None if self.body is None else json.dumps(self.body).encode()

    @property
    def repeatable(self) -> bool:
        """Whether doing it twice is doing it once."""
        return self.method in ("GET", "PUT", "DELETE")


def make(method: str, *path: str, body: Mapping[str, object] | None = None, **query: Value) -> Request:
    """The request for the segments of `path`; what is None is left out, booleans and lists are spelt as ARI does."""
    if not all(path):
        raise ValueError(f"{method} /{'/'.join(path)}: an id is empty")
    spelt = tuple((name, _spelt(name, value)) for name, value in query.items() if value is not None)
    request = Request(method, "/" + "/".join(quote(segment, safe="") for segment in path), spelt, body)
    if len(method) + len(request.target) + _AROUND > MAX_LINE:
        raise RequestTooLongError(f"{method} /{path[0]}: the request line is longer than {MAX_LINE} bytes")
    if len(request.content or b"") > MAX_BODY:
        raise RequestTooLongError(f"{method} /{path[0]}: the body is longer than {MAX_BODY} bytes")
    return request


def variables(values: Mapping[str, str] | None) -> Mapping[str, object] | None:
    """The body that sets channel variables on something new."""
    return {"variables": dict(values)} if values else None


def _spelt(name: str, value: str | int | Sequence[str]) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str | int):
        return str(value)
    if any("," in item for item in value):
        raise ValueError(f"{name}: an item of a list cannot hold a comma")
    return ",".join(value)
