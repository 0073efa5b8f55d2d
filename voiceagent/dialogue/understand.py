"""Which of the phrases that count now was said, if any, and with which slot values. Pure."""

from collections.abc import Mapping, Sequence

from attrs import frozen
from rapidfuzz import fuzz

from voiceagent.dialogue.phrases import slots_in, words

#: Similarity (0 to 100) from which a phrase counts as said; short ones must be nearly exact.
_ENOUGH = 78.0
_ENOUGH_SHORT = 90.0

#: slot -> the words of each of its phrases -> canonical value
Vocabulary = Mapping[str, Mapping[tuple[str, ...], str]]


@frozen
class Heard:
    """`choice` is the index of the group of phrases that matched; `slots` are the values said, canonical."""

    choice: int
    slots: Mapping[str, str]


def understand(text: str, groups: Sequence[Sequence[str]], vocabulary: Vocabulary) -> Heard | None:
    """The best match of `text` among the phrases of `groups`, or None if nothing is near enough.

    Slot values come only from words that are there. Of equal matches the earlier group wins.
    """
    said = words(text)
    best, found = 0.0, None
    for choice, group in enumerate(groups):
        for phrase in group:
            tagged, slots = _tag(said, slots_in(phrase), vocabulary)
            if len(slots) < len(slots_in(phrase)):
                continue
            score = fuzz.ratio(" ".join(tagged), phrase)
            if score > best and score >= (_ENOUGH_SHORT if len(phrase.split()) <= 2 else _ENOUGH):
                best, found = score, Heard(choice, slots)
    return found


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
