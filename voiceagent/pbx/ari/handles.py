"""Handles on what is in Asterisk: an id, and what can be asked of it.

A handle owns nothing: dropping one ends nothing, and the thing may have ended already. Every method is one request and
raises what `AriClient.request` does, but for those that end something: that it has gone already is fine with them.

    media = ari.channel(ari.new_id("media"))
    async with media.wait_for(StasisStart, within=2.0):
        await media.open_external_media("127.0.0.1:9092", "slin16", data=str(uuid))
    await bridge.add(caller, media)

This file is longer than most: it is a list of verbs.
"""

import re
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final, Generic, TypeVar
from uuid import uuid4

import trio
from attrs import define, field, frozen

from voiceagent.pbx.ari.client import REQUEST_S, AriClient
from voiceagent.pbx.ari.dispatch import Dispatch, Mailbox
from voiceagent.pbx.ari.errors import AriTimeoutError, GoneError, NotFoundError, unless_gone
from voiceagent.pbx.ari.stream import EventStream, StreamState
from voiceagent.wire.ari import models
from voiceagent.wire.ari.commands import bridges, channels, playbacks, recordings
from voiceagent.wire.ari.commands.channels import Direction, IfExists, Sides
from voiceagent.wire.ari.commands.playbacks import Operation
from voiceagent.wire.ari.commands.request import Request
from voiceagent.wire.ari.events import BridgeDestroyed, ChannelDestroyed, KnownEvent

E = TypeVar("E", bound=KnownEvent)

_UUID: Final = r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"


@define
class Waiting(Generic[E]):
    """What was waited for, once the block has been left."""

    _event: E | None = None

    @property
    def event(self) -> E:
        if self._event is None:
            raise LookupError("the event is there when the block has been left")
        return self._event


@frozen
class _Handle:
    """Handles on the same thing are equal."""

    id: str
    _ari: "Ari" = field(eq=False, repr=False)

    @asynccontextmanager
    async def wait_for(
        self, *kinds: type[E], within: float, where: Callable[[E], bool] | None = None
    ) -> AsyncIterator[Waiting[E]]:
        """Subscribe, let the block ask for something, then wait for the first event of `kinds` about this.

        `where` chooses among them. The block and the waiting together have `within` seconds: AriTimeoutError. Raises
        GoneError as soon as the channel or bridge is destroyed, unless that is waited for, and OverflowedError.
        """
        waiting: Waiting[E] = Waiting()
        names = " or ".join(kind.__name__ for kind in kinds)
        with self._ari.dispatch.subscribe(self.id) as mailbox:
            with trio.move_on_after(within) as deadline:
                yield waiting
                waiting._event = await self._first(mailbox, kinds, where)
            if deadline.cancelled_caught:
                raise AriTimeoutError(f"{names} about {self.id}", f"not within {within:g} s")

    async def _first(self, mailbox: Mailbox, kinds: tuple[type[E], ...], where: Callable[[E], bool] | None) -> E:
        while True:
            event = await mailbox.receive()
            if isinstance(event, kinds) and (where is None or where(event)):
                return event
            match event:
                case ChannelDestroyed(channel=gone, cause=cause, cause_txt=text) if gone.id == self.id:
                    raise GoneError(f"channel {self.id}", f"destroyed with cause {cause} {text}")
                case BridgeDestroyed(bridge=destroyed) if destroyed.id == self.id:
                    raise GoneError(f"bridge {self.id}", "destroyed")

    async def _ask(self, request: Request, within: float = REQUEST_S) -> Any:
        return await self._ari.client.request(request, within)

    async def _end(self, request: Request) -> None:
        with unless_gone():
            await self._ask(request)


@frozen
class Playback(_Handle):
    """`state` of its PlaybackFinished says whether anything was to be heard."""

    async def stop(self) -> None:
        """It ends within milliseconds."""
        await self._end(playbacks.stop(self.id))

    async def control(self, operation: Operation) -> None:
        await self._ask(playbacks.control(self.id, operation))


@frozen
class Recording(_Handle):
    """A live recording; `id` is its name. It ends with RecordingFinished or RecordingFailed."""

    async def stop(self) -> None:
        """Stop and keep it. Raises NotFoundError if it is over: an event has told how."""
        await self._ask(recordings.stop(self.id))

    async def discard(self) -> None:
        """Stop and throw it away."""
        await self._end(recordings.discard(self.id))

    async def pause(self) -> None:
        """What is said from now on is left out."""
        await self._ask(recordings.pause(self.id))

    async def resume(self) -> None:
        await self._ask(recordings.resume(self.id))

    async def mute(self) -> None:
        """What is said from now on is recorded as silence."""
        await self._ask(recordings.mute(self.id))

    async def unmute(self) -> None:
        await self._ask(recordings.unmute(self.id))


