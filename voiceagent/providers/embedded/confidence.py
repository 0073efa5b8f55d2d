"""Whether a grammar was forced upon speech that is something else. Pure.

A grammar always finds some phrase. What gives a false one away is how badly its words fit, even more what it has to
call silence (the words it has no place for), and that a little noise makes it find another one. So every turn is heard
twice, as it is and with a hiss.
"""

from collections.abc import Sequence
from typing import Final

from attrs import frozen

from voiceagent.providers.embedded.grammar import ASIDES

#: What the worst silence and two different texts count beside the words: a logistic regression on synthetic callers
#: (docs/speech.md).
_WORST_SILENCE: Final = 12.0
_DISAGREEMENT: Final = 1.0
#: More doubt than this is too much. Lower: more callers are asked again, less nonsense is acted upon.
TOO_MUCH: Final = 6.7
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


def words_of(hearings: Sequence[Sequence[Segment]]) -> str:
    """What was said, if the hearings of one turn are to be believed and it means something; else nothing.

    Where they differ, it is what the one with the least misfit says.
    """
    text = _text(min(hearings, key=_misfit))
    return "" if text in ASIDES or doubt(hearings) > TOO_MUCH else text


def doubt(hearings: Sequence[Sequence[Segment]]) -> float:
    """How badly the hearings fit, on average, and whether they differ; without a word in one: beyond all bounds."""
    texts = {_text(hearing) for hearing in hearings}
    return sum(map(_misfit, hearings)) / len(hearings) + (_DISAGREEMENT if len(texts) > 1 else 0.0)


def _text(segments: Sequence[Segment]) -> str:
    return " ".join(segment.word.partition("(")[0] for segment in segments if segment.is_word)


def _misfit(segments: Sequence[Segment]) -> float:
    """The misfit of the words per frame, in thousandths, and that of the worst stretch that had to be called silence.

    The longer that is, and the less silent, the surer something else was said there.
    """
    words = [segment for segment in segments if segment.is_word]
    if not words:
        return float("inf")
    per_frame = sum(word.misfit for word in words) / sum(word.frames for word in words)
    worst_silence = max((segment.misfit for segment in segments if segment.word == _SILENCE), default=0.0)
    return 1000 * per_frame + _WORST_SILENCE * worst_silence
