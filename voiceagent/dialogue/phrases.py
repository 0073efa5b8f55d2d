"""Words and phrase templates: how spoken text is compared with what a flow expects.

A template is plain lower-case words with three marks: `[a few words]` may be left out, `(this|that)` is a choice, and
`{slot}` stands for any phrase of that slot. `expand` turns a template into every plain phrase it stands for.
"""

import re
from collections.abc import Callable

#: One template may stand for at most this many phrases: recognisers are given them all.
MAX_EXPANSION = 32

_GROUP = re.compile(r"\[([^][()]*)\]|\(([^][()]*)\)")
_PLAIN = re.compile(r"(?:[a-z']+|\{[a-z_]+\})(?: (?:[a-z']+|\{[a-z_]+\}))*")
_SLOT = re.compile(r"\{([^{}]*)\}")
_WORD = re.compile(r"[0-9]+|[^\W\d_]+(?:'[^\W\d_]+)*")

_SHORT = re.compile(r"(?<=[a-z])'(?:d|m|re|ll|ve)\b|(?:(?<=that|what)|(?<=where|there)|(?<=it))'s\b")
_LONG = {"d": "would", "m": "am", "re": "are", "ll": "will", "ve": "have", "s": "is"}

_ONES = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen"
)
_SMALL = (*_ONES.split(), "eighteen", "nineteen")
_TENS = ("", "", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
_NUMBERS = frozenset((*_SMALL, *_TENS))


def words(text: str) -> tuple[str, ...]:
    """The words of `text`, lower case, no punctuation; "9 a.m." is nine a m, "i'd" is i would."""
    text = _SHORT.sub(lambda found: f" {_LONG[found[0][1:]]}", text.lower().replace("’", "'"))
    text = re.sub(r"\b(\d{1,2}):00\b", r"\1", text)
    heard: list[str] = []
    for word in _WORD.findall(text):
        if word in ("am", "pm") and heard and heard[-1] in _NUMBERS:
            heard += (word[0], "m")
        else:
            heard += _number(word)
    return tuple(heard)


def _number(word: str) -> tuple[str, ...]:
    if not (word.isascii() and word.isdigit()):
        return (word,)
    value = int(word) if len(word) <= 2 else 100
    if value >= 100:
        return tuple(_SMALL[int(digit)] for digit in word)
    if value < 20:
        return (_SMALL[value],)
    return (_TENS[value // 10], *((_SMALL[value % 10],) if value % 10 else ()))


def expand(template: str) -> tuple[str, ...]:
    """Every phrase `template` stands for, in order. Raises ValueError saying what is wrong with it."""
    waiting, phrases = [template], dict[str, None]()
    while waiting:
        text = waiting.pop(0)
        group = _GROUP.search(text)
        if group is None:
            phrases[" ".join(text.split())] = None
        else:
            choices = ["", group[1]] if group[1] is not None else group[2].split("|")
            waiting[:0] = [f"{text[: group.start()]} {choice} {text[group.end() :]}" for choice in choices]
        if len(waiting) + len(phrases) > MAX_EXPANSION:
            raise ValueError(f"stands for more than {MAX_EXPANSION} phrases")
    for phrase in phrases:
        if not _PLAIN.fullmatch(phrase):
            raise ValueError("is not plain lower-case words with [optional], (one|other) and {slot}")
    return tuple(phrases)


def slots_in(text: str) -> tuple[str, ...]:
    """The names in braces in `text`, in order."""
    return tuple(_SLOT.findall(text))


def replace_slots(text: str, value: Callable[[str], str]) -> str:
    """`text` with every `{name}` replaced by `value(name)`."""
    return _SLOT.sub(lambda found: value(found[1]), text)