@frozen
class Channel(_Handle):
    """A channel that exists, or one that is to be made under this id."""

    async def get(self) -> models.Channel:
        return await self._ari.client.fetch(models.Channel, channels.get(self.id))

    async def open_external_media(
        self, external_host: str, media_format: str, *, data: str, within: float = REQUEST_S
    ) -> None:
        """Make this a channel whose audio goes to `external_host` (HOST:PORT) over AudioSocket, with the UUID `data`.

        It is of use when its StasisStart has come.
        """
        await self._ask(channels.external_media(self.id, self._ari.app, external_host, media_format, data=data), within)

    async def originate(
        self,
        endpoint: str,
        *,
        app_args: Sequence[str] = (),
        caller_id: str | None = None,
        timeout_s: int | None = None,
        originator: "Channel | None" = None,
        formats: Sequence[str] | None = None,
        values: Mapping[str, str] | None = None,
    ) -> None:
        """Dial; StasisStart means it was answered. No answer, busy and so on: ChannelDestroyed tells the cause."""
        await self._ask(
            channels.originate(
                self.id,
                endpoint,
                app=self._ari.app,
                app_args=app_args or None,
                caller_id=caller_id,
                timeout_s=timeout_s,
                originator=originator.id if originator else None,
                formats=formats,
                values=values,
            )
        )

    async def create(
        self, endpoint: str, *, app_args: Sequence[str] = (), values: Mapping[str, str] | None = None
    ) -> None:
        """Make this a channel that can be set up, and bridged, before it dials. Comes to us at once."""
        await self._ask(channels.create(self.id, endpoint, self._ari.app, app_args=app_args or None, values=values))

    async def dial(self, *, caller: "Channel | None" = None, timeout_s: int | None = None) -> None:
        """What `create` made."""
        await self._ask(channels.dial(self.id, caller=caller.id if caller else None, timeout_s=timeout_s))

    async def snoop(self, snooper: "Channel", *, spy: Sides = "none", whisper: Sides = "none") -> None:
        """Make `snooper` a channel that hears or whispers."""
        await self._ask(channels.snoop(self.id, snooper.id, self._ari.app, spy=spy, whisper=whisper))

    async def answer(self) -> None:
        await self._ask(channels.answer(self.id))

    async def hang_up(self, reason: str | None = None) -> None:
        """Raises BadRequestError for a reason Asterisk does not know; the call goes on then."""
        await self._end(channels.hangup(self.id, reason))

    async def continue_in_dialplan(
        self, *, context: str | None = None, extension: str | None = None, priority: int | None = None
    ) -> None:
        await self._ask(channels.continue_(self.id, context=context, extension=extension, priority=priority))

    async def move(self, app: str, app_args: Sequence[str] = ()) -> None:
        await self._ask(channels.move(self.id, app, app_args or None))

    async def redirect(self, endpoint: str) -> None:
        """Nothing works on this channel until the peer has made up its mind; give what follows a deadline."""
        await self._ask(channels.redirect(self.id, endpoint))

    async def ring(self) -> None:
        await self._ask(channels.ring(self.id))

    async def stop_ringing(self) -> None:
        await self._ask(channels.stop_ringing(self.id))

    async def progress(self) -> None:
        await self._ask(channels.progress(self.id))

    async def send_dtmf(self, digits: str) -> None:
        await self._ask(channels.send_dtmf(self.id, digits))

    async def mute(self, direction: Direction = "both") -> None:
        await self._ask(channels.mute(self.id, direction))

    async def unmute(self, direction: Direction = "both") -> None:
        await self._ask(channels.unmute(self.id, direction))

    async def hold(self) -> None:
        await self._ask(channels.hold(self.id))

    async def unhold(self) -> None:
        await self._ask(channels.unhold(self.id))

    async def start_moh(self, music_class: str | None = None) -> None:
        await self._ask(channels.start_moh(self.id, music_class))

    async def stop_moh(self) -> None:
        await self._ask(channels.stop_moh(self.id))

    async def start_silence(self) -> None:
        await self._ask(channels.start_silence(self.id))

    async def stop_silence(self) -> None:
        await self._ask(channels.stop_silence(self.id))

    async def play(self, playback: Playback, *media: str, language: str | None = None) -> None:
        """Play `media` one after the other as `playback`, which ends with PlaybackFinished."""
        await self._ask(channels.play(self.id, playback.id, media, language=language))

    async def record(
        self,
        recording: Recording,
        file_format: str,
        *,
        max_duration_s: int | None = None,
        max_silence_s: int | None = None,
        if_exists: IfExists | None = None,
        beep: bool | None = None,
        terminate_on: str | None = None,
    ) -> None:
        await self._ask(
            channels.record(
                self.id,
                recording.id,
                file_format,
                max_duration_s=max_duration_s,
                max_silence_s=max_silence_s,
                if_exists=if_exists,
                beep=beep,
                terminate_on=terminate_on,
            )
        )

    async def get_variable(self, variable: str) -> str | None:
        """None if it is not set. Raises NotFoundError if the channel has gone."""
        try:
            answer = await self._ari.client.fetch(models.Variable, channels.get_variable(self.id, variable))
        except NotFoundError as error:
            if "variable" in error.reason:
                return None
            raise
        return answer.value

    async def set_variable(self, variable: str, value: str) -> None:
        await self._ask(channels.set_variable(self.id, variable, value))

    async def rtp_statistics(self) -> models.RtpStatistics:
        return await self._ari.client.fetch(models.RtpStatistics, channels.rtp_statistics(self.id))


