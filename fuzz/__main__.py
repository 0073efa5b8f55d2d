"""`python -m fuzz --minutes M`: attack the decoder and the service until the time is up or something is found.

Progress goes to standard output: inputs so far and per second. A finding is made small, shown, and kept in fuzz/corpus,
where the test suite replays it. Exit codes: 0 nothing was found, 1 a finding.
"""

import argparse
import random
import sys
import time
import traceback
from collections.abc import Sequence
from itertools import count
from typing import Final, Protocol

import hypothesis
from attrs import define, field
from hypothesis import HealthCheck, Phase, given, settings

from fuzz import corpus, decoder, service
from fuzz.decoder import DecoderInput
from fuzz.plans import Plan, plans, to_json

_SAY_EVERY_S: Final = 10.0
#: The clock is looked at once in so many of the decoder's inputs.
_DECODER_BATCH: Final = 500
#: Plans that hypothesis makes from one seed; it begins with small ones each time.
_SERVICE_BATCH: Final = 200


class Finding(Exception):  # noqa: N818 - a finding is what this is for
    """An input that breaks a property. `where` it is kept."""

    def __init__(self, target: str, content: object, error: BaseException) -> None:
        where = corpus.keep(target, content)
        text = "".join(traceback.format_exception(error))
        super().__init__(f"{text}\nFOUND in {target}, kept as {where}:\n{where.read_text(encoding='utf-8')}")


@define
class Progress:
    """Counts the inputs of one target until its time is up."""

    target: str
    unit: str
    seconds: float
    inputs: int = 0
    _began: float = field(factory=time.monotonic)
    _said: float = field(factory=time.monotonic)

    def add(self, inputs: int) -> None:
        self.inputs += inputs
        if time.monotonic() - self._said >= _SAY_EVERY_S:
            self.say()

    @property
    def is_over(self) -> bool:
        return time.monotonic() - self._began >= self.seconds

    def say(self) -> None:
        self._said = time.monotonic()
        elapsed = self._said - self._began
        rate = self.inputs / elapsed if elapsed else 0.0
        _print(f"{self.target}: {self.inputs:,} {self.unit} in {elapsed:,.0f} s, {rate:,.1f}/s")


class Target(Protocol):
    def __call__(self, seed: int, progress: Progress) -> None:
        """Check inputs until `progress` is over. Raises Finding."""


def attack_decoder(seed: int, progress: Progress) -> None:
    """One input is one stream, checked in up to three cuttings."""
    maker = decoder.Maker(seed)
    while not progress.is_over:
        for _ in range(_DECODER_BATCH):
            given = maker.next()
            try:
                decoder.check(given)
            except Exception:  # whatever it raises is what we look for
                smallest = decoder.shrink(given, lambda other: _failure(other) is not None)
                error = _failure(smallest)
                assert error is not None
                raise Finding("decoder", corpus.from_decoder_input(smallest), error) from None
        progress.add(_DECODER_BATCH)


def _failure(given: DecoderInput) -> Exception | None:
    try:
        decoder.check(given)
    except Exception as error:  # whatever it raises is what we look for
        return error
    return None


def attack_service(seed: int, progress: Progress) -> None:
    """One input is one plan: a service with a few callers, from start to end. Hypothesis makes and shrinks them."""
    last: list[tuple[Plan, Exception]] = []  # hypothesis ends with the smallest plan that fails

    @settings(
        max_examples=_SERVICE_BATCH,
        deadline=None,
        database=None,
        phases=[Phase.generate, Phase.shrink],
        report_multiple_bugs=False,
        print_blob=False,
        suppress_health_check=list(HealthCheck),
    )
    @given(plans())
    def check(plan: Plan) -> None:
        if progress.is_over and not last:
            return
        try:
            service.check(plan)
        except Exception as error:
            last[:] = [(plan, error)]
            raise
        if not last:
            progress.add(1)

    for number in count():
        if progress.is_over:
            return
        try:
            hypothesis.seed(hash((seed, number)))(check)()
        except Exception:  # whatever it raises is what we look for
            if not last:
                raise
            plan, error = last[0]
            raise Finding("service", to_json(plan), error) from None


TARGETS: Final[dict[str, tuple[Target, str]]] = {
    "decoder": (attack_decoder, "streams"),
    "service": (attack_service, "runs"),
}


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser("fuzz", description="Attack the decoder and a whole service with made-up input.")
    parser.add_argument("--minutes", type=float, default=1.0, help="altogether (default 1)")
    parser.add_argument("--target", choices=[*TARGETS, "all"], default="all")
    parser.add_argument("--seed", type=int, help="the same seed makes the same inputs (default: a new one)")
    chosen = parser.parse_args(arguments)
    seed = random.SystemRandom().randrange(2**32) if chosen.seed is None else chosen.seed
    names = list(TARGETS) if chosen.target == "all" else [chosen.target]
    for name in names:
        attack, unit = TARGETS[name]
        progress = Progress(name, unit, chosen.minutes * 60 / len(names))
        _print(f"{name}: seed {seed}")
        try:
            attack(seed, progress)
        except Finding as finding:
            _print(str(finding))
            return 1
        finally:
            progress.say()
    return 0


def _print(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
