"""What one attempt of any kind of bench came to, as people and programs are told it. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any

from attrs import asdict, frozen


@frozen
class Verdict:
    """A quality bar and whether it was met; None when the run cannot tell."""

    bar: str
    met: bool | None
    seen: str

    def __str__(self) -> str:
        word = {True: "met", False: "NOT MET", None: "open"}[self.met]
        return f"{word:8} {self.bar} ({self.seen})"


@frozen
class Outcome:
    """`failures` say why it is no run at all, `noise` why it must not be believed; none: believe it."""

    failures: Sequence[str]
    noise: Sequence[str]
    data: Mapping[str, Any]
    lines: Sequence[str]
    verdicts: Sequence[Verdict] = ()

    def as_text(self) -> str:
        """Figures, then what they mean."""
        judged = ["", *map(str, self.verdicts)] if self.verdicts else []
        return "\n".join([*self.lines, *judged])

    def as_data(self) -> dict[str, Any]:
        """The same as data, for JSON."""
        return {"measured": True, **self.data, "verdicts": [asdict(one) for one in self.verdicts]}

    def unbelieved_text(self, attempts: int) -> str:
        """Told after the last of several such attempts: without verdicts."""
        why = f"not measured: the machine was too noisy {attempts} times; at last, {'; '.join(self.noise)}"
        return "\n".join([why, "seen all the same:", "", *self.lines])

    def unbelieved_data(self, attempts: int) -> dict[str, Any]:
        """The same as data, for JSON."""
        return {"measured": False, "attempts": attempts, "reasons": list(self.noise), "seen": dict(self.data)}


def line(name: str, text: str) -> str:
    """One line of a report."""
    return f"{name:24} {text}"


def spread(values: Mapping[str, float]) -> str:
    """Percentiles in milliseconds on one line."""
    return ", ".join(f"{name} {value:.1f} ms" for name, value in values.items())
