"""A scripted customer: what he wants, how he answers, and that he repeats himself until he gets it. Pure.

He understands what the agent says by patterns over its words, as a person who listens does; what the agent understands
of him is the agent's business.
"""

import re
from collections.abc import Sequence
from typing import Final

from attrs import define, field, frozen

#: Whoever has said this much gives up: the call is going in circles.
MOST_SAYINGS: Final = 16


@frozen
class Wish:
    """Something to say, in these `ways` one after the other; what the agent says once `granted` (a regular expression).

    `enough`: hearing that much satisfies him, and he goes on without waiting for the rest.
    """

    ways: Sequence[str]
    granted: str
    enough: bool = False


@frozen
class Answer:
    """What to say, in these `ways`, when the agent's words match `asked` (a regular expression)."""

    asked: str
    ways: Sequence[str]


@define
class Customer:
    """`answers` are tried in order; where none fits he voices his next wish, at last the `farewell`."""

    wishes: Sequence[Wish]
    answers: Sequence[Answer]
    farewell: Sequence[str]
    _granted: int = 0
    _said: list[Sequence[str]] = field(factory=list)

    def reply(self, agent: str) -> str | None:
        """What he says to what the `agent` has just said; None: he hangs up."""
        if len(self._said) >= MOST_SAYINGS:
            return None
        if self._granted < len(self.wishes) and _matches(self.wishes[self._granted].granted, agent):
            self._granted += 1
        wish = self.wishes[self._granted].ways if self._granted < len(self.wishes) else self.farewell
        ways = next((answer.ways for answer in self.answers if _matches(answer.asked, agent)), wish)
        self._said.append(ways)
        return ways[(self._said.count(ways) - 1) % len(ways)]

    def has_enough(self, agent: str) -> bool:
        """Whether he need not hear the rest of what the agent is saying."""
        if self._granted >= len(self.wishes) or not self._said:
            return False
        wish = self.wishes[self._granted]
        return wish.enough and self._said[-1] == wish.ways and _matches(wish.granted, agent)


def _matches(pattern: str, text: str) -> bool:
    return re.search(pattern, text, re.IGNORECASE) is not None
