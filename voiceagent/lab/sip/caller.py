"""A SIP phone with RTP for tests: exact times, no authentication, UDP on loopback.

`open_sip_caller` owns the phone: a socket, a task that reads it, and a clock that sends and reads the audio of all its
calls, as a task for each call would cost most of a core with fifty. `SipPhone.call` owns a call: the sockets for its
audio, and a task for the invitation.
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from math import inf
from typing import Final, Literal

import trio
from attrs import define, field

from voiceagent.audio.pcm import Pcm
from voiceagent.groups import unwrapped
from voiceagent.lab.connect import LineError
from voiceagent.lab.sip.call import EVENT_TYPE, SipCall
from voiceagent.lab.sip.codecs import PAYLOAD_TYPES
from voiceagent.lab.sip.datagrams import Datagrams, open_pair
from voiceagent.lab.sip.dialog import Dialog
from voiceagent.wire.sdp import AudioDescription, SdpError
from voiceagent.wire.sip import SipError, decode_sip, header_of

__all__ = ["SipCall", "SipPhone", "open_sip_caller"]

#: Hanging up when the test is over.
_RELEASE_S: Final = 5.0


@define
class SipPhone:
    """Makes calls, several at once."""

    server: tuple[str, int]
    user: str
    patience: float
    _sip: Datagrams
    _calls: dict[str, SipCall] = field(factory=dict)  # by Call-ID: those that are open
    _joined: trio.lowlevel.ParkingLot = field(factory=trio.lowlevel.ParkingLot)

    @asynccontextmanager
    async def call(
        self,
        extension: str,
        source: Pcm | None = None,
        *,
        codec: Literal["PCMU", "G722"] = "PCMU",
        headers: Mapping[str, str] | None = None,
    ) -> AsyncIterator[SipCall]:
        """Call `extension` and say `source` once it is answered; it is hung up in the end. Raises LineError."""
        rtp, rtcp = open_pair(self._sip.address[0])
        formats = {PAYLOAD_TYPES[codec]: f"{codec}/8000", EVENT_TYPE: "telephone-event/8000"}
        local = AudioDescription(rtp.address[0], rtp.address[1], formats)
        dialog = Dialog(extension, self.user, self.server, self._sip.address, local)
        call = SipCall(dialog, self._sip, rtp, codec, self.patience)
        if source is not None:
            call.say(source)
        self._calls[dialog.call_id] = call
        try:
            with unwrapped() as boundary:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(call.invite, tuple((headers or {}).items()))
                    try:
                        with boundary.body():
                            yield call
                    finally:
                        await _release(call)
                        nursery.cancel_scope.cancel()
        finally:
            del self._calls[dialog.call_id]
            rtp.close()
            rtcp.close()

    async def read(self) -> None:
        """Hand what comes to its call, until cancelled. What is nobody's is left. Raises LineError for nonsense."""
        try:
            while True:
                for data, at in await self._sip.receive():
                    self._hand_on(data, at)
        finally:
            for call in self._calls.values():
                call.stop_hearing()

    def _hand_on(self, data: bytes, at: float) -> None:
        try:
            call = self._calls.get(header_of(decode_sip(data).headers, "call-id"))
            if call is None:
                return
            call.receive(data, at)
        except (SipError, SdpError) as error:
            host, port = self.server
            raise LineError(f"{host}:{port}: {error}") from None
        if call.has_audio and call.due == inf:
            call.join(trio.current_time())
            self._joined.unpark_all()

    async def keep_time(self) -> None:
        """Send and hear on an absolute clock, until cancelled. Raises LineError for nonsense that came as RTP."""
        while True:
            with trio.move_on_at(min((call.due for call in self._calls.values()), default=inf)):
                await self._joined.park()
            now = trio.current_time()
            for call in tuple(self._calls.values()):
                if call.due <= now:
                    call.tick(now)


async def _release(call: SipCall) -> None:
    """Leave no call behind, whatever the test did; the error that ended the test is told, not this one."""
    with trio.CancelScope(shield=True), trio.move_on_after(_RELEASE_S):
        try:
            await call.hang_up()
        except LineError:
            return


@asynccontextmanager
async def open_sip_caller(
    host: str, port: int, *, user: str = "tester", patience: float = 30.0
) -> AsyncIterator[SipPhone]:
    """A phone of `user` for calls by way of the server at `host`, an address of this machine. Raises LineError."""
    sip = Datagrams(host)
    phone = SipPhone((host, port), user, patience, sip)
    try:
        with unwrapped() as boundary:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(phone.read)
                nursery.start_soon(phone.keep_time)
                with boundary.body():
                    yield phone
                nursery.cancel_scope.cancel()
    finally:
        sip.close()
