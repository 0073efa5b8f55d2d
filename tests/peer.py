"""An Asterisk at the other end of an in-memory connection, on the virtual clock."""

from uuid import UUID, uuid4

import trio

from voiceagent.pbx.memory import MemoryEndpoint, memory_pair
from voiceagent.wire.audiosocket import Audio, Decoder, Dtmf, Hangup, Identity, Message, encode_audio, encode_message


class Peer:
    """Sends whole frames and notes what comes back, with the time at which it was read (`poll`, every 20 ms).

    `endpoint` is what the service gets.
    """

    def __init__(self) -> None:
        self.end, self.endpoint = memory_pair()
        self.received: list[tuple[float, Message]] = []
        self.over: str | None = None
        self._decoder = Decoder()
        self._buffer = bytearray(65536)
        self._off_the_grid = False

    def identify(self, uuid: UUID | None = None) -> UUID:
        call = uuid or uuid4()
        self.send(encode_message(Identity(call)))
        return call

    def send(self, data: bytes) -> None:
        assert self.end.send(data) == len(data)

    def poll(self) -> None:
        """Read what is there."""
        while self.end.readable and self.over is None:
            try:
                size = self.end.recv_into(self._buffer)
            except ConnectionResetError:
                self.over = "reset"
                return
            if not size:
                self.over = "eof"
                return
            self._decoder.receive_data(bytes(self._buffer[:size]))
            while (message := self._decoder.next_message()) is not None:
                self.received.append((trio.current_time(), message))

    async def talk(self, pattern: str, *, loud: bytes = b"\x00\x20\x00\xe0") -> None:
        """20 ms per letter: `#` voice, `.` silence, a space nothing at all, a digit is that key. Reads meanwhile."""
        if not self._off_the_grid:  # or which of us comes first at the same instant would be a matter of chance
            await trio.sleep(0.0025)
            self._off_the_grid = True
        start = trio.current_time()
        for at, letter in enumerate(pattern):
            await trio.sleep_until(start + at * 0.02)
            self.poll()
            if self.over is not None:
                return
            match letter:
                case "#":
                    self.send(encode_audio(8000, loud * 80))
                case ".":
                    self.send(encode_audio(8000, bytes(320)))
                case " ":
                    pass
                case digit:
                    self.send(encode_message(Dtmf(digit)))
        await trio.sleep_until(start + len(pattern) * 0.02)
        self.poll()

    async def answer_hangup(self) -> None:
        """Send silence until told to hang up, then close, as Asterisk does."""
        while not self.hung_up and self.over is None:
            await self.talk(".")
        self.end.close()

    @property
    def audio(self) -> list[tuple[float, Audio]]:
        return [(at, message) for at, message in self.received if isinstance(message, Audio)]

    @property
    def speech(self) -> list[tuple[float, Audio]]:
        return [(at, audio) for at, audio in self.audio if any(audio.data)]

    @property
    def hung_up(self) -> bool:
        return any(isinstance(message, Hangup) for _, message in self.received)


__all__ = ["MemoryEndpoint", "Peer"]
