"""Speech that can be read: a voice and a recogniser in process, for rigs and for the virtual clock.

The voice buzzes as loud and as long as somebody who speaks, and detectors take it for voice; the letters are in the low
bytes of its samples. The recogniser reads them out of the audio that reaches it. So what is understood is exactly what
came through: a turn that is cut off loses its end, and audio that is lost takes its letters along. Only a line at the
same rate keeps samples as they are.
"""

import re
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import Final

from attrs import define, field

from voiceagent.audio.pcm import Pcm
from voiceagent.ports import Expectation, Transcript

#: Half a period of the buzz at 8 kHz: 125 Hz, somebody's pitch.
_HALF_SAMPLES: Final = 32
_HIGH: Final = (8192).to_bytes(2, "little", signed=True)
_LOW: Final = (-8192).to_bytes(2, "little", signed=True)
#: Letters per chunk of audio: half a second.
_CHUNK_LETTERS: Final = 8


def legible_text(data: bytes) -> str:
    """What s16le audio of a legible voice says; of any other audio, rubbish."""
    return _letters(data).decode(errors="replace")


def _letters(data: bytes) -> bytes:
    return data[::2].replace(b"\0", b"")


@define
class LegibleSpeech:
    """ports.SpeechToText and ports.TextToSpeech. `letter_s` seconds per byte of a text's UTF-8, s16le at `rate` hertz.

    `open_turns` and `open_texts` count what is in use now.
    """

    letter_s: float = 0.06
    rate: int = 8000
    open_turns: int = 0
    open_texts: int = 0

    @asynccontextmanager
    async def open_recognition(self, expected: Expectation) -> AsyncIterator["LegibleRecognition"]:  # noqa: ARG002
        self.open_turns += 1
        try:
            yield LegibleRecognition()
        finally:
            self.open_turns -= 1

    @asynccontextmanager
    async def open_speech(self, text: str) -> AsyncIterator[AsyncIterator[Pcm]]:
        self.open_texts += 1
        try:
            async with aclosing(self._speak(text.encode())) as chunks:
                yield chunks
        finally:
            self.open_texts -= 1

    async def _speak(self, letters: bytes) -> AsyncGenerator[Pcm, None]:
        for at in range(0, len(letters), _CHUNK_LETTERS):
            yield Pcm(self.rate, b"".join(map(self._letter, letters[at : at + _CHUNK_LETTERS])))

    def _letter(self, letter: int) -> bytes:
        samples = round(self.rate * self.letter_s)
        buzz = (_HIGH * _HALF_SAMPLES + _LOW * _HALF_SAMPLES) * (samples // (2 * _HALF_SAMPLES) + 1)
        return bytes([letter]) + buzz[1 : 2 * samples]


@define
class LegibleRecognition:
    """ports.Recognition. Holds the letters, 17 bytes per second of speech."""

    _heard: bytearray = field(factory=bytearray)

    async def send(self, audio: Pcm) -> None:
        self._heard += _letters(audio.data)

    async def finish(self) -> Transcript:
        return Transcript(" ".join(re.findall(r"[\w']+", self._heard.decode(errors="replace").lower())))
