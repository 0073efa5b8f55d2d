"""Where a media leg's connection meets the call that asked for it. Pure.

The call announces a UUID before Asterisk is told to connect; whoever says it first, in time, is the leg.
"""

from typing import Generic, TypeVar
from uuid import UUID

from attrs import define, field

T = TypeVar("T")


@define
class Rendezvous(Generic[T]):
    """At most one entry for each call in progress: a call withdraws what it announced."""

    _announced: dict[UUID, tuple[T, float]] = field(factory=dict, init=False)

    def announce(self, leg: UUID, waiting: T, until: float) -> None:
        """`waiting` expects `leg` to connect before the time `until`."""
        self._announced[leg] = (waiting, until)

    def withdraw(self, leg: UUID) -> None:
        """It is expected no longer, whether it came or not."""
        self._announced.pop(leg, None)

    def claim(self, leg: UUID, now: float) -> T | None:
        """A connection says it is `leg`: who waits for it, and None when nobody does (any more). Works once."""
        waiting, until = self._announced.pop(leg, (None, now))
        return waiting if now <= until else None
