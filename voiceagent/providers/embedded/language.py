"""What a recogniser is told of an Expectation: its words, a grammar, and a small trigram model. Pure.

The grammar allows the expected phrases and nothing else. The trigram model allows their words in any order, likely
orders first, among a few hundred everyday words: what it hears tells whether the grammar was forced upon other speech.
"""

import io
from collections import defaultdict
from collections.abc import Iterator
from typing import Final, TypeAlias

from attrs import frozen
from pocketsphinx.lm import ArpaBoLM
from rapidfuzz import fuzz

from voiceagent.ports import Expectation
from voiceagent.providers.embedded.everyday import EVERYDAY

#: From state, to state, probability, word; no word: a step that costs nothing.
Transition: TypeAlias = tuple[int, int, float, str] | tuple[int, int, float]

START, END = "<s>", "</s>"
_FIRST_STATE: Final = 0
FINAL_STATE: Final = 1
#: How often words that mean nothing are expected, in proportion to those that do.
_OTHERS: Final = 0.5
#: How similar (0 to 100) what both models heard must be.
_SIMILAR: Final = 60.0


@frozen
class Language:
    words: tuple[str, ...]
    transitions: tuple[Transition, ...]
    trigram: str  # in ARPA format


def build_language(expected: Expectation) -> Language:
    grammar = _Grammar()
    counts = _Counts()
    for phrase in expected.phrases:
        parts = _parts(phrase, expected)
        grammar.add(parts)
        counts.add(parts)
    return Language(
        words=tuple(sorted({*counts.words, *EVERYDAY})),
        transitions=tuple(grammar.transitions()),
        trigram=counts.arpa(),
    )


#: One word, or the phrases of a slot.
_Part: TypeAlias = tuple[tuple[str, ...], ...]


def _parts(phrase: str, expected: Expectation) -> list[_Part]:
    """A phrase as a sequence of choices of word sequences."""
    return [
        tuple(tuple(value.split()) for value in expected.slots[part[1:-1]]) if part.startswith("{") else ((part,),)
        for part in phrase.split()
    ]


class _Grammar:
    """The phrases as a tree with common beginnings; the values of a slot meet again in one state."""

    def __init__(self) -> None:
        self._next: dict[tuple[int, object], int] = {}
        self._weights: dict[int, dict[tuple[int, str], float]] = defaultdict(lambda: defaultdict(float))
        self._count = 2

    def add(self, parts: list[_Part]) -> None:
        state = _FIRST_STATE
        for choices in parts:
            meeting = self._successor(state, choices)
            for choice in choices:
                self._walk(state, choice, meeting, 1 / len(choices))
            state = meeting
        self._weights[state][FINAL_STATE, ""] += 1

    def _walk(self, state: int, words: tuple[str, ...], meeting: int, weight: float) -> None:
        for word in words[:-1]:
            following = self._successor(state, (meeting, word))
            self._weights[state][following, word] += weight
            state = following
        self._weights[state][meeting, words[-1]] += weight

    def _successor(self, state: int, key: object) -> int:
        if (state, key) not in self._next:
            self._next[state, key] = self._count
            self._count += 1
        return self._next[state, key]

    def transitions(self) -> Iterator[Transition]:
        for state, targets in self._weights.items():
            total = sum(targets.values())
            for (target, word), weight in targets.items():
                yield (state, target, weight / total, word) if word else (state, target, weight / total)


class _Counts:
    """How often words follow each other, every phrase counting once, its slot values sharing that."""

    def __init__(self) -> None:
        self._one: dict[str, float] = defaultdict(float)
        self._two: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))
        self._three: dict[str, dict[str, dict[str, float]]] = defaultdict(
            lambda: defaultdict(lambda: defaultdict(float))
        )

    @property
    def words(self) -> set[str]:
        return set(self._one) - {START, END}

    def add(self, parts: list[_Part]) -> None:
        sentences = _samples(parts)
        for sentence in sentences:
            self._add_sentence((START, *sentence, END), 1 / len(sentences))

    def _add_sentence(self, words: tuple[str, ...], weight: float) -> None:
        for at, word in enumerate(words):
            self._one[word] += weight
            if at + 1 < len(words):
                self._two[word][words[at + 1]] += weight
            if at + 2 < len(words):
                self._three[word][words[at + 1]][words[at + 2]] += weight

    def arpa(self) -> str:
        model = ArpaBoLM()
        others = set(EVERYDAY) - set(self._one)
        share = sum(self._one.values()) * _OTHERS / len(others)
        model.grams_1 = dict(self._one) | dict.fromkeys(others, share)
        model.grams_2 = self._two
        model.grams_3 = self._three
        model.compute()
        target = io.StringIO()
        model.write(target)
        return target.getvalue()


def _samples(parts: list[_Part]) -> list[tuple[str, ...]]:
    """Sentences in which every value of every slot occurs, but not every combination of several slots."""
    count = max((len(choices) for choices in parts), default=0)
    return [tuple(word for choices in parts for word in choices[at % len(choices)]) for at in range(count)]


def judge(*, strict: str, loose: str) -> str:
    """What was said: the phrase the grammar heard, if the free model heard about the same; else nothing."""
    return strict if fuzz.ratio(strict, loose) >= _SIMILAR else ""
