"""One call of the test phone: what a test can do and wait for. `caller` owns it, its sockets and its clock.

Requests are sent again until they are answered (RFC 3261, 17.1), as datagrams are lost when the machine stands still.
"""

import random
from collections.abc import Callable
from math import ceil, inf
from typing import Final, cast

import trio
from attrs import evolve

from voiceagent.audio.pcm import Pcm
from voiceagent.lab.connect import LineError
from voiceagent.lab.sip.codecs import PAYLOAD_TYPES, open_codec
from voiceagent.lab.sip.datagrams import Datagrams
from voiceagent.lab.sip.dialog import Dialog, Ended
from voiceagent.lab.sip.media import PACKET_S, Heard, Outgoing
from voiceagent.wire.rtp import RtpError, decode_rtp
from voiceagent.wire.sdp import Direction
from voiceagent.wire.sip import Headers, Request, decode_sip, encode_sip, sequence_of

#: Until a request is sent again, doubled each time up to the second (T1 and T2), until there is no more hope (64 T1).
_RESEND_S: Final = 0.5
_RESEND_MOST_S: Final = 4.0
_GIVE_UP_S: Final = 32.0
#: Packets of all calls are due on a grid, so that the clock wakes at most that often.
_GRID_S: Final = 0.005
#: After a stall that much is caught up in a burst; what was to be said is said later, never left out.
_CATCH_UP_S: Final = 0.2
EVENT_TYPE: Final = 101
_CALL_MAX_S: Final = 600.0


