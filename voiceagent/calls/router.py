"""From a connection to a finished call: admission, whose call it is, the hang-up. One task of the service each."""

from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from itertools import count
from typing import Final
from uuid import UUID

import trio
from attrs import define, field

from voiceagent.calls.admission import Admission
from voiceagent.calls.call import Agent, Call, CallLimits, run_call
from voiceagent.calls.live import LiveCalls
from voiceagent.calls.rendezvous import Rendezvous
from voiceagent.journal import ConnectionRefused
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


@define(eq=False)
class Seat:
    """Where a call waits for the connection of its media leg, and the connection for the call's end."""

    line: Line | None = None
    _taken: trio.Event = field(factory=trio.Event)
    _left: trio.Event = field(factory=trio.Event)

    async def wait_line(self) -> Line:
        """The line, once it is there. It stays its connection's."""
        await self._taken.wait()
        assert self.line is not None  # noqa: S101 - that is what the event says
        return self.line

    async def take(self, line: Line) -> None:
        """Be the leg that was announced, until the call leaves it."""
        self.line = line
        self._taken.set()
        await self._left.wait()

    def leave(self) -> None:
        """The call needs the line no longer, or never will: its connection hangs up."""
        self._left.set()


@define
class Router:
    """Turns connections into calls, or the media legs of calls that `announced` them."""

    clock: MediaClock
    admission: Admission
    agent: Agent
    limits: CallLimits
    run_tool: Callable[[Call, ToolCall], Awaitable[ToolReturned]]
    live: LiveCalls
    announced: Rendezvous[Seat] = field(factory=Rendezvous)
    #: Whether those are all that is let in.
    only_announced: bool = False
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
        self.refuse("-", "listener", message)

    async def serve(self, endpoint: Endpoint, host: str, port: int) -> None:
        """Serve one connection to its end. Owns `endpoint`."""
        peer = address_text(host, port)
        if (reason := self.admission.connect(host, counted=self.only_announced)) is not None:
            self.refuse(peer, reason)
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
                self.refuse(line.peer, ended.cause, ended.detail)
        elif (seat := self.announced.claim(uuid, trio.current_time())) is not None:
            await seat.take(line)
        elif self.only_announced:
            self.refuse(line.peer, "not announced", str(uuid))
        elif (reason := self.admission.begin(uuid)) is not None:
            self.refuse(line.peer, reason, str(uuid))
        else:
            try:
                await self._hold_call(line, uuid)
            finally:
                self.admission.finish(uuid)

    async def _hold_call(self, line: Line, uuid: UUID) -> None:
        """A call of the dialplan: the connection is all there is of it."""
        agent = self.agent
        call = Call(uuid, agent.name, line.peer, trio.current_time())

        async def talk() -> None:
            line.on_end = call.scope.cancel
            if line.ended is None:
                await run_call(call, line, agent, limits=self.limits, run_tool=self.run_tool, journal=self.live.journal)

        call.line = line
        try:
            await self.live.hold(call, talk)
        finally:
            # 0x00 would let the dialplan go on, as a transfer wants it to; after a goodbye the caller is hung up.
            line.resets = call.ending is not None and call.ending.cause == "agent hung up"

    def refuse(self, peer: str, reason: str, detail: str = "") -> None:
        """Count and tell that `peer` did not become a call."""
        self.refused[reason] = self.refused.get(reason, 0) + 1
        self.live.journal(ConnectionRefused(trio.current_time(), peer, reason, detail))


async def _hang_up(line: Line) -> None:
    """End the connection from our side, unless the peer has already; takes at most a second, also when cancelled."""
    with trio.move_on_after(_LAST_WORD_S if line.resets else _HANGUP_S, shield=True):
        if line.resets:
            await line.wait_gone()
        else:
            await line.hang_up()
