"""Calls that come through Stasis: each from StasisStart to the caller's release, as one function.

The channel that called is Asterisk's. The media leg and the bridge that connect it with the agent are ours, carry ids
of ours, and go when the call does.
"""

from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from functools import partial
from typing import Final, NoReturn, TypeAlias
from uuid import uuid4

import trio
from attrs import define, field

from voiceagent.calls.admission import Admission
from voiceagent.calls.call import Agent, Call, CallLimits, run_call
from voiceagent.calls.entering import StasisSettings, came_back, entry_of, who_answers
from voiceagent.calls.live import LiveCalls
from voiceagent.calls.release import Release, release_for
from voiceagent.calls.rendezvous import Rendezvous
from voiceagent.calls.router import Seat
from voiceagent.groups import leaves
from voiceagent.journal import AriCleanUpFailed
from voiceagent.pbx.ari.dispatch import Mailbox
from voiceagent.pbx.ari.errors import AriError, ConflictError, OverflowedError, unless_gone
from voiceagent.pbx.ari.handles import Ari, Bridge, Channel
from voiceagent.pbx.ari.stream import Snapshot
from voiceagent.pbx.line import Line, LineEnd
from voiceagent.ports import ToolCall, ToolReturned
from voiceagent.wire.ari import models
from voiceagent.wire.ari.commands import channels
from voiceagent.wire.ari.events import ChannelDestroyed, ChannelHangupRequest, Event, StasisEnd, StasisStart

#: From StasisStart until caller and agent hear each other. Asterisk itself gives the connection 2 s.
_SET_UP_S: Final = 5.0
#: To give back what a call had in Asterisk, also when the service is being stopped.
_CLEAN_UP_S: Final = 2.0
#: News of a caller who has gone may come after the refusal to do something with his channel.
_NEWS_S: Final = 0.5
#: Causes after which there is nobody to let go.
_GONE: Final = ("caller hung up", "caller left")
#: What could not be given back is tried again so often.
_RETRY_S: Final = 1.0
#: Of the client's ten connections, those that opening media legs may have.
_OPENING: Final = 6

#: Something to be done in Asterisk; that it is done already is no error.
Step: TypeAlias = Callable[[], Awaitable[None]]


