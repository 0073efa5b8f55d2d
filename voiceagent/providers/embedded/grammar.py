"""What a recogniser is told of an Expectation: its words, and a grammar of its phrases. Pure."""

from collections import defaultdict
from collections.abc import Iterator
from typing import Final, TypeAlias

from attrs import frozen

from voiceagent.ports import Expectation

#: From state, to state, probability, word; no word: a step that costs nothing.
Transition: TypeAlias = tuple[int, int, float, str] | tuple[int, int, float]

_FIRST_STATE: Final = 0
FINAL_STATE: Final = 1

#: What callers say that means nothing. Without a place of its own it would be taken for the shortest phrase near it.
ASIDES: Final = (
    "hello",
    "hi",
    "hey",
    "hello hello",
    "uh huh",
    "um",
    "sorry",
    "excuse me",
    "what",
    "one moment",
    "okay",
)


@frozen
class Grammar:
    """A graph from state 0 to FINAL_STATE: the expected phrases and the asides, each as likely as any other."""

    words: tuple[str, ...]
    transitions: tuple[Transition, ...]


def build_grammar(expected: Expectation) -> Grammar:
    tree = _Tree()
    for phrase in (*expected.phrases, *ASIDES):
        tree.add(_parts(phrase, expected))
    transitions = tuple(tree.transitions())
    words = {transition[3] for transition in transitions if len(transition) == 4}
    return Grammar(tuple(sorted(words)), transitions)


#: One word, or the phrases of a slot.
_Part: TypeAlias = tuple[tuple[str, ...], ...]


def _parts(phrase: str, expected: Expectation) -> list[_Part]:
    """A phrase as a sequence of choices of word sequences."""
    return [
        tuple(tuple(value.split()) for value in expected.slots[part[1:-1]]) if part.startswith("{") else ((part,),)
        for part in phrase.split()
    ]


class _Tree:
    """The phrases with their common beginnings shared; the values of a slot meet again in one state."""

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
