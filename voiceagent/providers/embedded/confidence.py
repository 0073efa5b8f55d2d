"""Whether a grammar was forced upon speech that is something else. Pure.

A grammar always finds some phrase. What gives a false one away is how badly its words fit, and even more what it has to
call silence: the words it has no place for.
"""

from collections.abc import Sequence
from typing import Final

from attrs import frozen

from voiceagent.providers.embedded.grammar import ASIDES

#: How much the worst silence counts beside the words: a logistic regression on synthetic callers (docs/speech.md).
_WORST_SILENCE: Final = 12.0
#: More doubt than this is too much. Lower: more callers are asked again, less nonsense is acted upon.
TOO_MUCH: Final = 6.8
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
    """How badly the segments fit; without a word: beyond all bounds.

    The misfit of the words per frame, in thousandths, and that of the worst stretch that had to be called silence: the
    longer it is, and the less silent, the surer something else was said there.
    """
    words = [segment for segment in segments if segment.is_word]
    if not words:
        return float("inf")
    per_frame = sum(word.misfit for word in words) / sum(word.frames for word in words)
    worst_silence = max((segment.misfit for segment in segments if segment.word == _SILENCE), default=0.0)
    return 1000 * per_frame + _WORST_SILENCE * worst_silence
