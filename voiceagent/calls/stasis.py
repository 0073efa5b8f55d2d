"""Calls that come through Stasis: each from StasisStart to the caller's release, as one function.

The channel that called is Asterisk's. The media leg and the bridge that connect it with the agent are ours, carry ids
of ours, and go when the call does.
"""

from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from functools import partial
from typing import Final
from uuid import uuid4

import trio
from attrs import define, field, frozen

from voiceagent.calls.admission import Admission
from voiceagent.calls.call import Agent, Call, CallLimits, run_call
from voiceagent.calls.entering import StasisSettings, came_back, entry_of, who_answers
from voiceagent.calls.live import LiveCalls
from voiceagent.calls.release import Release, release_for
from voiceagent.calls.rendezvous import Rendezvous
from voiceagent.calls.router import Seat
from voiceagent.groups import unwrapped
from voiceagent.journal import AriCleanUpFailed
from voiceagent.pbx.ari.dispatch import Mailbox
from voiceagent.pbx.ari.errors import AriError, ConflictError, OverflowedError, unless_gone
from voiceagent.pbx.ari.handles import Ari, Bridge, Channel
from voiceagent.pbx.ari.stream import Snapshot
from voiceagent.pbx.line import Line, LineEnd
from voiceagent.ports import ToolCall, ToolReturned
from voiceagent.wire.ari.events import ChannelDestroyed, ChannelHangupRequest, Event, StasisEnd, StasisStart

#: From StasisStart until caller and agent hear each other. Asterisk itself gives the connection 2 s.
_SET_UP_S: Final = 5.0
#: To give back what a call had in Asterisk, also when the service is being stopped.
_CLEAN_UP_S: Final = 2.0
#: News of a caller who has gone may come after the refusal to do something with his channel.
_NEWS_S: Final = 0.5
#: The cause when the caller's channel has been taken away from us.
LEFT: Final = "caller left"
#: Causes after which there is nobody to let go.
_GONE: Final = ("caller hung up", LEFT)


@frozen
class _Parts:
    """What a call consists of in Asterisk, and where its media leg meets us."""

    caller: Channel
    media: Channel
    bridge: Bridge
    seat: Seat = field(factory=Seat)

    @property
    def ours(self) -> set[str]:
        """The ids of what we made."""
        return {self.media.id, self.bridge.id}


