"""What becomes of callers after the agent's part."""

import pytest

from voiceagent.calls.release import release_for
from voiceagent.pbx.line import LineEnd


@pytest.mark.parametrize(
    ("cause", "result"),
    [
        ("agent hung up", "DONE"),
        ("maximum duration", "TIMEOUT"),
        ("too many calls", "BUSY"),
        ("service stopped", "STOPPED"),
        ("crash", "FAILED"),
        ("media leg lost", "FAILED"),
        ("provider failed", "FAILED"),
    ],
)
def test_the_dialplan_is_told_how_it_went(cause: str, result: str) -> None:
    release = release_for(LineEnd(cause, "some detail"), "continue")
    assert (release.variables, release.hangs_up) == ({"VOICEAGENT_RESULT": result}, False)
    assert release_for(LineEnd(cause), "hang up").hangs_up


def test_a_transfer_is_the_dialplans_whatever_is_configured() -> None:
    for at_end in ("continue", "hang up"):
        release = release_for(LineEnd("transferred", "sales"), at_end)
        assert release.variables == {"VOICEAGENT_RESULT": "TRANSFER", "VOICEAGENT_TARGET": "sales"}
        assert not release.hangs_up
