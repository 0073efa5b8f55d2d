"""The ARI client at a real Asterisk: what hermetic tests cannot know about its peer."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from urllib.parse import urlsplit

import pytest
import trio
from attrs import define, field

from voiceagent.journal import AriEventBad
from voiceagent.journal import Event as JournalEvent
from voiceagent.lab.asterisk import RunningAsterisk
from voiceagent.pbx.ari.client import open_client
from voiceagent.pbx.ari.connection import open_ari
from voiceagent.pbx.ari.errors import AriError, ConflictError, GoneError, NotFoundError, UnprocessableError
from voiceagent.pbx.ari.handles import Ari
from voiceagent.pbx.ari.stream import Snapshot, StreamState
from voiceagent.wire.ari.commands import channels
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


@define(eq=False)
class Cable:
    """A way to Asterisk that can be cut: connections end then, and new ones are closed at once until it is mended."""

    port: int
    url: str = ""
    whole: bool = True
    _ends: set[trio.SocketStream] = field(factory=set)

    async def carry(self, client: trio.SocketStream) -> None:
        async with client, await trio.open_tcp_stream("127.0.0.1", self.port) as server, trio.open_nursery() as nursery:
            if self.whole:
                self._ends |= {client, server}
                nursery.start_soon(self._pump, client, server, nursery.cancel_scope)
                nursery.start_soon(self._pump, server, client, nursery.cancel_scope)

    async def _pump(self, source: trio.SocketStream, sink: trio.SocketStream, connection: trio.CancelScope) -> None:
        with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            async for data in source:
                await sink.send_all(data)
        self._ends.discard(source)
        connection.cancel()

    async def cut(self) -> None:
        self.whole = False
        for end in list(self._ends):
            await trio.aclose_forcefully(end)


@asynccontextmanager
async def cable_to(asterisk: RunningAsterisk) -> AsyncIterator[Cable]:
    at = urlsplit(asterisk.ari_url)
    assert at.port is not None
    cable = Cable(at.port)
    async with trio.open_nursery() as nursery:
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nursery.start_soon(trio.serve_listeners, cable.carry, [listener])
        cable.url = at._replace(netloc=f"127.0.0.1:{listener.socket.getsockname()[1]}").geturl()
        yield cable
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def connected(asterisk: RunningAsterisk, app: str, url: str = "") -> AsyncIterator[tuple[Ari, Client]]:
    """When leaving, no event was found unreadable."""
    client = Client()

    async def on_connected(snapshot: Snapshot) -> None:
        client.tell(snapshot)

    async with open_ari(
        url or asterisk.ari_url,
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


async def test_a_cut_connection_harms_no_call_and_what_was_missed_is_told_by_the_stock(
    asterisk: RunningAsterisk,
) -> None:
    async with cable_to(asterisk) as cable, connected(asterisk, "rig-cut", cable.url) as (ari, client):
        stays, leaves = ari.channel(ari.new_id("caller")), ari.channel(ari.new_id("caller"))
        for caller in (stays, leaves):
            async with caller.wait_for(StasisStart, within=WITHIN):
                await caller.originate("Local/silent@lab")
        await cable.cut()
        await client.until(lambda state: not state.connected)
        async with open_client(asterisk.ari_url, asterisk.user, asterisk.password) as other:
            await other.request(channels.hangup(leaves.id), WITHIN)
        cable.whole = True
        await client.until(lambda state: state.ready)
        snapshot = [each for each in client.told if isinstance(each, Snapshot)][-1]
        assert stays.id in snapshot.application.channel_ids
        assert leaves.id not in snapshot.application.channel_ids
        async with stays.wait_for(StasisEnd, within=WITHIN):
            await stays.hang_up()
