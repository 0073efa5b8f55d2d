"""Whether a grammar was forced upon speech that is something else. Pure.

A grammar always finds some phrase. What gives a false one away is how badly its words fit, and even more what it has to
call silence: the words it has no place for.
"""

from collections.abc import Sequence
from typing import Final

from attrs import frozen

from voiceagent.providers.embedded.grammar import ASIDES

#: A logistic regression on synthetic callers, clean and at 20 dB (docs/speech.md): see `doubt`.
_WORDS, _WORST_SILENCE, _SILENCES, _SECONDS = 1.07, 0.25, 7.5, 1.5
#: More doubt than this is too much. Lower: more callers are asked again, less nonsense is acted upon.
TOO_MUCH: Final = 10.1
_SILENCE: Final = "<sil>"


@frozen
class Segment:
    """A stretch of `frames` of 10 ms taken for `word`, whose sound fits with a log likelihood of -`misfit`."""

    word: str
    frames: int
    misfit: float

    @property
    def is_word(self) -> bool:
        """Whether it is a word of the grammar: not silence, noise or a mark of the recogniser."""
        return self.word[0] not in "<[+("


def words_of(segments: Sequence[Segment]) -> str:
    """What was said, if the segments are to be believed and it means something; else nothing."""
    text = " ".join(segment.word.partition("(")[0] for segment in segments if segment.is_word)
    return "" if text in ASIDES or doubt(segments) > TOO_MUCH else text


def doubt(segments: Sequence[Segment]) -> float:
    """How badly the segments fit; without a word: beyond all bounds. Misfits per frame count in thousandths."""
    words = [segment for segment in segments if segment.is_word]
    silences = [segment for segment in segments if segment.word == _SILENCE]
    if not words:
        return float("inf")
    frames = sum(word.frames for word in words)
    return (
        _WORDS * 1000 * sum(word.misfit for word in words) / frames
        + _WORST_SILENCE * 1000 * max((silence.misfit / silence.frames for silence in silences), default=0.0)
        + _SILENCES * sum(silence.misfit for silence in silences)
        + _SECONDS * frames / 100
    )