@define(eq=False)
class StasisCalls:
    """Serves every channel that enters our application, each in a task of `nursery`."""

    ari: Ari
    nursery: trio.Nursery
    live: LiveCalls
    admission: Admission
    announced: Rendezvous[Seat]
    agents: Mapping[str, Agent]
    limits: Mapping[str, CallLimits]
    run_tool: Callable[[Call, ToolCall], Awaitable[ToolReturned]]
    #: Told who did not become a call, and why.
    refuse: Callable[[str, str], None]
    settings: StasisSettings
    #: Turned off when the service takes no further calls.
    accepting: bool = True
    #: Channels being served, by id; None until their call has begun.
    served: dict[str, Call | None] = field(factory=dict, init=False)
    #: Media legs and bridges of live calls.
    used: set[str] = field(factory=set, init=False)
    #: Callers whose release failed: how they are to be released, once that is possible. One for each such call.
    unreleased: dict[str, Release] = field(factory=dict, init=False)

    def take(self, event: Event) -> None:
        """An event that belongs to no call: a channel that enters begins one, unless it was to be a part of one."""
        if isinstance(event, StasisStart):
            if self.ari.owns(event.channel.id):  # it came when its call had gone
                self.nursery.start_soon(self._attempt, self.ari.channel(event.channel.id).hang_up)
            else:
                self._start(event)

    async def synchronise(self, there: Snapshot) -> None:
        """After the events of some time were missed: end what has gone, take or release whom nobody serves.

        Raises AriError.
        """
        ours = set(there.application.channel_ids)
        for id_, call in self.served.items():
            if id_ not in ours and call is not None:
                call.end("caller hung up", "while there was no connection to ARI")
        for bridge in there.bridges:
            if self.ari.owns(bridge.id) and bridge.id not in self.used:
                await self.ari.bridge(bridge.id).destroy()
        for channel in there.channels:
            if self.ari.owns(channel.id) and channel.id not in self.used:
                await self.ari.channel(channel.id).hang_up()
            elif channel.id in ours and channel.id not in self.served and not self.ari.owns(channel.id):
                if (release := self.unreleased.get(channel.id)) is not None:
                    await self._let_go(self.ari.channel(channel.id), release)
                else:
                    self._start(entry_of(channel, there.application.name))
        self.unreleased.clear()

    def _start(self, event: StasisStart) -> None:
        """Serve a caller. His events are kept from this moment on."""
        self.served[event.channel.id] = None
        self.nursery.start_soon(self._serve, event, self.ari.subscribe(event.channel.id))

    async def _serve(self, start: StasisStart, events: Mailbox) -> None:
        """Serve a caller, and again when the dialplan sends him back while his call is being given up."""
        caller = self.ari.channel(start.channel.id)
        with events:
            try:
                entered: StasisStart | None = start
                while entered is not None:
                    ending = await self._serve_once(entered, caller, events)
                    entered = came_back(events, caller.id, has_left=ending == LEFT)
            finally:
                del self.served[caller.id]

    async def _serve_once(self, start: StasisStart, caller: Channel, events: Mailbox) -> str:
        """From StasisStart to the caller's release; returns the cause of the end."""
        agent, facts = await who_answers(start, caller, self.agents, self.settings)
        call = Call(uuid4(), agent.name, start.channel.name, trio.current_time(), facts)
        reason = self.admission.begin(call.uuid) if self.accepting else "service stopped"
        if reason is not None:
            self.refuse(start.channel.name, reason)
            await self._attempt(partial(self._release, caller, LineEnd(reason)))
            return reason
        self.served[caller.id] = call
        media, bridge = self.ari.channel(self.ari.new_id("media")), self.ari.bridge(self.ari.new_id("bridge"))
        parts = _Parts(caller, media, bridge)
        self.used |= parts.ours
        try:
            talk, give_back = partial(self._talk, call, agent, parts, events), partial(self._clean_up, call, parts)
            await self.live.hold(call, talk, give_back)
        finally:
            self.used -= parts.ours
            self.admission.finish(call.uuid)
        return call.ending.cause if call.ending is not None else ""

    async def _talk(self, call: Call, agent: Agent, parts: _Parts, events: Mailbox) -> None:
        """Connect caller and agent, and let them talk."""
        events.extend(parts.media.id)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_watch, call, events, parts)
            line = await self._connect(call, parts)
            line.on_end = partial(call.end, "media leg lost")
            if line.ended is not None:
                line.on_end()
            limits, run_tool = self.limits[agent.name], self.run_tool
            await run_call(call, line, agent, limits=limits, run_tool=run_tool, journal=self.live.journal)

    async def _connect(self, call: Call, parts: _Parts) -> Line:
        """Answer the caller and bring him and the agent together. What does not work ends the call."""
        settings, caller, media = self.settings, parts.caller, parts.media
        with trio.move_on_after(_SET_UP_S):
            self.announced.announce(call.uuid, parts.seat, trio.current_time() + _SET_UP_S)
            try:
                with unwrapped():
                    async with trio.open_nursery() as nursery:
                        nursery.start_soon(caller.ring if settings.ringback else caller.answer)
                        nursery.start_soon(_unbroken, parts.bridge.create)
                        async with media.wait_for(StasisStart, within=_SET_UP_S):
                            await media.open_external_media(
                                settings.media_host, settings.media_format, data=str(call.uuid)
                            )
                        line = await parts.seat.wait_line()
                    if settings.ringback:
                        await caller.answer()
                    await parts.bridge.add(caller, media)
                    return line
            except AriError as error:
                with trio.move_on_after(_NEWS_S):
                    await trio.sleep_forever()  # until the news that the caller has gone, if that is why
                call.end("set-up failed", str(error))
        call.end("set-up failed", f"not done within {_SET_UP_S:g} s")
        await trio.sleep_forever()  # the call has been cancelled
        raise AssertionError

    async def _clean_up(self, call: Call, parts: _Parts) -> None:
        """Within 2 s, whatever happens. What cannot be given back now will be when ARI is there again."""
        call.end("service stopped")  # unless something else ended it
        parts.seat.leave()
        self.announced.withdraw(call.uuid)
        failed: list[str] = []
        with trio.move_on_after(_CLEAN_UP_S, shield=True) as limit:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._attempt, parts.media.hang_up, failed)
                nursery.start_soon(self._attempt, parts.bridge.destroy, failed)
                if call.ending is not None and call.ending.cause not in _GONE:
                    nursery.start_soon(self._attempt, partial(self._release, parts.caller, call.ending), failed)
        if limit.cancelled_caught:
            failed.append(f"not done within {_CLEAN_UP_S:g} s")
        if failed:
            self.live.journal(AriCleanUpFailed(trio.current_time(), str(call.uuid), "; ".join(failed)))

    async def _attempt(self, step: Callable[[], Awaitable[None]], failed: list[str] | None = None) -> None:
        """Do `step`; what does not work is noted in `failed`, and is done at the next `synchronise`."""
        try:
            await step()
        except AriError as error:
            if failed is not None:
                failed.append(str(error))

    async def _release(self, caller: Channel, ending: LineEnd) -> None:
        """Let the caller go as configured."""
        self.unreleased[caller.id] = release = release_for(ending, self.settings.at_end)
        await self._let_go(caller, release)
        del self.unreleased[caller.id]

    async def _let_go(self, caller: Channel, release: Release) -> None:
        """One who has hung up, or is not ours any more, has gone already."""
        with unless_gone(), suppress(ConflictError):
            if release.hangs_up:
                await caller.hang_up()
                return
            for name, value in release.variables.items():
                await caller.set_variable(name, value)
            await caller.continue_in_dialplan()


async def _watch(call: Call, events: Mailbox, parts: _Parts) -> None:
    """End the call when its caller or its media leg goes."""
    caller, media = parts.caller.id, parts.media.id
    while True:
        try:
            event = await events.receive()
        except OverflowedError as error:
            call.end("fell behind", str(error))
            return
        match event:
            case ChannelHangupRequest(channel=channel) if channel.id == caller:
                call.end("caller hung up")
            case StasisEnd(channel=channel) | ChannelDestroyed(channel=channel) if channel.id == caller:
                call.end(LEFT, "the channel is not ours any more")
            case StasisEnd(channel=channel) | ChannelDestroyed(channel=channel) if channel.id == media:
                call.end("media leg lost", "Asterisk ended it")


async def _unbroken(request: Callable[[], Awaitable[None]]) -> None:
    """A request that is not abandoned half-way: what it makes could be there after it has been looked for in vain."""
    with trio.move_on_after(_CLEAN_UP_S, shield=True):
        await request()
