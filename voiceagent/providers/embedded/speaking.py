"""Text-to-speech by an espeak-ng worker."""

import json
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Final

from attrs import frozen

from voiceagent.audio.pcm import Pcm
from voiceagent.journal import Journal
from voiceagent.providers.embedded.messages import AUDIO, END
from voiceagent.providers.embedded.options import EmbeddedOptions
from voiceagent.providers.embedded.worker import INBOX_BYTES, Worker, open_workers

#: Characters per request: about 30 s of speech (1.4 MB), 50 ms of work. Longer texts are cut at spaces.
MAX_CHARACTERS: Final = 400
#: Seconds of audio per chunk, so that nobody has to resample half a minute at once.
CHUNK_S: Final = 1.0
#: What espeak-ng makes.
RATE: Final = 22050
_PROGRAM: Final = Path(__file__).with_name("espeak_worker.py")


@frozen
class EspeakTextToSpeech:
    """ports.TextToSpeech. One worker serves all calls: a sentence costs it about 5 ms.

    The audio of a piece is collected before its first chunk is handed out, so a slow listener holds nobody up.
    """

    _worker: Worker
    _options: EmbeddedOptions

    @property
    def trouble(self) -> str:
        """What is wrong at the moment, in a few words; empty while the worker takes texts."""
        return "" if self._worker.pid is not None else f"{self._worker.provider}: the synthesis does not run"

    @asynccontextmanager
    async def open_speech(self, text: str) -> AsyncIterator[AsyncIterator[Pcm]]:
        async with aclosing(self._speak(text)) as chunks:
            yield chunks

    def as_voice(self, options: EmbeddedOptions) -> "EspeakTextToSpeech":
        """Another voice of the same worker; an unknown one raises ProviderError when it speaks."""
        return EspeakTextToSpeech(self._worker, options)

    async def _speak(self, text: str) -> AsyncGenerator[Pcm, None]:
        size = 2 * round(RATE * CHUNK_S)
        for piece in _pieces(text):
            data = await self._synthesise(piece)
            for at in range(0, len(data), size):
                yield Pcm(RATE, data[at : at + size])

    async def _synthesise(self, text: str) -> bytes:
        options = self._options
        request = {"text": text, "voice": options.voice, "pitch": options.pitch, "speed": options.speed}
        await self._worker.wait_available()
        collected = bytearray()  # at most INBOX_BYTES
        with self._worker.open_job(json.dumps(request).encode()) as job:
            while (message := await job.receive()).kind == AUDIO:
                collected += message.payload
                if not message.payload or len(message.payload) % 2 or len(collected) > INBOX_BYTES:
                    raise job.reject(message)
            if message.kind != END:
                raise job.reject(message)
        return bytes(collected)


def _pieces(text: str) -> Iterator[str]:
    """`text` in pieces of at most MAX_CHARACTERS, cut at the last space where there is one."""
    rest = " ".join(text.split())
    while len(rest) > MAX_CHARACTERS:
        cut = rest.rfind(" ", 1, MAX_CHARACTERS + 1)
        cut = cut if cut > 0 else MAX_CHARACTERS
        yield rest[:cut]
        rest = rest[cut:].lstrip()
    if rest:
        yield rest


@asynccontextmanager
async def open_text_to_speech(
    name: str, options: EmbeddedOptions, *, journal: Journal
) -> AsyncIterator[EspeakTextToSpeech]:
    """espeak-ng, ready to speak. Raises ProviderError: library missing, voice unknown. Leaving ends the process."""
    # -P: a program in a folder of modules must not find them instead of the standard library's.
    command = [sys.executable, "-P", str(_PROGRAM)]
    async with open_workers(name, command, 1, journal=journal) as (worker,):
        speech = EspeakTextToSpeech(worker, options)
        async with speech.open_speech("a") as chunks:
            async for _ in chunks:
                pass
        yield speech
