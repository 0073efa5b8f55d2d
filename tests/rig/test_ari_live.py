"""The ARI client at a real Asterisk: what hermetic tests cannot know about its peer."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
import trio
from attrs import define, field

from voiceagent.journal import AriEventBad
from voiceagent.journal import Event as JournalEvent
from voiceagent.lab.asterisk import RunningAsterisk
from voiceagent.pbx.ari.connection import open_ari
from voiceagent.pbx.ari.errors import AriError, ConflictError, GoneError, NotFoundError, UnprocessableError
from voiceagent.pbx.ari.handles import Ari
from voiceagent.pbx.ari.stream import Snapshot, StreamState
from voiceagent.wire.ari.events import (
    ChannelEnteredBridge,
    ChannelLeftBridge,
    Event,
    PlaybackFinished,
    RecordingFailed,
    RecordingFinished,
    StasisEnd,
    StasisStart,
)

#: For what takes milliseconds, on a machine that may stand still for seconds.
WITHIN = 30.0


@define(eq=False)
class Client:
    """A connection, and all it told. `changed` is set anew whenever something was told."""

    ari: Ari | None = None
    told: list[Event | Snapshot | StreamState | JournalEvent] = field(factory=list)
    changed: trio.Event = field(factory=trio.Event)

    def tell(self, what: Event | Snapshot | StreamState | JournalEvent) -> None:
        self.told.append(what)
        self.changed.set()
        self.changed = trio.Event()

    async def until(self, condition: Callable[[StreamState], bool]) -> None:
        assert self.ari is not None
        with trio.fail_after(WITHIN):
            while not condition(self.ari.state):
                await self.changed.wait()


@asynccontextmanager
async def connected(asterisk: RunningAsterisk, app: str) -> AsyncIterator[tuple[Ari, Client]]:
    """When leaving, no event was found unreadable."""
    client = Client()

    async def on_connected(snapshot: Snapshot) -> None:
        client.tell(snapshot)

    async with open_ari(
        asterisk.ari_url,
        asterisk.user,
        asterisk.password,
        app,
        instance="rig",
        on_unclaimed=client.tell,
        on_connected=on_connected,
        on_state=client.tell,
        journal=client.tell,
    ) as ari:
        client.ari = ari
        await client.until(lambda state: state.ready)
        yield ari, client
    assert [each for each in client.told if isinstance(each, AriEventBad)] == []


async def test_the_life_of_a_call(asterisk: RunningAsterisk) -> None:
    async with connected(asterisk, "rig-life") as (ari, _):
        caller, bridge = ari.channel(ari.new_id("caller")), ari.bridge(ari.new_id("bridge"))
        playback, recording = ari.playback(ari.new_id("play")), ari.recording(ari.new_id("record"))
        async with caller.wait_for(StasisStart, within=WITHIN) as started:
            await caller.originate("Local/silent@lab", app_args=("a", "b"), values={"FOO": "bär"})
        assert started.event.args == ("a", "b")
        assert await caller.get_variable("FOO") == "bär"
        assert await caller.get_variable("NOFOO") is None
        await bridge.create()
        async with bridge.wait_for(ChannelEnteredBridge, within=WITHIN):
            await bridge.add(caller)
        async with playback.wait_for(PlaybackFinished, within=WITHIN) as finished:
            await caller.play(playback, "sound:nosuch")
        assert finished.event.playback.state == "failed"
        async with recording.wait_for(RecordingFailed, within=WITHIN):
            await caller.record(recording, "wav")
        recording = ari.recording(ari.new_id("record"))
        async with recording.wait_for(RecordingFinished, within=WITHIN):
            await bridge.record(recording, "wav")
            await recording.pause()
            await recording.resume()
            await recording.stop()
        async with caller.wait_for(ChannelLeftBridge, within=WITHIN):
            await bridge.remove(caller)
        with pytest.raises(UnprocessableError):
            await bridge.remove(caller)
        with pytest.raises(GoneError):
            async with caller.wait_for(PlaybackFinished, within=WITHIN):
                await caller.hang_up()
        await caller.hang_up()
        for request in (caller.answer, caller.get):
            with pytest.raises(NotFoundError):
                await request()
        await assert_gone(lambda: bridge.add(caller))
        await assert_gone(lambda: bridge.remove(caller))
        await bridge.destroy()
        await bridge.destroy()


async def assert_gone(request: Callable[[], Awaitable[None]]) -> None:
    with pytest.raises(AriError) as error:
        await request()
    assert error.value.gone


async def test_a_channel_in_the_dialplan_is_not_ours_to_play_to(asterisk: RunningAsterisk) -> None:
    async with connected(asterisk, "rig-dialplan") as (ari, _):
        caller = ari.channel(ari.new_id("caller"))
        async with caller.wait_for(StasisStart, within=WITHIN):
            await caller.originate("Local/silent@lab")
        async with caller.wait_for(StasisEnd, within=WITHIN):
            await caller.continue_in_dialplan(context="lab", extension="silent", priority=1)
        with pytest.raises(ConflictError):
            await caller.answer()
        await caller.hang_up()


async def test_who_takes_our_name_takes_our_events_and_says_so(asterisk: RunningAsterisk) -> None:
    async with connected(asterisk, "rig-replaced") as (ari, first):
        caller = ari.channel(ari.new_id("caller"))
        async with caller.wait_for(StasisStart, within=WITHIN):
            await caller.originate("Local/silent@lab")
        async with connected(asterisk, "rig-replaced") as (_, second):
            await first.until(lambda state: state.replaced)
            assert not ari.state.ready
            snapshot = next(each for each in second.told if isinstance(each, Snapshot))
            assert caller.id in snapshot.application.channel_ids
            assert caller.id in [channel.id for channel in snapshot.channels]
        await caller.hang_up()
