"""What becomes of a caller when the agent's part of the call is over. Pure."""

from collections.abc import Mapping
from typing import Final

from attrs import frozen

from voiceagent.pbx.line import LineEnd

#: What the channel variable VOICEAGENT_RESULT says, by the cause of the call's end; FAILED for all others.
RESULTS: Final[Mapping[str, str]] = {
    "agent hung up": "DONE",
    "transferred": "TRANSFER",
    "maximum duration": "TIMEOUT",
    "too many calls": "BUSY",
    "service stopped": "STOPPED",
}


@frozen
class Release:
    """Back to the dialplan, which can read `result` and `target` (of a transfer), or hung up."""

    result: str
    target: str = ""
    hangs_up: bool = False

    @property
    def variables(self) -> dict[str, str]:
        """The channel variables that tell the dialplan."""
        target = {"VOICEAGENT_TARGET": self.target} if self.target else {}
        return {"VOICEAGENT_RESULT": self.result, **target}


def release_for(ending: LineEnd, at_end: str) -> Release:
    """`at_end` is as configured: "continue" or "hang up". A transfer is the dialplan's in any case."""
    result = RESULTS.get(ending.cause, "FAILED")
    transfer = result == "TRANSFER"
    return Release(result, ending.detail if transfer else "", hangs_up=at_end == "hang up" and not transfer)
