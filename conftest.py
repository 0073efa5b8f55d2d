"""How the suite shares out its time, and what becomes of calls in real time on a machine that stands still.

The whole suite runs in two processes, a test file by itself in none but this.
"""

import json
import os
import subprocess
import sys
from collections.abc import Generator, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

#: A machine that kept even a process that only sleeps for so long proves nothing about a call that failed meanwhile.
_STOOD_STILL_S = 0.25


class _Ticker:
    """A process beside the tests that only sleeps (voiceagent.lab.ticker); no child: tests look for those."""

    def __init__(self) -> None:
        self._start()

    def worst(self) -> float:
        """How late it was at worst since it was asked before, seconds."""
        try:
            assert self._process.stdin is not None  # noqa: S101
            self._process.stdin.write(b"\n")
            self._process.stdin.flush()
            return self._read()
        except (BrokenPipeError, json.JSONDecodeError):
            self.stop()
            self._start()
            return 0.0

    def stop(self) -> None:
        with suppress(BrokenPipeError):
            self._process.communicate(timeout=60)

    def _start(self) -> None:
        command = ("sh", "-c", 'exec 3<&0; "$0" -m voiceagent.lab.ticker <&3 &', sys.executable)
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)  # noqa: S603
        self._process.wait()
        self._read()

    def _read(self) -> float:
        assert self._process.stdout is not None  # noqa: S101
        return float(json.loads(self._process.stdout.readline()).get("worst", 0.0))


#: Tests with processes, threads or sockets of their own and deadlines on them; besides those of the group "real time".
_PROCESSES = frozenset(
    f"test_{name}"
    for name in (
        "ari_connection",
        "ari_stream",
        "control_service",
        "embedded_listening",
        "embedded_speaking",
        "embedded_worker",
        "lab_asterisk",
        "lab_caller",
        "lab_load",
        "lab_sip",
        "observe_log_writer",
        "understanding",
        "web_server",
        "web_service",
    )
)
#: Beside a test in real time.
_BESIDE = pytest.StashKey[_Ticker]()


@pytest.fixture(scope="session")
def _ticker() -> Iterator[_Ticker]:
    ticker = _Ticker()
    yield ticker
    ticker.stop()


@pytest.fixture(autouse=True)
def _stalls(request: pytest.FixtureRequest) -> None:
    """For tests in real time: how long the machine stands still while they run."""
    if _is_in_real_time(request.node):
        ticker: _Ticker = request.getfixturevalue("_ticker")
        ticker.worst()
        request.node.stash[_BESIDE] = ticker


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A call that failed while the machine stood still is skipped, with that as the reason: nothing was proven."""
    report = yield
    if report.when != "call" or not report.failed or _BESIDE not in item.stash:
        return report
    if (worst := item.stash[_BESIDE].worst()) > _STOOD_STILL_S:
        report.outcome = "skipped"
        told = call.excinfo.exconly(tryshort=True) if call.excinfo is not None else ""
        why = f"the machine stood still for {worst:.2f} s meanwhile; it ended with {told[:300]}"
        report.longrepr = (str(item.path), item.location[1] or 0, f"Skipped: {why}")
    return report


def _is_in_real_time(item: pytest.Item) -> bool:
    group = item.get_closest_marker("xdist_group")
    path = Path(item.path)
    return path.parent.name == "rig" or path.stem in _PROCESSES or (group is not None and group.args == ("real time",))


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """For `-n auto`. A few files are sooner done than another Python has started; `-n 0` for the whole suite in one."""
    whole = config.args_source is pytest.Config.ArgsSource.TESTPATHS
    cores = len(os.sched_getaffinity(0))
    return 2 if whole and cores > 1 else 0


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A file's tests stay together, in their order; files that name a group (calls in real time) also among them."""
    for item in items:
        if item.get_closest_marker("xdist_group") is None:
            item.add_marker(pytest.mark.xdist_group(item.path.stem))