@define(eq=False)
class _Parts:
    """What a call consists of in Asterisk, and where its media leg meets us."""

    caller: Channel
    media: Channel
    bridge: Bridge
    seat: Seat = field(factory=Seat)
    #: Whether the caller's channel has been seen to leave Stasis.
    has_left: bool = False

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
    #: What is still to be given back, by the id it is about: at most three for each call that has ended.
    owed: dict[str, Step] = field(factory=dict, init=False)
    #: Media legs are opened few at a time: with an address that does not answer each takes 2 s of a connection.
    _opening: trio.CapacityLimiter = field(factory=lambda: trio.CapacityLimiter(_OPENING), init=False)
    _idle: trio.lowlevel.ParkingLot = field(factory=trio.lowlevel.ParkingLot, init=False)

    async def wait_none(self) -> None:
        """Wait until no caller is being served."""
        while self.served:
            await self._idle.park()

    async def settle(self) -> NoReturn:
        """Try again what could not be given back, for ever; while our events go to another client, see who has gone."""
        while True:
            await trio.sleep(_RETRY_S)
            async with trio.open_nursery() as nursery:
                for id_, step in list(self.owed.items())[:_OPENING]:
                    self.owed[id_] = self.owed.pop(id_)  # to the end: what never works must not keep the others waiting
                    nursery.start_soon(self._attempt, id_, step)
                if self.ari.state.replaced and self.served:
                    nursery.start_soon(self._look_who_is_there)

    async def _look_who_is_there(self) -> None:
        with suppress(AriError):
            there = {channel.id for channel in await self.ari.client.fetch_all(models.Channel, channels.get_all())}
            for id_, call in self.served.items():
                if id_ not in there and call is not None:
                    call.end("caller hung up", "while another client had our events")

    def take(self, event: Event) -> None:
        """An event that belongs to no call: a channel that enters begins one, unless it was to be a part of one."""
        if isinstance(event, StasisStart):
            channel = event.channel.id
            if self.ari.owns(channel):  # it came when its call had gone
                self.owed[channel] = self.ari.channel(channel).hang_up
            else:
                self._start(event)

    async def synchronise(self, there: Snapshot) -> None:
        """After the events of some time were missed: take whom nobody serves, end and remove what has gone."""
        ours = set(there.application.channel_ids)
        for id_, call in self.served.items():
            if id_ not in ours and call is not None:
                call.end("caller hung up", "while there was no connection to ARI")
        for channel in there.channels:
            if self.ari.owns(channel.id):
                if channel.id not in self.used:
                    self.owed[channel.id] = self.ari.channel(channel.id).hang_up
            elif channel.id in ours and channel.id not in self.served and channel.id not in self.owed:
                self._start(entry_of(channel, there.application.name))
        for bridge in there.bridges:
            if self.ari.owns(bridge.id) and bridge.id not in self.used:
                self.owed[bridge.id] = self.ari.bridge(bridge.id).destroy

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
                    self.served[caller.id] = None
                    self.owed.pop(caller.id, None)  # that was the time before
                    entered = await self._serve_once(entered, caller, events)
            finally:
                del self.served[caller.id]
                self._idle.unpark_all()

    async def _serve_once(self, start: StasisStart, caller: Channel, events: Mailbox) -> StasisStart | None:
        """From StasisStart to the caller's release. Returns what he came back with, if he did."""
        parts = _Parts(caller, self.ari.channel(self.ari.new_id("media")), self.ari.bridge(self.ari.new_id("bridge")))
        call: Call | None = None
        reason: str | None = "service stopped"
        try:
            agent, facts = await who_answers(start, caller, self.agents, self.settings, self.live.journal)
            call = Call(uuid4(), agent.name, start.channel.name, trio.current_time(), facts)
            reason = self.admission.begin(call.uuid) if self.accepting else "service stopped"
        finally:
            if reason is not None:  # also when the service stops meanwhile
                self.refuse(start.channel.name, reason)
                await self._give_back(parts, LineEnd(reason), caller_only=True)
        if reason is not None:
            return came_back(events, caller.id, has_left=False)
        self.served[caller.id] = call
        self.used |= parts.ours
        try:
            talk, give_back = partial(self._talk, call, agent, parts, events), partial(self._clean_up, call, parts)
            await self.live.hold(call, talk, give_back)
        finally:
            self.used -= parts.ours
            self.admission.finish(call.uuid)
        return came_back(events, caller.id, has_left=parts.has_left)

    async def _talk(self, call: Call, agent: Agent, parts: _Parts, events: Mailbox) -> None:
        """Connect caller and agent, and let them talk."""
        events.extend(parts.media.id)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_watch, call, events, parts)
            line = await self._connect(call, parts)
            line.on_end = partial(_lose, call, line)
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
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(caller.ring if settings.ringback else caller.answer)
                    nursery.start_soon(_unbroken, parts.bridge.create)
                    async with self._opening, media.wait_for(StasisStart, within=_SET_UP_S):
                        await media.open_external_media(settings.media_host, settings.media_format, data=str(call.uuid))
                    line = await parts.seat.wait_line()
                if settings.ringback:
                    await caller.answer()
                await parts.bridge.add(caller, media)
                return line
            except* AriError as group:
                reason = str(next(leaves(group)))
            with trio.move_on_after(_NEWS_S):
                await trio.sleep_forever()  # until the news that the caller has gone, if that is why
            call.end("set-up failed", reason)
        call.end("set-up failed", f"not done within {_SET_UP_S:g} s")
        await trio.sleep_forever()  # the call has been cancelled
        raise AssertionError

    async def _clean_up(self, call: Call, parts: _Parts) -> None:
        """Within 2 s, whatever happens."""
        call.end("service stopped")  # unless something else ended it
        parts.seat.leave()
        self.announced.withdraw(call.uuid)
        owed = await self._give_back(parts, call.ending or LineEnd("service stopped"))
        if owed:
            self.live.journal(AriCleanUpFailed(trio.current_time(), str(call.uuid), ", ".join(owed)))

    async def _give_back(self, parts: _Parts, ending: LineEnd, *, caller_only: bool = False) -> list[str]:
        """Remove what is ours and let the caller go, within 2 s. Returns what was not done then, and is owed."""
        steps: dict[str, Step] = {}
        if not caller_only:
            steps |= {parts.media.id: parts.media.hang_up, parts.bridge.id: parts.bridge.destroy}
        if ending.cause not in _GONE and not parts.has_left:
            steps[parts.caller.id] = partial(self._let_go, parts.caller, release_for(ending, self.settings.at_end))
        self.owed |= steps
        with trio.move_on_after(_CLEAN_UP_S, shield=True):
            async with trio.open_nursery() as nursery:
                for id_, step in steps.items():
                    nursery.start_soon(self._attempt, id_, step)
        return [id_ for id_ in steps if id_ in self.owed]

    async def _attempt(self, id_: str, step: Step) -> None:
        """Do `step`, which is owed; what does not work stays so."""
        with suppress(AriError):
            await step()
            self.owed.pop(id_, None)

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
                parts.has_left = True
                call.end("caller left", "the channel is not ours any more")
            case StasisEnd(channel=channel) | ChannelDestroyed(channel=channel) if channel.id == media:
                call.end("media leg lost", "Asterisk ended it")


def _lose(call: Call, line: Line) -> None:
    """The line has ended: by itself, or by what came on it."""
    told = f"{line.ended.cause}: {line.ended.detail}".removesuffix(": ") if line.ended is not None else ""
    call.end("media leg lost", told)


async def _unbroken(request: Callable[[], Awaitable[None]]) -> None:
    """A request that is not abandoned half-way: what it makes could be there after it has been looked for in vain."""
    with trio.move_on_after(_CLEAN_UP_S, shield=True):
        await request()
