"""The service with a real Asterisk in front of it, and what it said of its calls."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import trio
from attrs import define, field

from voiceagent import journal as j
from voiceagent.app import Service, open_service
from voiceagent.audio.pcm import Pcm
from voiceagent.config import load_config
from voiceagent.lab.asterisk import RunningAsterisk
from voiceagent.lab.sip.caller import SipCall
from voiceagent.ports import Expectation
from voiceagent.providers.embedded import EmbeddedOptions, open_text_to_speech
from voiceagent.providers.embedded.ears import EarsPool
from voiceagent.providers.embedded.front_end import FrontEnd
from voiceagent.wire.ari.commands import applications, bridges, channels
from voiceagent.wire.ari.models import Application, Bridge, Channel

PATIENCE_S = 30.0


@define(eq=False)
class House:
    service: Service
    events: list[j.Event] = field(factory=list)

    async def until(self, condition: Callable[[], bool], what: str) -> None:
        """Wait for something that shows in the service."""
        with trio.move_on_after(PATIENCE_S):
            while not condition():
                await trio.sleep(0.02)
            return
        raise AssertionError(f"{what}: not within {PATIENCE_S:g} s; {self.events[-10:]}")

    async def until_said(self, words: str) -> None:
        await self.until(lambda: words in self.said(), f"the agent says {words!r}")

    async def until_over(self) -> None:
        stasis = self.service.stasis
        assert stasis is not None
        await self.until(lambda: not stasis.served and not self.service.calls, "the end of all calls")

    def said(self) -> str:
        return " ".join(event.text for event in self.events if isinstance(event, j.AgentSaid))

    @property
    def keys(self) -> str:
        return "".join(event.digit for event in self.events if isinstance(event, j.CallerKeyed))

    @property
    def ends(self) -> list[str]:
        return [event.cause for event in self.events if isinstance(event, j.CallEnded)]

    async def left_in_asterisk(self) -> list[str]:
        """Channels and bridges that are there, once those on their way out have gone."""
        assert self.service.stasis is not None
        client = self.service.stasis.ari.client
        left: list[str] = []
        with trio.move_on_after(PATIENCE_S):
            while True:
                left = [channel.name for channel in await client.fetch_all(Channel, channels.get_all())]
                left += [bridge.id for bridge in await client.fetch_all(Bridge, bridges.get_all())]
                ours = await client.fetch(Application, applications.get(self.service.stasis.ari.app))
                left += [*ours.channel_ids, *ours.bridge_ids]
                if not left:
                    break
                await trio.sleep(0.05)
        return left


@asynccontextmanager
async def open_house(
    asterisk: RunningAsterisk, directory: Path, *overrides: str, url: str = ""
) -> AsyncIterator[House]:
    """Once it follows Asterisk's events. `url` is another way to the same ARI."""
    config = load_config(
        None,
        [
            f"ari.url={url or asterisk.ari_url}",
            f"ari.password={asterisk.password}",
            "audiosocket.listen=127.0.0.1:0",
            f"service.state_dir={directory}",
            *overrides,
        ],
        {},
    )
    events: list[j.Event] = []
    async with open_service(config, journals=[events.append]) as service:
        house = House(service, events)
        stasis = service.stasis
        assert stasis is not None
        await house.until(lambda: stasis.ari.state.ready, "the connection to ARI")
        yield house


async def speech(text: str) -> Pcm:
    """`text` in a caller's voice."""
    options = EmbeddedOptions(voice="en-us+m3", speed=150)
    async with (
        open_text_to_speech("voice", options, journal=_ignore) as tts,
        tts.open_speech(text) as chunks,
    ):
        audio = [chunk async for chunk in chunks]
    return Pcm(audio[0].rate, b"".join(chunk.data for chunk in audio))


def recognised(audio: Pcm, *phrases: str) -> str:
    """Which of `phrases` is heard best, also where a live call would ask again. Blocks for a second."""
    expected = Expectation(phrases)
    ears = EarsPool().take(expected)
    ears.begin()
    ears.hear(FrontEnd(audio.rate).convert(audio.data))
    return " ".join(segment.word.partition("(")[0] for segment in ears.end() if segment.is_word)


async def heard_speech(call: SipCall) -> float:
    """When the caller first hears something."""
    await call.until(lambda: next(call.heard.sounds(), None) is not None, "the first sound")
    return next(call.heard.sounds()).at


def _ignore(event: j.Event) -> None:
    pass


@define(eq=False)
class Wire:
    """A way to ARI that can be cut."""

    target: tuple[str, int]
    cut: bool = False
    _open: set[trio.SocketStream] = field(factory=set)
    url: str = field(default="", init=False)

    def sever(self) -> None:
        """Break every connection, and let none be made until `cut` is False again."""
        self.cut = True
        for stream in self._open:
            stream.socket.close()

    async def serve(self, task_status: trio.TaskStatus[None]) -> None:  # noqa: ASYNC114 - started once, below
        async with trio.open_nursery() as nursery:
            (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
            self.url = f"http://127.0.0.1:{listener.socket.getsockname()[1]}/ari"
            nursery.start_soon(trio.serve_listeners, self._join, [listener])
            task_status.started()

    async def _join(self, near: trio.SocketStream) -> None:
        if self.cut:
            return
        with suppress(OSError):
            async with near, await trio.open_tcp_stream(*self.target) as far:
                self._open |= {near, far}
                try:
                    async with trio.open_nursery() as nursery:
                        for source, sink in ((near, far), (far, near)):
                            nursery.start_soon(_pump, source, sink, nursery.cancel_scope)
                finally:
                    self._open -= {near, far}


async def _pump(source: trio.SocketStream, sink: trio.SocketStream, scope: trio.CancelScope) -> None:
    with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
        async for data in source:
            await sink.send_all(data)
    scope.cancel()


@asynccontextmanager
async def open_wire(asterisk: RunningAsterisk) -> AsyncIterator[Wire]:
    host, _, port = asterisk.ari_url.removeprefix("http://").removesuffix("/ari").partition(":")
    wire = Wire((host, int(port)))
    async with trio.open_nursery() as nursery:
        await nursery.start(wire.serve)
        yield wire
        nursery.cancel_scope.cancel()
