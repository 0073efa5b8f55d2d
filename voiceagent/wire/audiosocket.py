"""The AudioSocket protocol, bytes in and messages out.

Asterisk connects to us over TCP. Each frame is kind (1 byte), length (2 bytes, big endian), payload. Asterisk's first
frame is the call's UUID; then come audio frames (kind 0x10-0x18 tells the sample rate; any even size), DTMF digits, and
finally EOF: it never sends 0x00 itself. Towards Asterisk only 0x00 and audio are allowed, anything else kills the leg.

Source: res/res_audiosocket.c and channels/chan_audiosocket.c of Asterisk 22.10.
"""

from typing import Final, TypeAlias
from uuid import UUID

from attrs import frozen

KIND_HANGUP: Final = 0x00
KIND_UUID: Final = 0x01
KIND_DTMF: Final = 0x03
KIND_ERROR: Final = 0xFF

#: Audio kind to sample rate in hertz.
RATES: Final = {
    0x10: 8000,
    0x11: 12000,
    0x12: 16000,
    0x13: 24000,
    0x14: 32000,
    0x15: 44100,
    0x16: 48000,
    0x17: 96000,
    0x18: 192000,
}
#: Sample rate in hertz to audio kind.
KINDS: Final = {rate: kind for kind, rate in RATES.items()}

FRAME_SECONDS: Final = 0.02
HEADER_BYTES: Final = 3
MAX_PAYLOAD: Final = 0xFFFF
DTMF_DIGITS: Final = "0123456789ABCD*#"


class ProtocolError(Exception):
    """The peer broke AudioSocket in a way that ends the call."""


@frozen
class Identity:
    """The first frame: which call this connection carries."""

    uuid: UUID


@frozen
class Audio:
    """Samples from the peer, s16le mono at `rate` hertz. Any even, non-zero size."""

    rate: int
    data: bytes


@frozen
class Dtmf:
    """A key the caller pressed, one of 0-9 A-D * #. Asterisk sends it when the key is released."""

    digit: str


@frozen
class Hangup:
    """0x00: the leg ends cleanly."""


@frozen
class PeerError:
    """0xff with the peer's error code (empty payload: -1)."""

    code: int


@frozen
class Ignored:
    """A frame that carries nothing usable; `reason` is a short constant to count by."""

    reason: str


Message: TypeAlias = Identity | Audio | Dtmf | Hangup | PeerError | Ignored


def encode_frame(kind: int, payload: bytes) -> bytes:
    """One frame. Raises ValueError when `payload` does not fit the length field."""
    if len(payload) > MAX_PAYLOAD:
        raise ValueError(f"an AudioSocket payload is at most {MAX_PAYLOAD} bytes, not {len(payload)}")
    return bytes((kind, len(payload) >> 8, len(payload) & 0xFF)) + payload


def encode_audio(rate: int, data: bytes) -> bytes:
    """One audio frame. Raises KeyError for a rate AudioSocket has no kind for."""
    return encode_frame(KINDS[rate], data)


def encode_message(message: Identity | Audio | Dtmf | Hangup | PeerError) -> bytes:
    """The frame `message` is read from."""
    match message:
        case Identity(uuid):
            return encode_frame(KIND_UUID, uuid.bytes)
        case Audio(rate, data):
            return encode_audio(rate, data)
        case Dtmf(digit):
            return encode_frame(KIND_DTMF, digit.encode("ascii"))
        case Hangup():
            return encode_frame(KIND_HANGUP, b"")
        case PeerError(code):
            return encode_frame(KIND_ERROR, b"" if code < 0 else bytes((code,)))


def frame_bytes(rate: int) -> int:
    """Payload bytes of one 20 ms frame at `rate` hertz."""
    return rate // 50 * 2


def silence_frame(rate: int) -> bytes:
    """A whole 20 ms frame of silence, header included."""
    return encode_audio(rate, bytes(frame_bytes(rate)))


class Decoder:
    """Turns a byte stream, cut anywhere, into messages.

    Feed with `receive_data`, then call `next_message` until it returns None. Holds at most one unfinished frame
    (65,538 bytes) beyond what was fed last.
    """

    __slots__ = ("_buffer", "_start")

    def __init__(self) -> None:
        self._buffer = b""
        self._start = 0

    def receive_data(self, data: bytes) -> None:
        """Take bytes from the peer, as they came."""
        start = self._start
        self._buffer = data if start == len(self._buffer) else self._buffer[start:] + data
        self._start = 0

    def sole_audio(self, data: bytes) -> int:
        """The sample rate if `data` is exactly one sound audio frame and nothing else is pending, or 0.

        A short cut for what a telephone sends most: the samples are `data` from HEADER_BYTES on, and `receive_data` is
        not to be called with them. With 0 nothing has happened.
        """
        size = len(data) - HEADER_BYTES
        if size > 0 and not size & 1 and (data[1] << 8 | data[2]) == size and self._start == len(self._buffer):
            return RATES.get(data[0], 0)
        return 0

    def next_message(self) -> Message | None:
        """The next whole message, or None when more bytes are needed.

        Raises ProtocolError for a frame no call can go on after; the decoder is then of no further use.
        """
        buffer, start = self._buffer, self._start
        size = len(buffer)
        body = start + HEADER_BYTES
        if size < body:
            return None
        end = body + (buffer[start + 1] << 8 | buffer[start + 2])
        if size < end:
            return None
        self._start = end
        kind, payload = buffer[start], buffer[body:end]
        rate = RATES.get(kind)
        return _parse(kind, payload) if rate is None else _parse_audio(rate, payload)

    @property
    def is_mid_frame(self) -> bool:
        """Whether the stream, if it ended now, would cut a frame in two."""
        return len(self._buffer) > self._start


def _parse_audio(rate: int, payload: bytes) -> Message:
    if payload and not len(payload) & 1:
        return Audio(rate, payload)
    return Ignored("odd audio" if payload else "empty audio")


def _parse(kind: int, payload: bytes) -> Message:
    match kind:
        case 0x00:
            return Hangup()
        case 0x01:
            if len(payload) != 16:
                raise ProtocolError(f"a UUID frame carries 16 bytes, not {len(payload)}")
            return Identity(UUID(bytes=payload))
        case 0x03:
            digit = payload.decode("latin-1")
            return Dtmf(digit) if len(digit) == 1 and digit in DTMF_DIGITS else Ignored("bad digit")
        case 0xFF:
            return PeerError(payload[0] if payload else -1)
        case _:
            return Ignored("unknown kind")
