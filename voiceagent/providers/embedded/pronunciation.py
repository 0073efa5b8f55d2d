"""How words sound, in the phones of pocketsphinx: its dictionary, else a guess by spelling."""

import mmap
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

#: Spelling to phones, the longest spelling first at each place. Good enough for names; better ones can be configured.
_SPELLINGS: Final = {
    spelling: tuple(phones.split())
    for spelling, phones in (
        entry.split("=")
        for entry in (  # noqa: SIM905 - a table
            "tion=SH AH N|sion=ZH AH N|ough=AO|augh=AO|eigh=EY|igh=AY|tch=CH|dge=JH|sch=SH|ch=CH|ck=K|sh=SH|th=TH|ph=F|"
            "wh=W|wr=R|kn=N|gh=G|ng=NG|qu=K W|sc=S K|ee=IY|ea=IY|oo=UW|ou=AW|ow=OW|oi=OY|oy=OY|ai=EY|ay=EY|au=AO|"
            "aw=AO|ei=AY|ey=IY|ie=IY|oa=OW|ue=UW|ar=AA R|er=ER|ir=ER|or=AO R|ur=ER|a=AE|b=B|c=K|d=D|e=EH|f=F|g=G|h=HH|"
            "i=IH|j=JH|k=K|l=L|m=M|n=N|o=AA|p=P|q=K|r=R|s=S|t=T|u=AH|v=V|w=W|x=K S|y=IY|z=Z|ce=S|ci=S IH|cy=S IY|'="
        ).split("|")
    )
}
_LONGEST: Final = max(map(len, _SPELLINGS))
_LOST_Z: Final = re.compile(r"(?<=\b[LMN] )Z$|\bZ(?= D\b)")
_LOST_R: Final = re.compile(r"\bER(?= Z\b)")
_LETTER: Final = re.compile(r"[a-z']+")


class Pronunciations:
    """Looks words up in a dictionary file, which stays mapped, not loaded (3 MB, shared by all processes)."""

    def __init__(self, dictionary: Path) -> None:
        with dictionary.open("rb") as file:
            self._text = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        self._known: dict[str, tuple[str, ...]] = {}  # of the words of flows: hundreds

    def of(self, word: str) -> tuple[str, ...]:
        """Every pronunciation of `word`, each as phones separated by spaces; one at least, the best first."""
        if word not in self._known:
            found = tuple(self._find(word)) or (spell(word),)
            self._known[word] = tuple(
                dict.fromkeys(variant for phones in found for variant in on_the_telephone(phones))
            )
        return self._known[word]

    def _find(self, word: str) -> Iterator[str]:
        at = self._first_line(word)
        while at < len(self._text):
            end = self._text.find(b"\n", at)
            end = end if end >= 0 else len(self._text)
            name, _, phones = self._text[at:end].decode().partition(" ")
            if name.partition("(")[0] != word:
                return
            yield phones.strip()
            at = end + 1

    def _first_line(self, word: str) -> int:
        """Where the first line not before `word` begins: the file is sorted by word, then `word(2)` and so on."""
        low, high = 0, len(self._text)
        while low < high:
            middle = self._text.rfind(b"\n", low, (low + high) // 2) + 1 or low
            end = self._text.find(b"\n", middle)
            end = end if end >= 0 else len(self._text)
            if self._text[middle:end].decode().partition(" ")[0].partition("(")[0] < word:
                low = end + 1
            else:
                high = middle
        return low


def on_the_telephone(phones: str) -> Iterator[str]:
    """`phones`, and how they sound when what is above 4 kHz is gone: z after or before other voiced sounds like d."""
    yield phones
    yield _LOST_Z.sub("D", phones)
    yield _LOST_R.sub("UH", phones)


def spell(word: str) -> str:
    """A guess at how an unknown word sounds, by English spelling. Raises ValueError when it has no Latin letters."""
    letters = "".join(_LETTER.findall(word.lower()))
    if len(letters) > 2 and letters.endswith("e") and letters[-2] not in "aeiou":
        letters = letters[:-1]  # silent
    letters = re.sub(r"([b-df-hj-np-tv-z])\1", r"\1", letters)
    phones: list[str] = []
    at = 0
    while at < len(letters):
        size = next(size for size in range(_LONGEST, 0, -1) if letters[at : at + size] in _SPELLINGS)
        phones += _SPELLINGS[letters[at : at + size]]
        at += size
    if not phones:
        raise ValueError(f"{word!r} cannot be pronounced")
    return " ".join(phones)
