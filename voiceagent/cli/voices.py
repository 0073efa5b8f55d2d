"""Voices for scripted callers."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TypeAlias

from voiceagent.audio.pcm import Pcm
from voiceagent.journal import Event
from voiceagent.providers.embedded import EmbeddedOptions, open_text_to_speech

#: Says a text: its whole audio.
Speak: TypeAlias = Callable[[str], Awaitable[Pcm]]


@asynccontextmanager
async def open_voice(options: EmbeddedOptions) -> AsyncIterator[Speak]:
    """A voice, in a process of its own. Entering and speaking raise ports.ProviderError."""
    async with open_text_to_speech("caller", options, journal=_ignore) as tts:

        async def speak(text: str) -> Pcm:
            async with tts.open_speech(text) as chunks:
                audio = [chunk async for chunk in chunks]
            return Pcm(audio[0].rate if audio else 8000, b"".join(chunk.data for chunk in audio))

        yield speak


def _ignore(_: Event) -> None:
    """A restarted worker makes the next saying late, and that is told by the call itself."""
