"""The decoder under fire: the properties, and a fast maker of streams to check them on.

One input is one stream of bytes with the places where it is cut. It is decoded whole, in those pieces, byte by byte if
it is short, and by the reference; all must agree, raise nothing but ProtocolError, and hold no more than they may.
"""

from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from random import Random
from typing import Final

from attrs import frozen

from fuzz import reference
from voiceagent.wire.audiosocket import MAX_PAYLOAD, Decoder, Ignored, Message, ProtocolError, encode_message

#: The largest frame that may be waiting for its last byte.
_UNFINISHED_BYTES: Final = 3 + MAX_PAYLOAD - 1
#: Streams up to this long are also fed byte by byte.
_BYTE_BY_BYTE: Final = 64
#: Where frames begin and end well, and where they do not.
_LENGTHS: Final = (0, 1, 2, 3, 4, 5, 8, 15, 16, 17, 160, 320)
_LARGE: Final = (640, 1920, 7680, 65533, 65534, 65535)
_KINDS: Final = (*range(0x06), 0x0F, *range(0x10, 0x1A), 0x7F, 0x80, 0xFE, 0xFF)


@frozen
class DecoderInput:
    """A stream and where it is cut, ascending, within it."""

    stream: bytes
    cuts: tuple[int, ...] = ()

    def pieces(self) -> list[bytes]:
        edges = (0, *self.cuts, len(self.stream))
        return [self.stream[a:b] for a, b in pairwise(edges)]


def check(given: DecoderInput, make: Callable[[], Decoder] = Decoder) -> None:
    """Every property of the decoder. Raises AssertionError, or what the decoder raised."""
    frames = list(reference.frames(given.stream))
    expected = reference.messages(frames)
    whole = decode((given.stream,), make())
    assert whole == expected, f"decoded {whole}, the reference {expected}"
    pieces = decode(given.pieces(), make())
    assert pieces == expected, f"in pieces {pieces}, the reference {expected}"
    if len(given.stream) <= _BYTE_BY_BYTE:
        single = decode([given.stream[at : at + 1] for at in range(len(given.stream))], make(), look_every=16)
        assert single == expected, f"byte by byte {single}, the reference {expected}"
    _check_encoding(frames, whole)


def decode(chunks: Sequence[bytes], decoder: Decoder, look_every: int = 1) -> list[Message | None]:
    """All messages; a ProtocolError is a None at the end. Looks at what the decoder holds every so many chunks."""
    found: list[Message | None] = []
    receive_data, next_message = decoder.receive_data, decoder.next_message
    for number, chunk in enumerate(chunks):
        receive_data(chunk)
        if number % look_every == 0:
            held = held_bytes(decoder)
            assert held <= _UNFINISHED_BYTES + len(chunk), f"it holds {held} bytes"
        try:
            while (message := next_message()) is not None:
                found.append(message)
        except ProtocolError:
            found.append(None)
            return found
    return found


def held_bytes(decoder: Decoder) -> int:
    """All bytes that a decoder keeps, wherever it keeps them."""
    held = 0
    for name in getattr(decoder, "__slots__", None) or vars(decoder):
        kept = getattr(decoder, name)
        if type(kept) in (bytes, bytearray):
            held += len(kept)
    return held


def _check_encoding(frames: Sequence[reference.Frame], decoded: list[Message | None]) -> None:
    """Encoding what was decoded gives the bytes it came from, frame by frame; but for those that mean nothing."""
    for (kind, payload), message in zip(frames, decoded, strict=False):
        if message is None or isinstance(message, Ignored):
            continue
        # What an end (0x00) carries, or an error (0xff) beyond its first byte, means nothing and is not kept.
        kept = payload[: {0x00: 0, 0xFF: 1}.get(kind)]
        frame = bytes((kind, len(kept) >> 8, len(kept) & 255)) + kept
        assert encode_message(message) == frame, f"{message} is encoded as {encode_message(message).hex()}"


class Maker:
    """Makes inputs from a seed: valid frames, broken ones and noise, then cut, bent and glued. The same seed, the same
    inputs."""

    def __init__(self, seed: int) -> None:
        self._random = Random(seed)
        self._pool = [self._frame() for _ in range(2000)]
        self._uses = 0

    def next(self) -> DecoderInput:
        random = self._random
        self._uses += 1
        if self._uses % 500 == 0:
            self._pool[random.randrange(len(self._pool))] = self._frame()
        stream = b"".join(random.choices(self._pool, k=1 + int(random.random() * 4)))
        way = random.random()
        if way < 0.45:
            stream = self._bend(stream)
        elif way < 0.55:
            stream = random.randbytes(int(random.random() * 40))
        elif way < 0.553:
            stream += self._large_frame()
        size = len(stream) + 1
        return DecoderInput(stream, tuple(sorted(int(random.random() * size) for _ in range(int(random.random() * 4)))))

    def _bend(self, stream: bytes) -> bytes:
        random = self._random
        at, way = int(random.random() * len(stream)), int(random.random() * 5)
        if way == 0:
            return stream[:at]
        if way == 1:
            return stream[at:]
        if way == 2:
            return stream[:at] + random.randbytes(1) + stream[at + 1 :]
        if way == 3:
            return stream[:at] + random.randbytes(1) + stream[at:]
        return stream[: at + 1] + stream[at // 2 :]

    def _frame(self) -> bytes:
        random = self._random
        kind = random.choice(_KINDS) if random.random() < 0.9 else random.randrange(256)
        if kind == 0x01 and random.random() < 0.8:
            size = 16
        elif kind == 0x03 and random.random() < 0.8:
            return b"\x03\x00\x01" + bytes((random.choice(b"0123456789ABCD*#x\xb2"),))
        else:
            size = random.choice(_LENGTHS[:7]) if random.random() < 0.95 else random.choice(_LENGTHS)
        claimed = size if random.random() < 0.93 else random.choice((*_LENGTHS, *_LARGE))
        return bytes((kind, claimed >> 8, claimed & 255)) + random.randbytes(size)

    def _large_frame(self) -> bytes:
        size = self._random.choice(_LARGE)
        return bytes((self._random.choice(_KINDS), size >> 8, size & 255)) + bytes(size - self._random.randrange(2))


def shrink(given: DecoderInput, fails: Callable[[DecoderInput], bool]) -> DecoderInput:
    """A smaller input that still fails: fewer bytes, fewer cuts, plainer bytes, as far as single steps lead."""
    while (smaller := next((other for other in _smaller(given) if fails(other)), None)) is not None:
        given = smaller
    return given


def _smaller(given: DecoderInput) -> Iterable[DecoderInput]:
    stream, cuts = given.stream, given.cuts
    size = len(stream)
    while size:
        for at in range(0, len(stream), size):
            shorter = stream[:at] + stream[at + size :]
            yield DecoderInput(shorter, tuple(sorted(min(cut, len(shorter)) for cut in cuts)))
        size //= 2
    for at in range(len(cuts)):
        yield DecoderInput(stream, cuts[:at] + cuts[at + 1 :])
    if len(stream) <= _BYTE_BY_BYTE:
        for at, byte in enumerate(stream):
            if byte:
                yield DecoderInput(stream[:at] + bytes((byte // 2,)) + stream[at + 1 :], cuts)
