"""The bench as a command: what it refuses, and one small run of the real thing."""

import argparse
import json

import pytest

from tests.serving import REAL_TIME
from voiceagent.cli import main
from voiceagent.cli.bench import run
from voiceagent.cli.bench_child import BenchError, open_child
from voiceagent.cli.bench_load import Plan, attempt
from voiceagent.cli.bench_report import outcome

pytestmark = REAL_TIME


@pytest.mark.parametrize(
    "wrong",
    [
        ["--calls", "0"],
        ["--calls", "901"],
        ["--seconds", "0.5"],
        ["--seconds", "3601"],
        ["--agent", "x"],
        ["--churn", "0"],
        ["--offer", "1"],
        ["--offer", "30", "--churn", "5"],
    ],
)
def test_loads_beyond_the_bounds_are_refused(wrong: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["bench", *wrong])
    assert ended.value.code == 2
    assert wrong[0] in capsys.readouterr().err


def arguments(**changed: object) -> argparse.Namespace:
    usual: dict[str, object] = {"churn": None, "offer": None, "calls": 4, "seconds": 1.0, "agent": "echo"}
    return argparse.Namespace(**{**usual, "set": [], "json": False, **changed})


def test_a_wrong_setting_is_told_before_anything_starts(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(arguments(set=["service.max_cals=3"])) == 1
    assert "service.max_cals" in capsys.readouterr().err


def test_more_frames_than_the_generator_could_note_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(arguments(calls=500, seconds=3600.0)) == 2
    assert "calls x seconds: at most 360000" in capsys.readouterr().err


def test_an_offer_that_the_service_takes_whole_proves_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(arguments(offer=300, set=["service.max_calls=300"])) == 1
    assert "service.max_calls=300 takes them all" in capsys.readouterr().err


async def test_a_child_that_ends_is_an_error_and_not_a_wait() -> None:
    async with open_child("the child", "voiceagent.lab.measure") as child:  # says nothing and ends
        with pytest.raises(BenchError, match="the child has ended"):
            await child.hear(30.0)


async def test_a_small_run_adds_up() -> None:
    run = await attempt(Plan(calls=4, seconds=0.4, agent="echo", controls=1), "test")
    assert run.failures() == []
    end, start = run.end, run.start
    hung_up = 8  # each call once one by one, and once with the rest
    # At the hang-up a frame may be due on a connection that is gone: it counts as due and as nothing else.
    assert 0 <= (end.due - start.due) - (end.sent - start.sent) - (end.dropped - start.dropped) <= hung_up
    for segment, calls in ((run.service, 8), (run.fresh[0], 4), (run.warmed[0], 4)):
        assert segment.load.opened == len(segment.load.closed) == calls
        assert segment.load.received == segment.load.lateness.total
        # What comes back is the callers' own tone; on a stalled machine frames come late or never, but not all of them.
        assert 0 < segment.load.loud <= segment.load.received
        assert 0.5 < segment.load.received / segment.load.sent < 2
        assert segment.cpu_s > 0
    # What the service dropped is missing on the wire, and nothing else; per call, two frames may be late at the end.
    assert abs(run.service.load.missing - (end.dropped - start.dropped)) <= 2 * hung_up
    assert len(run.release_s) == 4
    assert min(run.release_s) >= 0
    assert run.release_all_s > 0
    assert (run.over.live, run.end.live) == (4, 0)
    assert run.end.tasks == run.start.tasks < run.over.tasks
    assert run.ticker.total > 0
    assert json.loads(json.dumps(outcome(run).as_data()))["calls"] == 4
    assert "tasks" in outcome(run).as_text()
