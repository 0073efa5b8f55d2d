"""From a connection to a finished call: admission, the crash boundary, the hang-up.

One task of the service per connection. Whatever goes wrong inside a call ends here and nowhere else.
"""

import traceback
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from itertools import count
from typing import Final
from uuid import UUID

import trio
from attrs import define, field

from voiceagent.calls.admission import Admission
from voiceagent.calls.call import Agent, Call, CallLimits, run_call
from voiceagent.journal import CallCrashed, CallEnded, CallStarted, ConnectionRefused, Journal
from voiceagent.pbx.clock import MediaClock
from voiceagent.pbx.endpoint import Endpoint
from voiceagent.pbx.line import Line, LineEnd
from voiceagent.pbx.listener import address_text
from voiceagent.ports import ToolCall, ToolReturned
from voiceagent.wire.audiosocket import Hangup, encode_message

#: Asterisk's first frame comes 0.2-12 ms after accept.
_IDENTITY_S: Final = 2.0
#: For our own hang-up: 0x00 goes out, the peer closes.
_HANGUP_S: Final = 1.0
#: Refused connections that are read to their end at once, at most; beyond that they are closed without.
_TURNING_AWAY: Final = 128
#: After the last word, before a connection is reset: what is on the wire gets read.
_LAST_WORD_S: Final = 0.1


@define
class Router:
    """Turns connections into calls. `calls` are the live ones by UUID (text)."""

    clock: MediaClock
    admission: Admission
    agent: Agent
    limits: CallLimits
    run_tool: Callable[[Call, ToolCall], Awaitable[ToolReturned]]
    journal: Journal
    calls: dict[str, Call] = field(factory=dict)
    refused: dict[str, int] = field(factory=dict)
    _turning_away: int = 0
    _numbers: Iterator[int] = field(factory=count)
    _idle: trio.lowlevel.ParkingLot = field(factory=trio.lowlevel.ParkingLot)

    async def wait_idle(self) -> None:
        """Wait until there is no connection left."""
        while self.admission.connections:
            await self._idle.park()

    def trouble(self, message: str) -> None:
        """The listener cannot take connections for the moment."""
        self._refuse("-", "listener", message)

    async def serve(self, endpoint: Endpoint, host: str, port: int) -> None:
        """Serve one connection to its end. Owns `endpoint`."""
        peer = address_text(host, port)
        if (reason := self.admission.connect(host)) is not None:
            self._refuse(peer, reason)
            await self._turn_away(endpoint, peer)
            return
        line = Line(endpoint, peer=peer, number=next(self._numbers))
        try:
            self.clock.attach(line)
            await self._serve_line(line)
        finally:
            await _hang_up(line)
            self.clock.detach(line)
            line.close()
            self.admission.disconnect()
            self._idle.unpark_all()

    async def _turn_away(self, endpoint: Endpoint, peer: str) -> None:
        """0x00 at once; then read until the peer has closed, or what it still sends would make it find a reset."""
        line = Line(endpoint, peer=peer)
        line.takes_frames = False
        with suppress(OSError):  # it is gone already, or takes nothing: closing is all that is left
            endpoint.send(encode_message(Hangup()))
            endpoint.shut_down()
        if self._turning_away >= _TURNING_AWAY:
            line.close()
            return
        self._turning_away += 1
        try:
            self.clock.attach(line)
            with trio.move_on_after(_HANGUP_S):
                await line.wait_gone()
        finally:
            self._turning_away -= 1
            self.clock.detach(line)
            line.close()

    async def _serve_line(self, line: Line) -> None:
        uuid: UUID | None = None
        try:
            with trio.move_on_after(_IDENTITY_S):
                uuid = await line.wait_identity()
        finally:
            self.admission.identified()
        if uuid is None:
            ended = line.ended or LineEnd("no UUID")
            if ended.cause != "caller hung up":
                self._refuse(line.peer, ended.cause, ended.detail)
        elif (reason := self.admission.begin(uuid)) is not None:
            self._refuse(line.peer, reason, str(uuid))
        else:
            try:
                await self._hold_call(line, uuid)
            finally:
                self.admission.finish(uuid)

    async def _hold_call(self, line: Line, uuid: UUID) -> None:
        now = trio.current_time()
        call = Call(uuid=uuid, agent=self.agent.name, peer=line.peer, started=now, line=line)
        self.calls[str(uuid)] = call
        self.journal(CallStarted(now, str(uuid), line.peer, self.agent.name))
        try:
            await run_call(call, self.agent, limits=self.limits, run_tool=self.run_tool, journal=self.journal)
        except* Exception as group:  # the call boundary: a call's error ends that call, others go on
            call.end("crash", repr(group.exceptions[0]))
            self.journal(CallCrashed(trio.current_time(), str(uuid), traceback.format_exc()))
        finally:
            call.scope.cancel()
            self.calls.pop(str(uuid))
            self._finish(call)

    def _finish(self, call: Call) -> None:
        line, now = call.line, trio.current_time()
        ending = call.ending or line.ended or LineEnd("service stopped")
        if line.ended is not None and line.ended.error is not None:
            text = "".join(traceback.format_exception(line.ended.error))
            self.journal(CallCrashed(now, str(call.uuid), text))
        line.resets = ending.cause == "agent hung up"
        self.journal(
            CallEnded(
                now,
                call=str(call.uuid),
                agent=call.agent,
                cause=ending.cause,
                detail=ending.detail,
                seconds=now - call.started,
                turns=call.conversation.turns if call.conversation is not None else 0,
                frames_received=line.frames_received,
                frames_sent=line.frames_sent,
                frames_dropped=line.frames_dropped,
                counts=dict(line.counts),
            )
        )

    def _refuse(self, peer: str, reason: str, detail: str = "") -> None:
        self.refused[reason] = self.refused.get(reason, 0) + 1
        self.journal(ConnectionRefused(trio.current_time(), peer, reason, detail))


async def _hang_up(line: Line) -> None:
    """End the connection from our side, unless the peer has already; takes at most a second, also when cancelled."""
    with trio.move_on_after(_LAST_WORD_S if line.resets else _HANGUP_S, shield=True):
        if line.resets:
            await line.wait_gone()
        else:
            await line.hang_up()
