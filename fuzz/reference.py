"""AudioSocket a second time, written from the protocol's description and for nothing but clarity.

The decoder is compared with this one, and so are the rules a service keeps; neither shares a line with the product but
the values that come out.
"""

from collections.abc import Iterable, Iterator
from typing import Final
from uuid import UUID

from voiceagent.wire.audiosocket import Audio, Dtmf, Hangup, Identity, Ignored, Message, PeerError

_RATES: Final = (8000, 12000, 16000, 24000, 32000, 44100, 48000, 96000, 192000)
#: A frame's kind (0-255) and its payload.
Frame = tuple[int, bytes]


def frames(stream: bytes) -> Iterator[Frame]:
    """The whole frames of `stream`."""
    at = 0
    while len(stream) >= at + 3:
        kind, length = stream[at], int.from_bytes(stream[at + 1 : at + 3], "big")
        payload = stream[at + 3 : at + 3 + length]
        if len(payload) < length:
            return
        yield kind, payload
        at += 3 + length


def message(kind: int, payload: bytes) -> Message | None:
    """What a frame means; None: the stream is broken here."""
    if kind == 0x00:
        return Hangup()
    if kind == 0x01:
        return Identity(UUID(bytes=payload)) if len(payload) == 16 else None
    if kind == 0x03:
        digit = payload.decode("latin-1")
        return Dtmf(digit) if digit in list("0123456789ABCD*#") else Ignored("bad digit")
    if kind == 0xFF:
        return PeerError(payload[0] if payload else -1)
    if 0x10 <= kind <= 0x18:
        if not payload:
            return Ignored("empty audio")
        return Ignored("odd audio") if len(payload) % 2 else Audio(_RATES[kind - 0x10], payload)
    return Ignored("unknown kind")


def messages(frames: Iterable[Frame]) -> list[Message | None]:
    """What `frames` mean; a None ends the list where the stream is broken."""
    found: list[Message | None] = []
    for kind, payload in frames:
        found.append(message(kind, payload))
        if found[-1] is None:
            break
    return found
