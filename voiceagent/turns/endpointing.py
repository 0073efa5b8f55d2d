"""When the caller starts to speak, when he means it, when he has finished.

Plain silence endpointing: a turn starts with `onset_s` of voice, is confirmed (and interrupts the agent) after
`confirm_s` of voice, and ends after `end_silence_s` without any, or at `max_turn_s`.
"""

from enum import Enum, auto

from attrs import frozen


class Decision(Enum):
    """What a frame brought about."""

    STARTED = auto()
    CONFIRMED = auto()
    ENDED = auto()
    #: The turn was a click or a cough: less voice than anyone needs to say a word.
    DISMISSED = auto()


@frozen
class Endpointing:
    """Limits in seconds."""

    end_silence_s: float = 0.6
    confirm_s: float = 0.2
    onset_s: float = 0.06
    min_voice_s: float = 0.12
    max_turn_s: float = 30.0


class TurnDetector:
    """Follows one caller. Frames come in order with the time `now` at which each ended."""

    def __init__(self, limits: Endpointing) -> None:
        self._limits = limits
        self._voice = 0.0
        self._started_at: float | None = None
        self._confirmed = False
        self.voice_ended = 0.0

    @property
    def in_turn(self) -> bool:
        return self._started_at is not None

    @property
    def deadline(self) -> float | None:
        """When the turn in progress ends if no further voice comes; None outside a turn."""
        if self._started_at is None:
            return None
        return min(self.voice_ended + self._limits.end_silence_s, self._started_at + self._limits.max_turn_s)

    def feed(self, *, speech: bool, seconds: float, now: float) -> Decision | None:
        """A frame of `seconds` that ended at `now`, with voice in it or not."""
        if speech:
            self._voice += seconds
            self.voice_ended = now
        elif self._started_at is None:
            self._voice = max(0.0, self._voice - seconds)
        if self._started_at is None:
            if self._voice >= self._limits.onset_s - 1e-9:
                self._started_at = now
                return Decision.STARTED
            return None
        if not self._confirmed and self._voice >= self._limits.confirm_s - 1e-9:
            self._confirmed = True
            return Decision.CONFIRMED
        return self.expire(now)

    def expire(self, now: float) -> Decision | None:
        """Time alone can end a turn: frames may stop coming."""
        deadline = self.deadline
        if deadline is None or now < deadline - 1e-9:
            return None
        enough = self._voice >= self._limits.min_voice_s - 1e-9
        self.reset()
        return Decision.ENDED if enough else Decision.DISMISSED

    def reset(self) -> None:
        """Forget the turn in progress, if any."""
        self._voice = 0.0
        self._started_at = None
        self._confirmed = False
