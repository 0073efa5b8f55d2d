"""The log of a service: whoever reads it cannot stall calls, and what he missed is counted."""

import fcntl
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import trio
from trio.testing import MockClock

from voiceagent.journal import CallerSaid, WorkerRestarted
from voiceagent.observe.log_writer import FLUSH_S, QUEUED_LINES, open_log

#: A test that takes longer has failed.
PATIENCE_S = 60.0
PIPE_BYTES = 4096


def event(number: int) -> WorkerRestarted:
    return WorkerRestarted(0.0, "embedded", f"number-{number}")


@contextmanager
def pipe() -> Iterator[tuple[int, int]]:
    """Both ends of a pipe that holds `PIPE_BYTES`."""
    here, there = os.pipe()
    fcntl.fcntl(there, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
    try:
        yield here, there
    finally:
        os.close(here)  # whatever thread still writes gets an error
        os.close(there)


async def test_lines_are_written_in_order_and_all_are_there_at_the_end() -> None:
    here, there = os.pipe()
    with open(here, "rb") as reader, trio.fail_after(PATIENCE_S):  # noqa: ASYNC230, PTH123 - a pipe, closed below
        async with open_log(there, "desk-1") as note:
            note(CallerSaid(0.0, "call", "my card number is", 0.1))
            for number in range(3):
                note(event(number))
        os.close(there)
        lines = reader.read().decode().splitlines()
    assert [line.partition(" ")[2] for line in lines] == [
        f"desk-1 worker-restarted provider=embedded reason=number-{number}" for number in range(3)
    ]


async def test_a_reader_who_stands_still_stops_nobody_and_is_told_what_he_missed() -> None:
    events, heard = 5 * QUEUED_LINES, b""
    with trio.fail_after(PATIENCE_S), pipe() as (here, there):
        async with open_log(there, "desk-1") as note, trio.lowlevel.FdStream(os.dup(here)) as reader:
            for number in range(events):
                note(event(number))
            while not re.search(rb"log-dropped lines=\d+\n", heard):
                heard += await reader.receive_some()
    log = heard.decode()
    (dropped,) = re.findall(r"log-dropped lines=(\d+)\n", log)
    written = [int(number) for number in re.findall(r"number-(\d+)\n", log)]
    assert written == list(range(QUEUED_LINES))
    assert len(written) + int(dropped) == events


async def test_a_reader_who_never_reads_is_not_waited_for(autojump_clock: MockClock) -> None:
    with pipe() as (_, there):
        async with open_log(there, "desk-1") as note:
            for number in range(QUEUED_LINES):
                note(event(number))
            left = trio.current_time()
        assert trio.current_time() - left == pytest.approx(FLUSH_S)


async def test_a_reader_who_has_gone_costs_lines_and_nothing_else() -> None:
    here, there = os.pipe()
    os.close(here)
    with trio.fail_after(PATIENCE_S):
        async with open_log(there, "desk-1") as note:
            note(event(1))
    os.close(there)


async def test_what_was_noted_before_a_cancellation_is_written() -> None:
    heard = list[bytes]()
    with pipe() as (here, there):
        with trio.CancelScope() as scope:
            async with open_log(there, "desk-1") as note:
                note(event(1))
                scope.cancel()
                await trio.sleep_forever()
        heard.append(os.read(here, PIPE_BYTES))
    assert b"number-1\n" in heard[0]


async def test_an_error_of_the_body_leaves_as_itself() -> None:
    with pipe() as (_, there), pytest.raises(ValueError, match="as told"):
        async with open_log(there, "desk-1"):
            raise ValueError("as told")