class SipCall:
    """One call. Times are those of `trio.current_time()`; every wait ends after `patience` with LineError."""

    def __init__(self, dialog: Dialog, sip: Datagrams, rtp: Datagrams, codec: str, patience: float) -> None:
        coder = open_codec(codec)
        self.dialog = dialog
        self.heard = Heard(coder, EVENT_TYPE, _CALL_MAX_S)
        #: How late the phone itself was at worst, seconds: the machine's doing.
        self.worst_lateness = 0.0
        #: Whether anybody reads what comes: not when the phone is being closed.
        self.is_heard = True
        #: When its audio is due next.
        self.due = inf
        self._sip, self._rtp = sip, rtp
        self._outgoing = Outgoing(coder, PAYLOAD_TYPES[codec], EVENT_TYPE, random.getrandbits(32))
        self._patience = patience
        self._changed = trio.lowlevel.ParkingLot()

    @property
    def ended(self) -> Ended | None:
        return self.dialog.ended

    @property
    def has_audio(self) -> bool:
        """Whether the other side said where audio goes: with its answer, or before."""
        return self.dialog.remote is not None

    async def until(self, condition: Callable[[], bool], what: str) -> None:
        """Wait; the condition is asked with each packet and message. Raises LineError: `what` did not happen."""
        with trio.move_on_after(self._patience):
            while not condition():
                await self._changed.park()
            return
        raise LineError(f"{self.dialog.extension}: {what} not within {self._patience:g} s; {self._told()}")

    async def ringing(self) -> float:
        """When the other side said that it rings. Raises LineError."""
        await self.until(lambda: self.dialog.ringing_at is not None or self._is_settled, "ringing")
        if self.dialog.ringing_at is None:
            raise LineError(f"{self.dialog.extension}: did not ring; {self._told()}")
        return self.dialog.ringing_at

    async def answered(self) -> float:
        """When the call was answered. Raises LineError when it is refused."""
        await self.until(lambda: self._is_settled, "an answer")
        if self.dialog.answered_at is None:
            raise LineError(f"{self.dialog.extension}: {self._told()}")
        return self.dialog.answered_at

    async def over(self) -> Ended:
        """How it ended: when its BYE came, if the other side hung up."""
        await self.until(lambda: self.ended is not None, "the end of the call")
        return cast("Ended", self.ended)

    def say(self, pcm: Pcm) -> None:
        """After what is being said already."""
        self._outgoing.say(pcm)

    def be_quiet(self) -> None:
        self._outgoing.be_quiet()

    async def said(self) -> None:
        """Until everything is said and all keys are pressed."""
        await self.until(lambda: self._outgoing.is_idle or self.ended is not None, "the end of what is said")

    def mute(self, *, on: bool = True) -> None:
        """Send no packets at all."""
        self._outgoing.muted = on

    def send_dtmf(self, keys: str) -> None:
        """Press keys by RFC 4733, 160 ms each with the pause after it; the other side must take telephone events."""
        self._outgoing.press(keys)

    async def send_info_dtmf(self, keys: str, *, seconds: float = 0.1) -> None:
        """Press keys by SIP INFO, one after the other. Raises LineError."""
        for key in keys:
            body = f"Signal={key}\r\nDuration={round(seconds * 1000)}\r\n"
            await self._accepted(self.dialog.info("application/dtmf-relay", body))

    async def hold(self) -> None:
        """Tell the other side, and send nothing. Raises LineError."""
        await self._describe("sendonly")
        self.mute()

    async def unhold(self) -> None:
        await self._describe("sendrecv")
        self.mute(on=False)

    async def hang_up(self) -> None:
        """End it, whatever state it is in: CANCEL before it is answered, BYE after. Raises LineError."""
        if self.ended is not None:
            return
        if self.dialog.answered_at is None:
            await self.until(lambda: self.dialog.progressing_at is not None or self._is_final, "a response")
        if self.dialog.answered_at is None and self.ended is None:
            await self._end_by(self.dialog.cancel())
            await self.until(lambda: self._is_final, "the end after CANCEL")
        if self.dialog.answered_at is not None and self.ended is None:  # perhaps just before the CANCEL came
            await self._end_by(self.dialog.bye(trio.current_time()))

    @property
    def _is_final(self) -> bool:
        return self._is_settled or not self.is_heard

    @property
    def _is_settled(self) -> bool:
        return self.dialog.answered_at is not None or self.ended is not None

    def _told(self) -> str:
        if self.ended is not None:
            return f"ended by the {self.ended.by}: {self.ended.status} {self.ended.reason}".strip()
        return "answered" if self.dialog.answered_at is not None else "not answered"

    async def _describe(self, direction: Direction) -> None:
        self.dialog.local = evolve(self.dialog.local, direction=direction)
        await self._accepted(self.dialog.invite())

    async def _accepted(self, request: Request) -> None:
        """A request within the call. Raises LineError when it is refused, or the call ends before."""
        key = sequence_of(request)
        await self._deliver(request, lambda: key in self.dialog.responses or self.ended is not None)
        response = self.dialog.responses.get(key)
        if response is None:
            raise LineError(f"{self.dialog.extension}: {request.method}: {self._told()}")
        if response.status >= 300:
            raise LineError(f"{self.dialog.extension}: {request.method}: {response.status} {response.reason}")

    async def _end_by(self, request: Request) -> None:
        """Whatever is responded. Raises LineError."""
        key = sequence_of(request)
        await self._deliver(request, lambda: key in self.dialog.responses)

    async def _deliver(self, request: Request, delivered: Callable[[], bool]) -> None:
        """Send it until it was `delivered`, once if nobody is there to read it. Raises LineError."""
        interval = _RESEND_S
        with trio.move_on_after(_GIVE_UP_S):
            while True:
                self._sip.send(encode_sip(request), self.dialog.server)
                with trio.move_on_after(interval):
                    while self.is_heard and not delivered():
                        await self._changed.park()
                    return
                interval = min(2 * interval, _RESEND_MOST_S)
        host, port = self.dialog.server
        raise LineError(f"{host}:{port}: no response to {request.method} within {_GIVE_UP_S:g} s")

    async def invite(self, headers: Headers) -> None:
        """Until the other side is at work on it: how long it may ring is for the test to say. Raises LineError."""
        await self._deliver(
            self.dialog.invite(headers), lambda: self.dialog.progressing_at is not None or self._is_settled
        )

    def stop_hearing(self) -> None:
        """Nobody reads any more: hanging up waits for no response."""
        self.is_heard = False
        self._changed.unpark_all()

    def receive(self, data: bytes, at: float) -> None:
        """A SIP message of this call."""
        for reply in self.dialog.receive(decode_sip(data), at):
            self._sip.send(encode_sip(reply), self.dialog.server)
        self._changed.unpark_all()

    def join(self, now: float) -> None:
        """The other side's address is known: audio is due from now on."""
        self.due = ceil(now / _GRID_S) * _GRID_S

    def tick(self, now: float) -> None:
        """Send what is due, and hear what has come."""
        late = now - self.due
        self.worst_lateness = max(self.worst_lateness, late)
        if late > _CATCH_UP_S:
            self.due = now - _CATCH_UP_S
        while self.due <= now:
            self.due += PACKET_S
            self._send_audio()
        for data, at in self._rtp.receive_nowait():
            self._hear(data, at)
        self._changed.unpark_all()

    def _send_audio(self) -> None:
        remote = self.dialog.remote
        packet = self._outgoing.next_packet() if self.dialog.answered_at is not None else None
        if packet is not None and remote is not None and self.ended is None:
            self._rtp.send(packet, (remote.host, remote.port))

    def _hear(self, data: bytes, at: float) -> None:
        try:
            self.heard.add(decode_rtp(data), at)
        except RtpError as error:
            raise LineError(f"{self.dialog.extension}: RTP: {error}") from None
