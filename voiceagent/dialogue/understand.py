"""Which of the phrases that count now was said, if any, and with which slot values. Pure.

Words are compared in order, and each counts by how much it tells: a word that only one group of phrases has counts
fully, one that many share counts less, and small words count little wherever they are. So "i would like to order a
pizza" is nothing like "i would like to book an appointment", though half of it is the same, and a word too many or too
few does no harm unless it is one that matters.
"""

from collections.abc import Iterable, Mapping, Sequence

from attrs import field, frozen
from rapidfuzz.distance import LCSseq

from voiceagent.dialogue.phrases import slots_in, words

#: Agreement (0 to 1) from which a phrase counts as said, and from which one of a single telling word does.
ENOUGH, ENOUGH_SHORT = 0.6, 0.68
_SHORT_WEIGHT = 1.3

#: What a word of the phrase that was not said costs, against a word said that the phrase has not: recognisers add more
#: than they lose, and what is left of a strange sentence often looks like half a phrase.
_MISSING = 1.5

_FILLERS = frozenset(
    ["please", "um", "uh", "er", "well", "so", "okay", "hello", "hi", "just", "then", "oh", "now", "thanks"]
)
_SMALL = frozenset(
    (
        *("a", "an", "the", "this", "that", "and", "there", "here", "i", "you", "me", "my", "your", "we", "us", "it"),
        *("he", "she", "is", "are", "am", "be", "was", "do", "does", "did", "can", "could", "would", "will", "shall"),
        *("may", "might", "like", "want", "need", "have", "has", "get", "got", "to", "of", "on", "at", "in", "for"),
        *("with", "from", "by"),
    )
)
_FILLER_WEIGHT, _SMALL_WEIGHT = 0.1, 0.3

#: slot -> the words of each of its phrases -> canonical value
Vocabulary = Mapping[str, Mapping[tuple[str, ...], str]]


@frozen
class Phrase:
    """One plain phrase: `text` as a recogniser is given it; its words, a slot being the word `{slot}`."""

    text: str
    words: tuple[str, ...] = field(init=False)
    slots: tuple[str, ...] = field(init=False)

    @words.default
    def _words(self) -> tuple[str, ...]:
        parts = (((part,) if part.startswith("{") else words(part)) for part in self.text.split())
        return _without_echo(tuple(word for part in parts for word in part))

    @slots.default
    def _slots(self) -> tuple[str, ...]:
        return slots_in(self.text)

    @property
    def is_terse(self) -> bool:
        """Whether it is little more than its slots: what a caller says who corrects a detail."""
        return all(word in _SMALL or word.startswith("{") for word in self.words)


@frozen
class Heard:
    """`choice` is the index of the group of phrases that matched; `slots` are the values said, canonical."""

    choice: int
    slots: Mapping[str, str]


def understand(text: str, groups: Sequence[Sequence[Phrase]], vocabulary: Vocabulary) -> Heard | None:
    """The best match of `text` among the phrases of `groups`, or None if nothing is near enough.

    Slot values come only from words that are there. Of equal matches the earlier group wins.
    """
    said = _without_echo(words(text))
    weights = _weights(groups)
    tagged = {slots: _tag(said, slots, vocabulary) for group in groups for slots in {phrase.slots for phrase in group}}
    best, found = 0.0, None
    for choice, group in enumerate(groups):
        for phrase in group:
            heard, values = tagged[phrase.slots]
            if len(values) < len(phrase.slots):
                continue
            score = _agreement(heard, phrase.words, weights)
            if score > best:
                best, found = score, Heard(choice, values)
    return found


def _agreement(said: tuple[str, ...], phrase: tuple[str, ...], weights: Mapping[str, float]) -> float:
    """How much of the weight of both is in their longest common subsequence, at most 1; 0 if that is not enough."""
    own = sum(_weight(word, weights) for word in phrase)
    total = own + sum(_weight(word, weights) for word in said)
    apart = sum(
        _weight(said[edit.src_pos], weights)
        if edit.tag == "delete"
        else _MISSING * _weight(phrase[edit.dest_pos], weights)
        for edit in LCSseq.editops(said, phrase)
    )
    score = 1.0 - apart / total
    return score if score >= (ENOUGH_SHORT if own <= _SHORT_WEIGHT else ENOUGH) else 0.0


def _weight(word: str, weights: Mapping[str, float]) -> float:
    if word in _FILLERS:
        return _FILLER_WEIGHT
    return _SMALL_WEIGHT if word in _SMALL else weights.get(word, 1.0)


def _weights(groups: Iterable[Iterable[Phrase]]) -> Mapping[str, float]:
    """For each word of the phrases 1 over the root of the number of groups that have it; slots count fully."""
    within: dict[str, int] = {}
    for group in groups:
        for word in {word for phrase in group for word in phrase.words}:
            within[word] = within.get(word, 0) + 1
    return {word: 1.0 if word.startswith("{") else 1.0 / count**0.5 for word, count in within.items()}


def _without_echo(said: tuple[str, ...]) -> tuple[str, ...]:
    """Words said twice in a row count once: "no no"."""
    return tuple(word for index, word in enumerate(said) if index == 0 or said[index - 1] != word)


def _tag(
    said: tuple[str, ...], names: Sequence[str], vocabulary: Vocabulary
) -> tuple[tuple[str, ...], Mapping[str, str]]:
    """`said` with the longest phrases of the slots `names` replaced by `{slot}`, and the values they stand for."""
    tagged: list[str] = []
    values: dict[str, str] = {}
    at = 0
    while at < len(said):
        length, name, value = max(
            (
                (len(phrase), name, value)
                for name in names
                for phrase, value in vocabulary[name].items()
                if said[at : at + len(phrase)] == phrase
            ),
            default=(1, "", ""),
        )
        tagged.append(f"{{{name}}}" if name else said[at])
        if name:
            values[name] = value
        at += length
    return tuple(tagged), values
