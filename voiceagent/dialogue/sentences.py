"""Streamed text, cut into sentences that can be spoken one by one. Pure.

A sentence ends at `.`, `!`, `?` or `…` (and closing quotes) before white space, and at every line break; it is known to
have ended when the first character after it arrives, because only that tells "9 a.m. We open" from "9 a.m. on Monday".
Text is taken character by character, so how it was split into pieces can make no difference.
"""

import re

#: Longest sentence in characters, and so the most that is ever held back: about 20 s of speech.
LIMIT = 300

#: Never the end of a sentence, whatever follows.
_TITLES = frozenset(["mr", "mrs", "ms", "dr", "prof", "st", "mt", "messrs", "vs", "approx", "dept", "ext", "tel"])
#: The end only before a capital letter.
_MAYBE = frozenset(("a.m", "p.m", "etc", "inc", "ltd", "co"))

_END = re.compile(r"""[.!?…]+["'”’)\]]*$""")
_LAST_WORD = re.compile(r"""[^\s"'“‘(\[]+$""")
_DOTTED = re.compile(r"(?:[^\W\d_]\.)*[^\W\d_]")  # initials: J, U.S, e.g
_CLAUSE = re.compile(r"[,;:–—](?= )")


class SentenceCutter:
    """Feed it pieces with `push`, and `flush` when there are no more. Every sentence returned has a letter or digit."""

    def __init__(self, *, limit: int = LIMIT) -> None:
        self._limit = limit
        self._held = ""  # at most `limit` characters: what is longer is cut at once

    def push(self, text: str) -> list[str]:
        """The sentences that `text` completes, without the white space around them."""
        return [sentence for character in text for sentence in self._take(character)]

    def flush(self) -> list[str]:
        """What is left, as there is no more text."""
        return self._cut(len(self._held))

    def _take(self, character: str) -> list[str]:
        if character in "\r\n":
            return self.flush()
        if character.isspace():
            if self._held and not self._held.endswith(" "):
                self._held += " "
            return self._too_long()
        done = self._cut(len(self._held)) if self._held.endswith(" ") and _is_end(self._held[:-1], character) else []
        self._held += character
        return done + self._too_long()

    def _too_long(self) -> list[str]:
        """Cut an overlong run after a clause in its second half, else between words, else anywhere."""
        if len(self._held) <= self._limit:
            return []
        clauses = [found.end() for found in _CLAUSE.finditer(self._held, self._limit // 2)]
        space = self._held.rfind(" ", 1, self._limit + 1)
        return self._cut(clauses[-1] if clauses else space if space > 0 else self._limit)

    def _cut(self, at: int) -> list[str]:
        sentence, self._held = self._held[:at].strip(), self._held[at:].lstrip()
        return [sentence] if any(character.isalnum() for character in sentence) else []


def _is_end(text: str, following: str) -> bool:
    """Whether the sentence `text` is complete, when `following` comes after a space."""
    end = _END.search(text)
    if end is None:
        return False
    if end[0] != ".":
        return True
    before = text[: end.start()]
    last = _LAST_WORD.search(before)
    word = last[0].lower() if last else ""
    if word in _MAYBE:
        return following.isupper()
    if word == "no":
        return not following.isdigit()  # "No. 5"
    if word in _TITLES or (word.isdigit() and word == before):  # "1. First, …"
        return False
    return _DOTTED.fullmatch(word) is None or word == "i"
