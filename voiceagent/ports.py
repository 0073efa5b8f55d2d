"""The Protocols that providers implement, and the values that cross them.

Shapes, units and cancellation are part of the contract: every method may be cancelled at any await, and leaving an
`open_*` context ends whatever it stands for, at the provider too.
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Protocol, TypeAlias, runtime_checkable

from attrs import field, frozen

from voiceagent.audio.pcm import Pcm


class ProviderError(Exception):
    """A provider could not do its part; the call may apologise and go on.

    `provider` names it (as configured), the message says what happened and never holds a secret.
    """

    def __init__(self, provider: str, message: str) -> None:
        super().__init__(f"{provider}: {message}")
        self.provider = provider
        self.message = message


# Hearing -------------------------------------------------------------------------------------------------------------


@frozen
class Expectation:
    """What the dialogue can act on now, for recognisers that profit from knowing.

    A phrase is lower-case words; `{slot}` in it stands for any one of `slots["slot"]`, which are plain phrases.
    No phrases at all: anything may be said.
    """

    phrases: tuple[str, ...] = ()
    slots: Mapping[str, tuple[str, ...]] = field(factory=dict)


@frozen
class Transcript:
    """The words of one turn, lower case, no punctuation; empty: there was speech, but nothing recognisable."""

    text: str


class Recognition(Protocol):
    """One turn of one caller being recognised while it is spoken."""

    async def send(self, audio: Pcm) -> None:
        """The turn's next audio. Never waits for the recogniser: what it cannot take in time is its own loss."""

    async def finish(self) -> Transcript:
        """The turn has ended: its words. Raises ProviderError."""


@runtime_checkable
class SpeechToText(Protocol):
    def open_recognition(self, expected: Expectation) -> AbstractAsyncContextManager[Recognition]:
        """Start on a turn. Leaving the context before `finish` abandons it. Raises ProviderError."""


class Vad(Protocol):
    """Voice or not, for one call. Stateful: audio comes in order, at one rate (8, 16, 32 or 48 kHz)."""

    def detect(self, audio: Pcm) -> list[bool]:
        """One verdict for each 20 ms frame of `audio`, which is a whole number of frames."""


# Talking -------------------------------------------------------------------------------------------------------------


@runtime_checkable
class TextToSpeech(Protocol):
    def open_speech(self, text: str) -> AbstractAsyncContextManager[AsyncIterator[Pcm]]:
        """The audio of `text` (one sentence or clause), in order, as it is made; all chunks have one rate.

        Leaving the context stops the synthesis. Entering and iterating raise ProviderError.
        """


# Deciding ------------------------------------------------------------------------------------------------------------


@frozen
class CallOpened:
    """The line is up, nobody has spoken: greet."""


@frozen
class CallerSpoke:
    """The caller's turn. Empty text: speech that could not be understood."""

    text: str


@frozen
class CallerPressed:
    digit: str


@frozen
class CallerQuiet:
    """The caller said nothing for as long as the dialogue was willing to wait."""


@frozen
class ToolReturned:
    """What came of the tool call `id`."""

    id: str
    ok: bool
    result: str


Turn: TypeAlias = CallOpened | CallerSpoke | CallerPressed | CallerQuiet | ToolReturned


@frozen
class Text:
    """A piece of what to say, to be spoken in order; pieces may split sentences anywhere."""

    text: str


@frozen
class ToolCall:
    """Something to be done, once all text before it has been heard. Its outcome comes back as ToolReturned."""

    id: str
    name: str
    arguments: Mapping[str, str]


@frozen
class Done:
    """The reply is complete."""


DialogueEvent: TypeAlias = Text | ToolCall | Done


class Dialogue(Protocol):
    """One call's dialogue. Turns come one at a time; the context of one is left before the next is entered."""

    @property
    def expected(self) -> Expectation:
        """What the caller may sensibly say next."""

    def open_reply(self, turn: Turn) -> AbstractAsyncContextManager[AsyncIterator[DialogueEvent]]:
        """The answer to `turn`, ending with Done. Leaving the context abandons what has not come yet.

        Entering and iterating raise ProviderError.
        """
