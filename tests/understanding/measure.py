"""Runs the whole material under one condition and counts."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar

import trio
from attrs import frozen

import voiceagent.dialogue
from tests.understanding.calls import STATES, Outcome, Rig
from tests.understanding.material import Material
from tests.understanding.telephone import Telephone
from voiceagent.dialogue import Flow, load_flow
from voiceagent.journal import Event
from voiceagent.providers.embedded import EmbeddedOptions, open_speech_to_text, open_text_to_speech

_T = TypeVar("_T")
#: Calls under way at once: enough to keep every recogniser busy.
_AT_ONCE = 4
#: Voices that go on each errand and say each paraphrase; of more voices, different ones each time.
_CALLERS = 4


@frozen
class Share:
    """`hits` of `total`, and what there is to read about the others."""

    hits: int
    total: int
    notes: tuple[str, ...] = ()

    @property
    def percent(self) -> float:
        return 100 * self.hits / self.total if self.total else 0.0


@frozen
class Result:
    condition: str
    errands: Share
    acted_upon: Share  # of out-of-domain utterances
    paraphrases: Share  # right
    paraphrases_wrong: Share


def default_flow() -> Flow:
    return load_flow(Path(voiceagent.dialogue.__file__).with_name("reception.toml"))


@asynccontextmanager
async def open_rig(snr_db: float | None, *, recognisers: int = 0) -> AsyncIterator[Rig]:
    options = EmbeddedOptions(recognisers=recognisers)
    async with (
        open_text_to_speech("espeak", options, journal=_ignore) as tts,
        open_speech_to_text("sphinx", options, journal=_ignore) as stt,
    ):
        yield Rig(default_flow(), stt, Telephone(tts, snr_db))


async def measure(material: Material, snr_db: float | None) -> Result:
    """Everything, under one condition. Minutes of work."""
    voices = material.voices
    callers = min(_CALLERS, len(voices))
    async with open_rig(snr_db) as rig:

        def errand(at: int) -> Awaitable[Outcome]:
            return rig.run_errand(material.errands[at // callers], voices[at % len(voices)])

        def stranger(at: int) -> Awaitable[Outcome]:
            state = ("welcome", *STATES)[at % (len(STATES) + 1)]  # where most calls are heard counts twice
            return rig.is_acted_upon(material.out_of_domain[at], voices[at % len(voices)], state)

        def paraphrase(at: int) -> Awaitable[tuple[bool, bool]]:
            said, meaning = material.paraphrases[at // callers]
            return rig.is_understood(said, meaning, voices[at % len(voices)])

        errands = await _all(errand, len(material.errands) * callers)
        strangers = await _all(stranger, len(material.out_of_domain))
        paraphrases = await _all(paraphrase, len(material.paraphrases) * callers)
    return Result(
        condition="clean" if snr_db is None else f"{snr_db:g} dB SNR",
        errands=_share(errands, noteworthy=False),
        acted_upon=_share(strangers, noteworthy=True),
        paraphrases=Share(sum(right for right, _ in paraphrases), len(paraphrases)),
        paraphrases_wrong=Share(sum(wrong for _, wrong in paraphrases), len(paraphrases)),
    )


async def _all(job: Callable[[int], Awaitable[_T]], count: int) -> list[_T]:
    """`job(0)` … `job(count - 1)`, a few at a time."""
    results: dict[int, _T] = {}
    limit = trio.CapacityLimiter(_AT_ONCE)

    async def one(at: int) -> None:
        async with limit:
            results[at] = await job(at)

    async with trio.open_nursery() as nursery:
        for at in range(count):
            nursery.start_soon(one, at)
    return [results[at] for at in range(count)]


def _share(outcomes: Sequence[Outcome], *, noteworthy: bool) -> Share:
    notes = tuple("\n".join(each.transcript) for each in outcomes if each.reached is noteworthy)
    return Share(sum(each.reached for each in outcomes), len(outcomes), notes)


def _ignore(_: Event) -> None:
    """A worker that was replaced: telephone.persist asks the next one."""
