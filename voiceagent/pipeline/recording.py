"""A message being left: the caller's audio until he has said it."""

from typing import Final

import trio
from attrs import define, field

from voiceagent.audio.pcm import Pcm

#: A message ends after this much silence (seconds), or when no word came at its start.
_END_SILENCE_S: Final = 2.5
_START_SILENCE_S: Final = 8.0
#: How often silence is looked at when no audio comes at all.
_LOOK_S: Final = 0.5


@define
class Recording:
    """At most `limit` seconds in memory. The ingest feeds it; who takes the message waits for `finished`."""

    limit: float
    started: float
    seconds: float = 0.0
    _pieces: list[Pcm] = field(factory=list)
    _last_voice: float | None = None
    _ended: trio.Event = field(factory=trio.Event)

    def feed(self, audio: Pcm, *, voiced: bool, now: float) -> None:
        """The next audio, with voice in it or not."""
        if self._ended.is_set():
            return
        self._pieces.append(audio)
        self.seconds += audio.seconds
        if voiced:
            self._last_voice = now
        self._look(now)

    def press(self, digit: str) -> None:
        """`#` ends the message; other keys mean nothing here."""
        if digit == "#":
            self._ended.set()

    async def finished(self) -> None:
        """Wait until the caller has fallen silent, never began, pressed `#`, or reached the limit."""
        while not self._ended.is_set():
            with trio.move_on_after(_LOOK_S):
                await self._ended.wait()
            self._look(trio.current_time())

    @property
    def audio(self) -> Pcm:
        """What was said; empty when there was no voice in it. A change of rate keeps the last rate's part."""
        if self._last_voice is None:
            return Pcm(8000, b"")
        rate = self._pieces[-1].rate
        return Pcm(rate, b"".join(piece.data for piece in self._pieces if piece.rate == rate))

    def _look(self, now: float) -> None:
        if self._last_voice is None:
            over = now >= self.started + _START_SILENCE_S
        else:
            over = now >= self._last_voice + _END_SILENCE_S
        if over or self.seconds >= self.limit or now >= self.started + self.limit:
            self._ended.set()
