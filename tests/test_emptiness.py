"""The proof of emptiness: each kind of leftover is found and named, and what is not one is left in peace."""

import os
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from tests.serving import REAL_TIME, calling, serving
from voiceagent.lab.emptiness import LeftBehindError, Listing, files_in, nothing_left_behind, take_stock
from voiceagent.lab.processes import main, process_stock
from voiceagent.wire.audiosocket import Hangup, encode_message

pytestmark = REAL_TIME


async def wait_forever_and_a_day() -> None:
    await trio.sleep_forever()


@asynccontextmanager
async def left_behind(within: float = 0.0, **listings: Listing) -> AsyncIterator[list[str]]:
    """The leftovers of the body, once it is over."""
    found: list[str] = []
    try:
        async with nothing_left_behind(listings, within=within):
            yield found
    except LeftBehindError as error:
        found += error.leftovers


async def test_a_body_that_tidies_up_passes(tmp_path: Path, nursery: trio.Nursery) -> None:
    nursery.start_soon(wait_forever_and_a_day, name="here before")
    async with nothing_left_behind({"file": files_in(tmp_path / "none", tmp_path)}):
        async with trio.open_nursery() as calls:
            calls.start_soon(wait_forever_and_a_day)
            calls.cancel_scope.cancel()
        with socket.create_server(("127.0.0.1", 0)):
            pass
        (tmp_path / "note").touch()
        (tmp_path / "note").unlink()


async def test_a_task_is_named_with_the_place_where_it_waits(nursery: trio.Nursery) -> None:
    async with left_behind() as found:
        nursery.start_soon(wait_forever_and_a_day, name="a stray")
        await trio.testing.wait_all_tasks_blocked()
    (line,) = found
    assert line.startswith("task: a stray in wait_forever_and_a_day (test_emptiness.py:")
    nursery.cancel_scope.cancel()


async def test_a_task_that_was_there_before_does_not_excuse_a_new_one_of_the_same_name(nursery: trio.Nursery) -> None:
    async with trio.open_nursery() as first:
        first.start_soon(wait_forever_and_a_day)
        async with left_behind() as found:
            first.cancel_scope.cancel()
            nursery.start_soon(wait_forever_and_a_day)
            with trio.CancelScope(shield=True):
                await trio.testing.wait_all_tasks_blocked()
        assert len(found) == 1
    nursery.cancel_scope.cancel()


async def test_a_socket_is_named_with_its_address() -> None:
    async with left_behind() as found:
        listener = socket.create_server(("127.0.0.1", 0))
    host, port = listener.getsockname()
    number = listener.fileno()
    listener.close()
    (line,) = found
    assert line.startswith(f"descriptor: {number} socket:[")
    assert line.endswith(f"tcp {host}:{port} listening")


async def test_a_connection_is_named_with_both_ends() -> None:
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as listener:
        async with left_behind() as found:
            leg = socket.create_connection(listener.getsockname()[:2])
        here, there = leg.getsockname()[1], listener.getsockname()[1]
        leg.close()
    assert found[0].endswith(f"tcp ::1:{here} -> ::1:{there}")


async def test_a_file_and_a_registry_entry_are_named(tmp_path: Path) -> None:
    calls: dict[str, object] = {"before": 1}
    async with left_behind(call=lambda: calls, file=files_in(tmp_path)) as found:
        calls["0f5a3f5e"] = 2
        (tmp_path / "messages").mkdir()
        (tmp_path / "messages" / "a.part").touch()
    assert found == ["call: 0f5a3f5e", f"file: {tmp_path / 'messages' / 'a.part'}"]


async def test_what_is_on_its_way_out_gets_the_time_it_was_promised(autojump_clock: MockClock) -> None:
    async with trio.open_nursery() as nursery:
        async with nothing_left_behind(within=0.02):
            nursery.start_soon(trio.sleep, 0.019)
        async with left_behind(within=0.02) as found:
            nursery.start_soon(trio.sleep, 0.021)
        assert found == ["task: trio.sleep"]


async def test_a_body_that_fails_fails_as_itself(nursery: trio.Nursery) -> None:
    async def fail() -> None:
        async with nothing_left_behind():
            nursery.start_soon(wait_forever_and_a_day)
            raise ValueError("its own")

    with pytest.raises(ValueError, match="its own"):
        await fail()
    nursery.cancel_scope.cancel()


async def test_two_stocks_can_be_compared_at_leisure() -> None:
    before = take_stock()
    reading, writing = os.pipe()
    found = take_stock().since(before)
    os.close(reading)
    os.close(writing)
    assert len(found) == 2
    assert all("pipe:[" in line for line in found)
    assert take_stock().since(before) == []


def test_another_process_is_looked_into_from_outside(tmp_path: Path) -> None:
    with holding(tmp_path / "kept") as process:
        port = int(_line(process))
        before = process_stock(process.pid)
        _tell(process)
        after = process_stock(process.pid)
        left = after.since(before)
        assert [line.partition(":")[0] for line in left] == ["descriptor", "thread", "child"]
        assert left[0].endswith(str(tmp_path / "kept"))
        assert "sleep 60" in left[2]
        assert before.resident_bytes > 1e6
        assert f"tcp 127.0.0.1:{port} listening" in str(before)
        assert after.since(after) == []


async def test_a_call_leaves_nothing_in_a_running_service(tmp_path: Path) -> None:
    echo = ("--set", "audiosocket.agent=echo", "--set", "audiosocket.listen=127.0.0.1:0")
    async with serving(*echo, cwd=tmp_path) as service:
        before = process_stock(service.process.pid)
        async with calling(service) as leg:
            here = leg.stream.socket.getsockname()[1]
            new = process_stock(service.process.pid).since(before)
            (line,) = [line for line in new if not line.startswith("thread")]  # one writes the log, and may be idle now
            assert line.endswith(f"tcp 127.0.0.1:{service.port} -> 127.0.0.1:{here}")
            await leg.stream.send_all(encode_message(Hangup()))
            await leg.rest()  # until the service has closed its end
            left = process_stock(service.process.pid).since(before)
            assert [line for line in left if not line.startswith("thread")] == []


def test_the_command_names_what_a_process_holds_and_what_is_new(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with holding(tmp_path / "kept") as process:
        port = _line(process)
        assert main([str(process.pid)]) == 0
        assert f"tcp 127.0.0.1:{port} listening" in capsys.readouterr().out
        assert main([str(process.pid), "--seconds", "0"]) == 0
        assert capsys.readouterr().out.startswith("0 left, memory ")
    assert main([str(process.pid)]) == 2
    assert capsys.readouterr().err == f"process {process.pid}: No such file or directory\n"


_HOLDER = """
import socket, subprocess, sys, threading
listener = socket.create_server(("127.0.0.1", 0))
print(listener.getsockname()[1], flush=True)
sys.stdin.readline()
kept = open(sys.argv[1], "w")
child = subprocess.Popen(["sleep", "60"])
threading.Thread(target=threading.Event().wait, daemon=True).start()
print("holding", flush=True)
sys.stdin.readline()
child.kill()
child.wait()
"""


class holding:  # noqa: N801 - used as a function
    """A process with a listener that takes a file, a child and a thread when told."""

    def __init__(self, kept: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", _HOLDER, str(kept)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def __enter__(self) -> "subprocess.Popen[str]":
        return self._process

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        self._process.communicate("\n\n", timeout=60)


def _line(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def _tell(process: "subprocess.Popen[str]") -> None:
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()
    assert _line(process) == "holding"
