"""Speech providers that run in process, for calls on the virtual clock: what they hear and say is made of markers.

They implement `ports` as a real provider would, and count what is open, so that tests can see leftovers.
"""

from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Iterable
from contextlib import aclosing, asynccontextmanager

import trio
from attrs import define, field

from voiceagent.audio.pcm import Pcm, level_dbfs
from voiceagent.ports import Expectation, ProviderError, Transcript
from voiceagent.wire.audiosocket import frame_bytes


class LoudnessVad:
    """Voice is whatever is louder than -40 dBFS."""

    def __init__(self, rate: int) -> None:
        self.rate = rate

    def detect(self, audio: Pcm) -> list[bool]:
        size = frame_bytes(audio.rate)
        return [level_dbfs(audio.data[at : at + size]) > -40 for at in range(0, len(audio.data), size)]


@define
class FakeRecogniser:
    """Answers each finished turn with the next of `texts` (an exception is raised), "" when there are no more."""

    texts: deque[str | Exception] = field(factory=deque, converter=deque)
    delay_s: float = 0.0
    open_turns: int = 0
    heard_s: list[float] = field(factory=list)
    expectations: list[Expectation] = field(factory=list)

    @asynccontextmanager
    async def open_recognition(self, expected: Expectation) -> AsyncIterator["_Turn"]:
        self.expectations.append(expected)
        self.open_turns += 1
        try:
            yield _Turn(self)
        finally:
            self.open_turns -= 1


@define
class _Turn:
    recogniser: FakeRecogniser
    seconds: float = 0.0

    async def send(self, audio: Pcm) -> None:
        self.seconds += audio.seconds

    async def finish(self) -> Transcript:
        await trio.sleep(self.recogniser.delay_s)
        self.recogniser.heard_s.append(self.seconds)
        text = self.recogniser.texts.popleft() if self.recogniser.texts else ""
        if isinstance(text, Exception):
            raise text
        return Transcript(text)


@define
class FakeVoice:
    """Says each text as a steady level, `letter_s` seconds per letter at `rate`; fails while `failures` last."""

    letter_s: float = 0.02
    rate: int = 8000
    delay_s: float = 0.0
    failures: int = 0
    open_texts: int = 0
    said: list[str] = field(factory=list)

    @asynccontextmanager
    async def open_speech(self, text: str) -> AsyncIterator[AsyncIterator[Pcm]]:
        self.open_texts += 1
        try:
            if self.failures:
                self.failures -= 1
                raise ProviderError("voice", "it failed, as told")
            self.said.append(text)
            async with aclosing(self._chunks(text)) as chunks:
                yield chunks
        finally:
            self.open_texts -= 1

    async def _chunks(self, text: str) -> AsyncGenerator[Pcm, None]:
        for _ in text:
            await trio.sleep(self.delay_s)
            yield Pcm(self.rate, b"\x00\x10" * round(self.rate * self.letter_s))


def provider_errors(count: int) -> Iterable[ProviderError]:
    return (ProviderError("ears", "it failed, as told") for _ in range(count))
