"""An agent's end of AudioSocket connections, for tests of the caller: on real loopback TCP, scripted by a function."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from itertools import count

import trio
from attrs import define, field

from voiceagent.audio.pcm import level_dbfs
from voiceagent.audio.tones import tone
from voiceagent.wire.audiosocket import Audio, Decoder, Dtmf, Hangup, Message, PeerError, encode_message

BEEP = tone(8000, 400, 0.2)


@define
class Peer:
    """The agent's end of one connection."""

    stream: trio.SocketStream
    decoder: Decoder = field(factory=Decoder)
    ended_by_reset: bool = False

    async def read(self) -> Message | None:
        """The next message, None at the end of the connection."""
        while (message := self.decoder.next_message()) is None:
            try:
                data = await self.stream.receive_some()
            except trio.BrokenResourceError:
                self.ended_by_reset = True
                return None
            if not data:
                return None
            self.decoder.receive_data(data)
        return message

    async def read_to_end(self) -> list[Message]:
        messages = []
        while (message := await self.read()) is not None:
            messages.append(message)
        return messages

    async def read_until_speech(self) -> None:
        while message := await self.read():
            if isinstance(message, Audio) and level_dbfs(message.data) > -40:
                return

    async def read_until_silence(self) -> None:
        while message := await self.read():
            if isinstance(message, Audio) and level_dbfs(message.data) < -60:
                return

    async def send(self, message: Audio | Hangup | PeerError | Dtmf) -> None:
        await self.stream.send_all(encode_message(message))

    async def beep(self, seconds: float = 0.2) -> None:
        """Send a tone of this length all at once."""
        sound = tone(8000, 400, seconds).data
        for at in range(0, len(sound), 320):
            await self.send(Audio(8000, sound[at : at + 320]))

    async def talk_until_interrupted(self) -> None:
        """Send a tone as speech comes, a frame every 20 ms, until the caller speaks."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._talk, nursery.cancel_scope)
            await self.read_until_speech()
            nursery.cancel_scope.cancel()

    async def _talk(self, scope: trio.CancelScope) -> None:
        start = trio.current_time()
        for number in count():
            if scope.cancel_called:
                return
            await self.send(Audio(8000, BEEP.data[320:640]))
            await trio.sleep_until(start + number * 0.02)


Handler = Callable[[Peer], Awaitable[None]]


@asynccontextmanager
async def open_peer(handler: Handler) -> AsyncIterator[int]:
    """Answers connections on the yielded port with `handler`, and closes each when it returns."""

    async def answer(stream: trio.SocketStream) -> None:
        async with stream:
            await handler(Peer(stream))

    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
            nursery.start_soon(trio.serve_listeners, answer, listeners)
            yield listeners[0].socket.getsockname()[1]
            nursery.cancel_scope.cancel()


class Recorder:
    """A handler that only listens; `wait` gives what it read once the connection has ended."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.was_reset = False
        self._ended = trio.Event()

    async def __call__(self, peer: Peer) -> None:
        self.messages = await peer.read_to_end()
        self.was_reset = peer.ended_by_reset
        self._ended.set()

    async def wait(self) -> list[Message]:
        await self._ended.wait()
        return self.messages
