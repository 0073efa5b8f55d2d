"""RTP packets and telephone events, bytes in and values out: RFC 3550 section 5.1, RFC 4733 section 2.3."""

import struct
from typing import Final

from attrs import frozen

#: RTP clock of all audio here; that of G.722, sampled at 16 kHz, too, by a historic error (RFC 3551, 4.5.2).
CLOCK_HZ: Final = 8000
PCMU: Final = 0
G722: Final = 9

#: Keys by event code, RFC 4733 section 3.2.
KEYS: Final = "0123456789*#ABCD"
#: Longest duration in one event, in clock units; nobody here holds a key for 8 s.
_LONGEST: Final = 0xFFFF

_HEADER: Final = struct.Struct("!BBHII")
_EVENT: Final = struct.Struct("!BBH")


class RtpError(ValueError):
    """The datagram is no RTP packet, or the payload no event."""


@frozen
class RtpPacket:
    """`timestamp` counts CLOCK_HZ; it and `sequence` wrap around, and are reduced when encoded."""

    payload_type: int
    sequence: int
    timestamp: int
    ssrc: int
    payload: bytes
    marker: bool = False


@frozen
class TelephoneEvent:
    """A key that has been held for `duration` (CLOCK_HZ) so far; `ended` with the last packets of it."""

    key: str
    duration: int
    ended: bool = False


def decode_rtp(data: bytes) -> RtpPacket:
    """The packet in a datagram, without extension, contributing sources and padding. Raises RtpError."""
    if len(data) < _HEADER.size:
        raise RtpError(f"{len(data)} bytes are too few for RTP")
    first, second, sequence, timestamp, ssrc = _HEADER.unpack_from(data)
    if first >> 6 != 2:
        raise RtpError(f"version {first >> 6}, not 2")
    begin = _HEADER.size + 4 * (first & 0x0F)
    if first & 0x10:  # an extension: 2 bytes of the profile's, then its length in words
        if len(data) < begin + 4:
            raise RtpError("the header extension is cut off")
        begin += 4 + 4 * int.from_bytes(data[begin + 2 : begin + 4], "big")
    end = len(data)
    if first & 0x20:
        if not data[-1]:
            raise RtpError("padding of no bytes")
        end -= data[-1]
    if begin > end:
        raise RtpError("header and padding are longer than the datagram")
    return RtpPacket(second & 0x7F, sequence, timestamp, ssrc, data[begin:end], marker=bool(second & 0x80))


def encode_rtp(packet: RtpPacket) -> bytes:
    second = packet.payload_type | (0x80 if packet.marker else 0)
    sequence, timestamp = packet.sequence & 0xFFFF, packet.timestamp & 0xFFFFFFFF
    return _HEADER.pack(0x80, second, sequence, timestamp, packet.ssrc) + packet.payload


def decode_event(payload: bytes) -> TelephoneEvent:
    """The key in the payload of a telephone-event packet. Raises RtpError, for events that are no keys, too."""
    if len(payload) < _EVENT.size:
        raise RtpError(f"{len(payload)} bytes are too few for a telephone event")
    code, flags, duration = _EVENT.unpack_from(payload)
    if code >= len(KEYS):
        raise RtpError(f"event {code} is no key")
    return TelephoneEvent(KEYS[code], duration, ended=bool(flags & 0x80))


def encode_event(event: TelephoneEvent, *, volume: int = 10) -> bytes:
    """`volume` is -dBm0, 0 to 63. Raises ValueError for what is no key."""
    flags = (0x80 if event.ended else 0) | volume
    return _EVENT.pack(KEYS.index(event.key), flags, min(event.duration, _LONGEST))
