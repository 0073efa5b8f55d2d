"""Speech-to-text by pocketsphinx workers."""

import json
import os
import struct
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from attrs import frozen

from voiceagent.audio.pcm import Pcm
from voiceagent.journal import Journal
from voiceagent.ports import Expectation, Transcript
from voiceagent.providers.embedded.messages import AUDIO, FINISH, TEXT, Message
from voiceagent.providers.embedded.options import EmbeddedOptions
from voiceagent.providers.embedded.worker import Job, Worker, open_workers

_COMMAND: Final = (sys.executable, "-P", "-m", "voiceagent.providers.embedded.listen_worker")


@frozen
class SphinxRecognition:
    """ports.Recognition. Audio that finds no room on the way to a worker that is far behind is lost."""

    _job: Job

    async def send(self, audio: Pcm) -> None:
        self._job.send_nowait(AUDIO, struct.pack("<I", audio.rate) + audio.data)

    async def finish(self) -> Transcript:
        self._job.send_control(FINISH)
        message = await self._job.receive()
        if (text := _text(message)) is None:
            raise self._job.reject(message)
        return Transcript(text)


def _text(message: Message) -> str | None:
    """The words of a TEXT; None when `message` is none."""
    if message.kind != TEXT:
        return None
    try:
        found = json.loads(message.payload)
    except (ValueError, RecursionError):  # RecursionError: brackets within brackets
        return None
    text = found.get("text") if isinstance(found, dict) else None
    return text if isinstance(text, str) else None


@frozen
class SphinxSpeechToText:
    """ports.SpeechToText. Turns go to the worker with the fewest; it follows each as it is spoken.

    Understands only what is expected: a turn in which anything may be said comes back empty.
    """

    _workers: tuple[Worker, ...]

    @property
    def trouble(self) -> str:
        """What is wrong at the moment, in a few words; empty while at least one worker takes turns."""
        if any(worker.pid is not None for worker in self._workers):
            return ""
        return f"{self._workers[0].provider}: no recogniser runs"

    @asynccontextmanager
    async def open_recognition(self, expected: Expectation) -> AsyncIterator[SphinxRecognition]:
        request = {"phrases": expected.phrases, "slots": {name: list(said) for name, said in expected.slots.items()}}
        worker = min(self._workers, key=lambda each: each.busy)
        await worker.wait_available()
        with worker.open_job(json.dumps(request).encode()) as job:
            yield SphinxRecognition(job)


@asynccontextmanager
async def open_speech_to_text(
    name: str, options: EmbeddedOptions, *, journal: Journal
) -> AsyncIterator[SphinxSpeechToText]:
    """pocketsphinx, ready to listen. Raises ProviderError: library missing. Leaving ends the processes."""
    count = options.recognisers or len(os.sched_getaffinity(0))
    async with open_workers(name, _COMMAND, count, journal=journal) as workers:
        yield SphinxSpeechToText(workers)
