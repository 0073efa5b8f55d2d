"""SIP messages, bytes in and values out: as much of RFC 3261 as a test phone on UDP needs.

One datagram is one message (section 18.3). Headers keep their order and their names as they came; they are looked up
without regard to case, compact forms included (section 7.3.3).
"""

import re
from typing import Final, TypeAlias

from attrs import frozen

Headers: TypeAlias = tuple[tuple[str, str], ...]

_COMPACT: Final = {"v": "via", "f": "from", "t": "to", "i": "call-id", "m": "contact", "l": "content-length"}
_REQUEST_LINE: Final = re.compile(r"([A-Z][A-Z0-9_-]*) (\S+) SIP/2\.0")
_STATUS_LINE: Final = re.compile(r"SIP/2\.0 ([1-6]\d\d) ?(.*)")


class SipError(ValueError):
    """The datagram is no SIP message."""


@frozen
class Request:
    method: str
    uri: str
    headers: Headers
    body: bytes = b""


@frozen
class Response:
    status: int
    reason: str
    headers: Headers
    body: bytes = b""


SipMessage: TypeAlias = Request | Response


def decode_sip(data: bytes) -> SipMessage:
    """The message in a datagram. Raises SipError."""
    head, _, body = data.partition(b"\r\n\r\n")
    try:
        text = head.decode()
    except UnicodeDecodeError:
        raise SipError("the head is not UTF-8") from None
    first, *lines = re.sub(r"\r\n[ \t]+", " ", text).split("\r\n")  # folded lines are one
    headers = tuple(map(_header, lines))
    length = header_of(headers, "content-length")
    if length:
        if not (length.isascii() and length.isdecimal()) or int(length[:6]) > len(body):
            raise SipError(f"Content-Length {length!r}, but there are {len(body)} bytes")
        body = body[: int(length)]
    if found := _REQUEST_LINE.fullmatch(first):
        return Request(found[1], found[2], headers, body)
    if found := _STATUS_LINE.fullmatch(first):
        return Response(int(found[1]), found[2], headers, body)
    raise SipError(f"neither request nor response: {first[:80]!r}")


def encode_sip(message: SipMessage) -> bytes:
    """A datagram; Content-Length is added. Raises ValueError for line breaks within lines."""
    if isinstance(message, Request):
        first = f"{message.method} {message.uri} SIP/2.0"
    else:
        first = f"SIP/2.0 {message.status} {message.reason}"
    lines = [first, *(f"{name}: {value}" for name, value in message.headers), f"Content-Length: {len(message.body)}"]
    if any("\r" in line or "\n" in line for line in lines):
        raise ValueError("a header with a line break in it")
    return "\r\n".join([*lines, "", ""]).encode() + message.body


def header_of(headers: Headers, name: str) -> str:
    """The first value of a header, by its name in lower case; "" if there is none."""
    return next(iter(headers_of(headers, name)), "")


def headers_of(headers: Headers, name: str) -> tuple[str, ...]:
    """All values of a header, by its name in lower case."""
    return tuple(value for key, value in headers if _COMPACT.get(key.lower(), key.lower()) == name)


def sequence_of(message: SipMessage) -> tuple[int, str]:
    """Number and method of CSeq. Raises SipError."""
    number, _, method = header_of(message.headers, "cseq").partition(" ")
    if not (number.isascii() and number.isdecimal() and len(number) <= 10 and method.strip()):
        raise SipError(f"CSeq {number!r} {method!r}")
    return int(number), method.strip()


def tag_of(value: str) -> str:
    """The tag of a From or To; "" if there is none."""
    found = re.search(r";\s*tag=([^;\s]+)", value.rpartition(">")[2])
    return found[1] if found else ""


def uri_of(value: str) -> str:
    """The address in a From, To or Contact."""
    found = re.search(r"<([^>]*)>", value)
    return found[1] if found else value.partition(";")[0].strip()


def _header(line: str) -> tuple[str, str]:
    name, colon, value = line.partition(":")
    if not colon or not name.strip() or " " in name.strip():
        raise SipError(f"no header: {line[:80]!r}")
    return name.strip(), value.strip()
