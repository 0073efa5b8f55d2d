"""Both directions of a call's audio as RTP: what the phone sends next, what it has heard. Pure: times are arguments."""

from collections import deque
from collections.abc import Iterator
from itertools import pairwise
from typing import Final

from attrs import define, field, frozen

from voiceagent.audio.pcm import Pcm
from voiceagent.audio.resample import resample
from voiceagent.lab.hearing import is_audible
from voiceagent.lab.sip.codecs import Codec
from voiceagent.lab.tape import Tape
from voiceagent.wire.rtp import CLOCK_HZ, RtpError, RtpPacket, TelephoneEvent, decode_event, encode_event, encode_rtp

PACKET_S: Final = 0.02
_CLOCK: Final = round(CLOCK_HZ * PACKET_S)
#: A key is held for 5 packets, its end is told 3 times (RFC 4733, 2.5.1.4), then 3 of audio follow.
_HELD: Final = 5
_END: Final = 3
_PAUSE: Final = 3


class Outgoing:
    """A packet each 20 ms: keys first, then what was said, then silence. Nothing at all while `muted`.

    What waits to be said is as much as the test has handed over.
    """

    def __init__(self, codec: Codec, payload_type: int, event_type: int | None, ssrc: int) -> None:
        self.muted = False
        self._codec = codec
        self._payload_type, self._event_type, self._ssrc = payload_type, event_type, ssrc
        self._bytes = 2 * round(codec.rate * PACKET_S)
        self._waiting = bytearray()
        self._keys: deque[TelephoneEvent | None] = deque()
        self._tick = 0
        self._sequence = 0
        self._pressed_at = 0
        self._resuming = True

    @property
    def is_idle(self) -> bool:
        """Whether everything was said and all keys were pressed."""
        return not self._waiting and not self._keys

    def say(self, pcm: Pcm) -> None:
        """After what is waiting already."""
        self._waiting += resample(pcm, self._codec.rate).data

    def be_quiet(self) -> None:
        """Drop what is still to be said."""
        self._waiting.clear()

    def press(self, keys: str) -> None:
        """Raises ValueError where the other side takes no telephone events."""
        if self._event_type is None:
            raise ValueError("the other side takes no telephone events")
        for key in keys:
            self._keys += [TelephoneEvent(key, _CLOCK * count) for count in range(1, _HELD + 1)]
            self._keys += [TelephoneEvent(key, _CLOCK * _HELD, ended=True)] * _END
            self._keys += [None] * _PAUSE

    def next_packet(self) -> bytes | None:
        """The packet of the next 20 ms."""
        now, self._tick = self._tick * _CLOCK, self._tick + 1
        if self.muted:
            self._resuming = True
            return None
        event = self._keys.popleft() if self._keys else None
        if event is not None and self._event_type is not None:
            first = event.duration == _CLOCK and not event.ended
            if first:
                self._pressed_at = now
            self._resuming = True
            return self._encode(self._event_type, self._pressed_at, encode_event(event), marker=first)
        marker, self._resuming = self._resuming, False
        data = bytes(self._waiting[: self._bytes]).ljust(self._bytes, b"\0")
        del self._waiting[: self._bytes]
        return self._encode(self._payload_type, now, self._codec.encode(data), marker=marker)

    def _encode(self, payload_type: int, timestamp: int, payload: bytes, *, marker: bool) -> bytes:
        self._sequence += 1
        return encode_rtp(RtpPacket(payload_type, self._sequence, timestamp, self._ssrc, payload, marker=marker))


@frozen
class Arrival:
    """A packet of audio: when it came (seconds), and its samples, s16le at the rate of the codec."""

    at: float
    data: bytes


@define
class Heard:
    """What came, at most `max_s` seconds of it (32 kB/s at 16 kHz); later packets are counted in `dropped` only.

    `keys`: those that came as telephone events, with the time of their first packet. `lost`: packets missing by their
    numbers, between the first and the latest; those that come too late count as lost.
    """

    codec: Codec
    event_type: int | None
    max_s: float
    arrivals: list[Arrival] = field(factory=list)
    keys: list[tuple[float, str]] = field(factory=list)
    dropped: int = 0
    lost: int = 0
    _last_event: tuple[int, int] | None = None
    _last_number: tuple[int, int] | None = None

    def add(self, packet: RtpPacket, at: float) -> None:
        """Raises RtpError for an event that is none."""
        self._count(packet)
        if len(self.arrivals) + len(self.keys) >= self.max_s / PACKET_S:
            self.dropped += 1
        elif packet.payload_type == self.event_type:
            pressed = (packet.ssrc, packet.timestamp)
            if pressed != self._last_event:
                self.keys.append((at, decode_event(packet.payload).key))
                self._last_event = pressed
        elif packet.payload_type in (0, 9):
            self.arrivals.append(Arrival(at, self.codec.decode(packet.payload)))
        else:
            raise RtpError(f"payload type {packet.payload_type} was not agreed on")

    def _count(self, packet: RtpPacket) -> None:
        """A new source numbers anew."""
        if self._last_number is not None and self._last_number[0] == packet.ssrc:
            ahead = (packet.sequence - self._last_number[1]) % 0x10000
            if not 0 < ahead < 0x8000:
                return  # an old one
            self.lost += ahead - 1
        self._last_number = (packet.ssrc, packet.sequence)

    def pcm(self, *, since: float = 0.0, until: float = float("inf")) -> Pcm:
        """What came in that time, joined; where nothing came for more than 0.1 s, there is silence."""
        chosen = [arrival for arrival in self.arrivals if since <= arrival.at <= until]
        tape = Tape(self.codec.rate, self.max_s)
        for arrival in chosen:
            tape.add(Pcm(self.codec.rate, arrival.data), arrival.at - chosen[0].at)
        return tape.pcm

    def sounds(self, *, since: float = 0.0) -> Iterator[Arrival]:
        """The packets that are not silence."""
        return (arrival for arrival in self.arrivals if arrival.at >= since and is_audible(arrival.data))

    def gaps(self, *, since: float = 0.0, until: float = float("inf")) -> list[tuple[float, float]]:
        """When a pause between packets began, and its seconds; 0.02 are none at all. In order."""
        times = [arrival.at for arrival in self.arrivals if since <= arrival.at <= until]
        return [(first, second - first) for first, second in pairwise(times)]

    def widest_gap(self, *, since: float = 0.0, until: float = float("inf")) -> float:
        """The longest pause between two packets, seconds; 0.0 for fewer than two."""
        return max((seconds for _, seconds in self.gaps(since=since, until=until)), default=0.0)
