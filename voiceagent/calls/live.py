"""The calls in progress: the crash boundary around each, and the record of how it went."""

import traceback
from collections.abc import Awaitable, Callable

import trio
from attrs import define, field

from voiceagent.calls.call import Call
from voiceagent.groups import leaves
from voiceagent.journal import CallCrashed, CallEnded, CallStarted, Journal
from voiceagent.pbx.line import LineEnd


@define
class LiveCalls:
    """`calls` are those in progress, by UUID (text)."""

    journal: Journal
    calls: dict[str, Call] = field(factory=dict)
    _none: trio.lowlevel.ParkingLot = field(factory=trio.lowlevel.ParkingLot)

    async def wait_none(self) -> None:
        """Wait until there is no call left."""
        while self.calls:
            await self._none.park()

    async def hold(
        self, call: Call, talk: Callable[[], Awaitable[None]], give_back: Callable[[], Awaitable[None]] | None = None
    ) -> None:
        """Be `call` while `talk()` runs, which `call.end` cancels; then `give_back()`, which shields and bounds itself.

        An error of either ends this call and no other; it is told in the journal and goes no further.
        """
        self.calls[str(call.uuid)] = call
        self.journal(CallStarted(call.started, str(call.uuid), call.peer, call.agent))
        try:
            with call.scope:
                await self._guard(call, talk)
        finally:
            call.scope.cancel()
            try:
                if give_back is not None:
                    await self._guard(call, give_back)
            finally:
                self.calls.pop(str(call.uuid))
                self._none.unpark_all()
                self._record(call)

    async def _guard(self, call: Call, step: Callable[[], Awaitable[None]]) -> None:
        """The call boundary: a call's error ends that call, others go on."""
        try:
            await step()
        except* Exception as group:
            call.end("crash", repr(next(leaves(group))))
            self.journal(CallCrashed(trio.current_time(), str(call.uuid), traceback.format_exc()))

    def _record(self, call: Call) -> None:
        line, now = call.line, trio.current_time()
        if line is not None and line.ended is not None and line.ended.error is not None:
            text = "".join(traceback.format_exception(line.ended.error))
            self.journal(CallCrashed(now, str(call.uuid), text))
        ending = call.how_it_ended or LineEnd("service stopped")
        self.journal(
            CallEnded(
                now,
                call=str(call.uuid),
                agent=call.agent,
                cause=ending.cause,
                detail=ending.detail,
                seconds=now - call.started,
                turns=call.conversation.turns if call.conversation is not None else 0,
                frames_received=line.frames_received if line is not None else 0,
                frames_sent=line.frames_sent if line is not None else 0,
                frames_dropped=line.frames_dropped if line is not None else 0,
                counts=dict(line.counts) if line is not None else {},
            )
        )