@frozen
class Bridge(_Handle):
    """A bridge that exists, or one that is to be made under this id."""

    async def get(self) -> models.Bridge:
        return await self._ari.client.fetch(models.Bridge, bridges.get(self.id))

    async def create(self, *, kind: str = "mixing", name: str | None = None) -> None:
        await self._ask(bridges.create(self.id, kind=kind, name=name))

    async def destroy(self) -> None:
        """Its members stay with us, in silence."""
        await self._end(bridges.destroy(self.id))

    async def add(self, *members: Channel, mute: bool | None = None, absorb_dtmf: bool | None = None) -> None:
        """Raises an error with `gone` if one of them has gone, UnprocessableError if one is not with us (yet)."""
        ids = [member.id for member in members]
        await self._ask(bridges.add(self.id, ids, mute=mute, absorb_dtmf=absorb_dtmf))

    async def remove(self, *members: Channel) -> None:
        await self._ask(bridges.remove(self.id, [member.id for member in members]))

    async def play(self, playback: Playback, *media: str, language: str | None = None) -> None:
        await self._ask(bridges.play(self.id, playback.id, media, language=language))

    async def record(
        self,
        recording: Recording,
        file_format: str,
        *,
        max_duration_s: int | None = None,
        max_silence_s: int | None = None,
        if_exists: IfExists | None = None,
        beep: bool | None = None,
        terminate_on: str | None = None,
    ) -> None:
        await self._ask(
            bridges.record(
                self.id,
                recording.id,
                file_format,
                max_duration_s=max_duration_s,
                max_silence_s=max_silence_s,
                if_exists=if_exists,
                beep=beep,
                terminate_on=terminate_on,
            )
        )

    async def start_moh(self, music_class: str | None = None) -> None:
        await self._ask(bridges.start_moh(self.id, music_class))

    async def stop_moh(self) -> None:
        await self._ask(bridges.stop_moh(self.id))


@frozen(eq=False)
class Ari:
    """One application in one Asterisk. `instance` is in all ids made here, so that what we left behind is found."""

    app: str
    instance: str
    client: AriClient
    dispatch: Dispatch
    stream: EventStream

    @property
    def state(self) -> StreamState:
        return self.stream.state

    def new_id(self, kind: str) -> str:
        """An id nothing has had before; `kind`, a word without dashes, says what it is for: media, bridge, play …"""
        return f"{self.instance}-{kind}-{uuid4()}"

    def owns(self, id_: str) -> bool:
        """Whether `new_id` of this instance made it, in this run or an earlier one."""
        return re.fullmatch(rf"{re.escape(self.instance)}-[^-]+-{_UUID}", id_) is not None

    def subscribe(self, *ids: str) -> Mailbox:
        """A mailbox for the events about these ids; it can be extended by more."""
        return self.dispatch.subscribe(*ids)

    def channel(self, id_: str) -> Channel:
        return Channel(id_, self)

    def bridge(self, id_: str) -> Bridge:
        return Bridge(id_, self)

    def playback(self, id_: str) -> Playback:
        return Playback(id_, self)

    def recording(self, name: str) -> Recording:
        return Recording(name, self)
