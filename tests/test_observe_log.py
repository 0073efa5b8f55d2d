"""The log: what it says and what it keeps to itself."""

import errno
import io
import re

import pytest

from voiceagent import journal
from voiceagent.journal import Event
from voiceagent.observe.log import line_of, log_to

CALL = "6f1c3b1e-0000-4000-8000-000000000001"


def test_a_call_is_one_canonical_line_at_its_end() -> None:
    ended = journal.CallEnded(
        12.5, CALL, "reception", "caller-hung-up", "", 63.24, 5, 3162, 3160, 2, {"barge_ins": 1, "restarts": 0}
    )
    assert line_of(ended) == (
        f"call-ended call={CALL} agent=reception cause=caller-hung-up seconds=63.24 turns=5 "
        "frames_received=3162 frames_sent=3160 frames_dropped=2 barge_ins=1 restarts=0"
    )


@pytest.mark.parametrize(
    ("event", "line"),
    [
        (journal.ServiceStopping(0.0, 3, 30.0), "service-stopping live_calls=3 drain_s=30"),
        (
            journal.ConnectionRefused(0.0, "[::1]:40000", "peer not allowed"),
            'connection-refused peer=[::1]:40000 reason="peer not allowed"',
        ),
        (
            journal.CallStarted(0.0, CALL, "127.0.0.1:1", "echo"),
            f"call-started call={CALL} peer=127.0.0.1:1 agent=echo",
        ),
        (
            journal.ProviderFailed(0.0, CALL, "embedded", 'worker said "no"\nand left'),
            f'provider-failed call={CALL} provider=embedded message="worker said \\"no\\"\\nand left"',
        ),
        (journal.CallCrashed(0.0, CALL, "a\nb"), f'call-crashed call={CALL} traceback="a\\nb"'),
        (journal.AriConnected(0.0, "voiceagent", 3), "ari-connected application=voiceagent channels=3"),
        (journal.AriLost(0.0, "no answer to a ping", 0.25), 'ari-lost reason="no answer to a ping" retry_s=0.25'),
        (journal.AriReplaced(0.0, "voiceagent"), "ari-replaced application=voiceagent"),
        (journal.AriEventBad(0.0, "Dial.peer: is missing"), 'ari-event-bad problem="Dial.peer: is missing"'),
        (
            journal.WorkerRestarted(0.0, "embedded", "no answer"),
            'worker-restarted provider=embedded reason="no answer"',
        ),
    ],
)
def test_an_event_is_its_name_and_its_fields(event: Event, line: str) -> None:
    assert line_of(event) == line


@pytest.mark.parametrize(
    "event",
    [
        journal.CallerSaid(0.0, CALL, "my card number is", 0.1),
        journal.AgentSaid(0.0, CALL, "thank you", 1.0),
        journal.CallerKeyed(0.0, CALL, "7"),
    ],
)
def test_what_is_said_and_keyed_is_not_logged(event: Event) -> None:
    assert line_of(event) is None


def test_a_line_opens_with_the_time_and_is_written_at_once() -> None:
    stream = io.StringIO()
    write = log_to(stream, "desk-1")
    write(journal.CallerSaid(0.0, CALL, "hello", 0.1))
    write(journal.WorkerRestarted(0.0, "embedded", "hung"))
    pattern = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z desk-1 worker-restarted provider=embedded reason=hung\n"
    assert re.fullmatch(pattern, stream.getvalue())


class FullDisk(io.StringIO):
    def write(self, text: str) -> int:  # noqa: ARG002
        raise OSError(errno.ENOSPC, "No space left on device")


def test_a_log_nobody_can_write_to_stops_nothing() -> None:
    log_to(FullDisk(), "desk-1")(journal.WorkerRestarted(0.0, "embedded", "hung"))
