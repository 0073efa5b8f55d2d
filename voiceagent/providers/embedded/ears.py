"""pocketsphinx listening for what one Expectation says.

Only for worker programs: the library holds the interpreter while it works.
"""

import os
import warnings
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from math import log
from pathlib import Path
from typing import Final

from pocketsphinx import get_model_path
from pocketsphinx._pocketsphinx import Decoder

from voiceagent.ports import Expectation
from voiceagent.providers.embedded.confidence import Segment, words_of
from voiceagent.providers.embedded.front_end import FrontEnd
from voiceagent.providers.embedded.grammar import FINAL_STATE, Grammar, build_grammar
from voiceagent.providers.embedded.pronunciation import Pronunciations

#: Seconds of one turn that are listened to; the rest is ignored.
MAX_TURN_S: Final = 30.0
#: Recognisers kept for further turns, of which each turn needs two; each takes about 4 MB. More may be at work at the
#: same time.
_IDLE: Final = 16

#: The library's likelihoods are numbers near 1; this one is as good as impossible.
_LEAST: Final = 1e-300
#: What the mean spectrum of telephone speech is before any has been heard.
_SPECTRUM: Final = "46,-5,-1,1,1,-18,1.5,-15,-7,4,-7.5,1,-4"
_SETTINGS: Final = {
    "hmm": get_model_path("en-us/en-us"),
    "lm": None,
    "fwdflat": False,  # these two passes would begin only at the end of the turn, and take up to a second
    "bestpath": False,
    "cmninit": _SPECTRUM,
    "beam": 1e-80,  # wider than usual: the search space is small, the audio poor
    "pbeam": 1e-80,
    "wbeam": 1e-60,
    "loglevel": "FATAL",
}


class Ears:
    """A decoder for one grammar."""

    def __init__(self, grammar: Grammar, pronunciations: Pronunciations) -> None:
        with _file_of(_dictionary(grammar.words, pronunciations)) as dictionary:
            self._decoder = Decoder(dict=dictionary, **_SETTINGS)
        model = self._decoder.create_fsg("phrases", 0, FINAL_STATE, list(grammar.transitions))
        self._decoder.add_fsg("phrases", model)
        self._decoder.activate_search("phrases")

    def begin(self) -> None:
        """Nothing is left of the caller before: neither his mean spectrum nor the noise around him."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # it claims to be unnecessary, but forgets the noise
            self._decoder.start_stream()
        self._decoder.set_cmn(_SPECTRUM)
        self._decoder.start_utt()

    def hear(self, data: bytes) -> None:
        """s16le at 16 kHz."""
        self._decoder.process_raw(data)

    def end(self) -> list[Segment]:
        """What it takes the audio for; nothing when there was none."""
        self._decoder.end_utt()
        if self._decoder.hyp() is None:
            return []
        return [
            Segment(each.word, each.end_frame - each.start_frame + 1, -log(max(each.ascore, _LEAST)))
            for each in self._decoder.seg()
        ]


class EarsPool:
    """Ears by Expectation, the least recently used idle ones given up first."""

    def __init__(self) -> None:
        self._pronunciations = Pronunciations(Path(get_model_path("en-us/cmudict-en-us.dict")))
        self._idle: OrderedDict[int, tuple[Expectation, Ears]] = OrderedDict()
        self._number = 0

    def take(self, expected: Expectation) -> Ears:
        """Idle ears for `expected`, or new ones (50 to 100 ms). Raises ValueError for words without a sound."""
        for number, (known, ears) in reversed(self._idle.items()):
            if known == expected:
                del self._idle[number]
                return ears
        return Ears(build_grammar(expected), self._pronunciations)

    def give_back(self, expected: Expectation, ears: Ears) -> None:
        self._number += 1
        self._idle[self._number] = (expected, ears)
        if len(self._idle) > _IDLE:
            self._idle.popitem(last=False)


class _Hearing:
    """One way of hearing a turn: its own ears behind its own front end."""

    def __init__(self, ears: Ears, *, hiss: bool) -> None:
        self.ears = ears
        self._hiss = hiss
        self._front_end: FrontEnd | None = None
        self._rate = 0
        ears.begin()

    def hear(self, rate: int, data: bytes) -> None:
        if self._front_end is None or rate != self._rate:
            self._front_end, self._rate = FrontEnd(rate, hiss=self._hiss), rate
        if wide := self._front_end.convert(data):
            self.ears.hear(wide)


class Turn:
    """One turn of one caller, heard as it is and with a hiss: confidence.py compares the two."""

    def __init__(self, pool: EarsPool, expected: Expectation) -> None:
        self._pool = pool
        self._expected = expected
        self._heard_s = 0.0
        hisses = (False, True) if expected.phrases else ()
        self._hearings = [_Hearing(pool.take(expected), hiss=hiss) for hiss in hisses]

    def hear(self, rate: int, data: bytes) -> None:
        """The next s16le audio. Ignored beyond MAX_TURN_S."""
        if self._heard_s > MAX_TURN_S:
            return
        self._heard_s += len(data) / (2 * rate)
        for hearing in self._hearings:
            hearing.hear(rate, data)

    def finish(self) -> str:
        """The turn's words, empty when it was none of what is expected, or anything may be said.

        The turn is of no use after that.
        """
        if not self._hearings:
            return ""
        text = words_of([hearing.ears.end() for hearing in self._hearings])
        for hearing in self._hearings:
            self._pool.give_back(self._expected, hearing.ears)
        self._hearings.clear()
        return text


def _dictionary(words: Sequence[str], pronunciations: Pronunciations) -> str:
    lines: list[str] = []
    for word in words:
        for number, phones in enumerate(pronunciations.of(word), start=1):
            lines.append(f"{word} {phones}" if number == 1 else f"{word}({number}) {phones}")
    return "\n".join(lines) + "\n"


@contextmanager
def _file_of(text: str) -> Iterator[str]:
    """The path of a file in memory: the library reads these things from files only."""
    descriptor = os.memfd_create("voiceagent")
    try:
        os.write(descriptor, text.encode())
        yield f"/proc/self/fd/{descriptor}"
    finally:
        os.close(descriptor)
