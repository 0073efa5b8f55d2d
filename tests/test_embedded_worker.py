"""Supervision of worker processes, with real processes that misbehave on purpose."""

import os
import signal
import subprocess
import sys
from contextlib import suppress
from itertools import pairwise
from pathlib import Path

import pytest
import trio
from attrs import evolve

from tests.embedded_processes import LIMITS, children, fake_worker, open_descriptors, process_state, within
from voiceagent.journal import Event, WorkerRestarted
from voiceagent.ports import ProviderError
from voiceagent.providers.embedded.messages import FINISH
from voiceagent.providers.embedded.worker import OUTBOX_BYTES, Job, Worker, open_workers

ECHO = 'put(b"R", 0)\nwhile True:\n    kind, job, payload = get()\n    if kind == b"O": put(b"T", job, payload)'
SLOW = ECHO.replace('"O": ', '"O": time.sleep(0.05); ')
#: Obeys the payload of a job: crash, hang, babble, or say it back.
MOODY = """
put(b"R", 0)
while True:
    kind, job, payload = get()
    if kind != b"O": continue
    if payload == b"crash": sys.exit("I have a headache")
    if payload == b"hang": time.sleep(1000)
    if payload == b"babble": sys.stdout.write("Traceback (most recent call last)"); sys.stdout.flush()
    put(b"T", job, payload)
"""


async def ask(worker: Worker, text: str) -> str:
    await worker.wait_available()
    with worker.open_job(text.encode()) as job:
        return (await job.receive()).payload.decode()


async def receive_all(job: Job) -> None:
    while True:
        await job.receive()


@within(30)
async def test_a_worker_answers_many_jobs_at_once() -> None:
    answers: list[str] = []

    async def one(number: int) -> None:
        answers.append(await ask(worker, str(number)))

    async with (
        open_workers("x", fake_worker(ECHO), 1, journal=print, limits=LIMITS) as (worker,),
        trio.open_nursery() as nursery,
    ):
        for number in range(50):
            nursery.start_soon(one, number)
    assert sorted(answers, key=int) == [str(number) for number in range(50)]
    assert not children()


@pytest.mark.parametrize(
    ("mood", "reason"),
    [
        ("crash", "ended by itself: I have a headache"),
        ("hang", "hung: no sign of life"),
        ("babble", "not a message: b'Traceback"),
    ],
)
@within(30)
async def test_a_worker_that_misbehaves_fails_its_jobs_and_is_replaced(mood: str, reason: str) -> None:
    events: list[Event] = []
    async with open_workers("ears", fake_worker(MOODY), 1, journal=events.append, limits=LIMITS) as (worker,):
        with pytest.raises(ProviderError, match=f"ears: .*{reason}"):
            await ask(worker, mood)
        assert await ask(worker, "how are you") == "how are you"
    assert [type(event) for event in events] == [WorkerRestarted]
    assert isinstance(events[0], WorkerRestarted)
    assert reason in events[0].reason
    assert not children()


@within(30)
async def test_a_worker_that_floods_a_job_is_replaced() -> None:
    flood = 'put(b"R", 0)\nwhile True:\n    kind, job, _ = get()\n    for _ in range(8): put(b"A", job, bytes(1 << 20))'
    events: list[Event] = []
    async with open_workers("x", fake_worker(flood), 1, journal=events.append, limits=LIMITS) as (worker,):
        with worker.open_job(b"") as job:
            while not events:  # nobody reads the job's messages
                await trio.testing.wait_all_tasks_blocked(0.01)
            with pytest.raises(ProviderError, match="wrote more than"):
                await receive_all(job)
            assert not job.send_nowait(FINISH)


@within(30)
async def test_every_job_of_a_crashed_worker_is_told() -> None:
    failures: list[str] = []

    async def wait_in_vain() -> None:
        with worker.open_job(b"") as job:
            try:
                await job.receive()
            except ProviderError as error:
                failures.append(error.provider)

    silent = 'put(b"R", 0)\nwhile True: get()'
    async with open_workers(
        "x", fake_worker(silent), 1, journal=lambda _: None, limits=evolve(LIMITS, patience_s=20)
    ) as (w,):
        worker = w
        async with trio.open_nursery() as nursery:
            for _ in range(5):
                nursery.start_soon(wait_in_vain)
            await trio.testing.wait_all_tasks_blocked()
            assert worker.pid
            os.kill(worker.pid, signal.SIGKILL)
    assert failures == ["x"] * 5


@within(30)
async def test_restarts_in_a_row_are_spaced_out() -> None:
    events: list[Event] = []
    limits = evolve(LIMITS, backoff_s=0.05, longest_backoff_s=0.2)
    async with open_workers("x", fake_worker(MOODY), 1, journal=events.append, limits=limits) as (worker,):
        for _ in range(5):
            await worker.wait_available()
            with pytest.raises(ProviderError):
                await ask(worker, "crash")
    times = [event.at for event in events]
    least = [0.0, 0.05, 0.1, 0.2]
    pauses = [second - first for first, second in pairwise(times)]
    assert all(pause >= wanted for pause, wanted in zip(pauses, least, strict=True))


@within(30)
async def test_an_abandoned_job_leaves_the_worker_usable_and_its_answer_goes_nowhere() -> None:
    async with open_workers("x", fake_worker(SLOW), 1, journal=lambda _: None, limits=LIMITS) as (worker,):
        for _ in range(3):
            with trio.move_on_after(0.01) as scope:
                await ask(worker, "stale")
            assert scope.cancelled_caught
        assert await ask(worker, "fresh") == "fresh"
        assert worker.busy == 0


@pytest.mark.parametrize("answer", [b"T", b"E", b"!"])
@within(30)
async def test_only_a_job_that_is_unfinished_is_abandoned(answer: bytes) -> None:
    counting = f"""
put(b"R", 0)
abandoned = 0
while True:
    kind, job, payload = get()
    if kind == b"X": abandoned += 1
    if payload == b"how many": put(b"T", job, str(abandoned).encode())
    if payload == b"answer": put({answer!r}, job)
"""
    async with open_workers("x", fake_worker(counting), 1, journal=lambda _: None, limits=LIMITS) as (worker,):
        with suppress(ProviderError):
            await ask(worker, "answer")
        assert await ask(worker, "how many") == "0"
        with worker.open_job(b"never mind"):
            pass
        assert await ask(worker, "how many") == "1"


@within(30)
async def test_a_worker_that_reads_nothing_costs_audio_not_memory() -> None:
    deaf = 'put(b"R", 0)\ntime.sleep(1000)'
    limits = evolve(LIMITS, grace_s=0.1)
    async with open_workers("x", fake_worker(deaf), 1, journal=lambda _: None, limits=limits) as (worker,):
        with worker.open_job(b"") as job:
            chunk = bytes(1 << 19)
            taken = sum(job.send_nowait(b"A", chunk) for _ in range(40))
            assert 0 < taken * len(chunk) <= OUTBOX_BYTES


@within(30)
async def test_a_worker_that_cannot_start_is_a_clear_error() -> None:
    for body, reason in (
        ('put(b"!", 0, b"no such library (pip install it)")', "pip install it"),
        ('sys.exit("bad day")', "ended before it was ready: bad day"),
        ('print("hello, I am a worker")', "not a message"),
    ):
        with pytest.raises(ProviderError, match=reason):
            async with open_workers("x", fake_worker(body), 1, journal=lambda _: None, limits=LIMITS):
                pytest.fail("it started")
    limits = evolve(LIMITS, start_s=0.1, grace_s=0.1)
    with pytest.raises(ProviderError, match="not ready within"):
        async with open_workers("x", fake_worker("time.sleep(1000)"), 1, journal=lambda _: None, limits=limits):
            pytest.fail("it started")
    assert not children()


@within(30)
async def test_a_process_that_cannot_be_spawned_is_a_failed_start_and_tried_again(tmp_path: Path) -> None:
    program = tmp_path / "python"
    _, *arguments = fake_worker(ECHO)
    command = [str(program), *arguments]
    with pytest.raises(ProviderError, match=r"x: a process could not be started: .*No such file"):
        async with open_workers("x", command, 1, journal=lambda _: None, limits=LIMITS):
            pytest.fail("it started")
    events: list[Event] = []
    program.symlink_to(sys.executable)
    async with open_workers("x", command, 1, journal=events.append, limits=LIMITS) as (worker,):
        program.unlink()
        assert worker.pid
        os.kill(worker.pid, signal.SIGKILL)
        while len(events) < 4:
            await trio.testing.wait_all_tasks_blocked(0.01)
        program.symlink_to(sys.executable)
        assert await ask(worker, "back again") == "back again"
    reasons = [event.reason for event in events if isinstance(event, WorkerRestarted)]
    assert reasons[0] == "the worker ended by itself"
    assert all("could not be started" in reason for reason in reasons[1:])


@pytest.mark.parametrize("error", [OSError(24, "Too many open files"), RuntimeError("can't start new thread")])
@within(30)
async def test_a_machine_without_room_for_a_process_is_a_clear_error(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(trio.lowlevel, "open_process", refuse)
    with pytest.raises(ProviderError, match=str(error.args[-1])):
        async with open_workers("x", fake_worker(ECHO), 2, journal=lambda _: None, limits=LIMITS):
            pytest.fail("it started")


@within(30)
async def test_errors_of_the_user_pass_through_unwrapped() -> None:
    with pytest.raises(KeyError):
        async with open_workers("x", fake_worker(ECHO), 1, journal=lambda _: None, limits=LIMITS):
            raise KeyError("mine")


@within(30)
async def test_a_group_of_the_user_passes_through_whole() -> None:
    mine = BaseExceptionGroup("mine", [ProviderError("y", "one"), ProviderError("z", "two")])
    with pytest.raises(BaseExceptionGroup) as caught:  # noqa: ASYNC401 - the group itself is what is looked at
        async with open_workers("x", fake_worker(ECHO), 1, journal=lambda _: None, limits=LIMITS):
            raise mine
    assert caught.value is mine


@within(30)
async def test_several_workers_that_cannot_start_are_one_error() -> None:
    body = 'put(b"!", 0, b"no such library")'
    with pytest.raises(ProviderError, match="x: no such library"):
        async with open_workers("x", fake_worker(body), 4, journal=lambda _: None, limits=LIMITS):
            pytest.fail("it started")


@within(30)
async def test_leaving_ends_the_process_whatever_it_is_doing() -> None:
    before = open_descriptors()
    for body in (ECHO, 'put(b"R", 0)\nget()\ntime.sleep(1000)', 'put(b"R", 0)\nwhile True: put(b"A", 9, bytes(60000))'):
        limits = evolve(LIMITS, grace_s=0.2)
        async with open_workers("x", fake_worker(body), 1, journal=lambda _: None, limits=limits) as (worker,):
            pid = worker.pid
            with worker.open_job(b"work"), trio.move_on_after(0.05):  # time to begin
                await trio.sleep_forever()
        assert pid
        assert process_state(pid) == ""
    assert not children()
    assert open_descriptors() == before


@pytest.mark.parametrize("after", [0.0, 0.005, 0.02, 0.05, 0.1, 0.2])
@within(30)
async def test_cancelling_at_any_point_of_its_life_leaves_no_process(after: float) -> None:
    with trio.move_on_after(after):
        async with open_workers("x", fake_worker(MOODY), 1, journal=lambda _: None, limits=LIMITS) as (worker,):
            while True:
                with worker.open_job(b"hang") as job:
                    await job.receive()
    assert not children()


@within(30)
async def test_a_worker_ends_when_its_service_is_killed(tmp_path: Path) -> None:
    program = tmp_path / "service.py"
    program.write_text(
        "import sys, trio\n"
        "from voiceagent.providers.embedded.worker import open_workers\n"
        "async def main():\n"
        "    async with open_workers('x', eval(sys.argv[1]), 1, journal=print) as (worker,):\n"
        "        print(worker.pid, flush=True)\n"
        "        await trio.sleep_forever()\n"
        "trio.run(main)\n"
    )
    process = await trio.lowlevel.open_process(
        [sys.executable, str(program), repr(fake_worker(ECHO))], stdout=subprocess.PIPE, cwd=Path.cwd()
    )
    assert process.stdout
    async with process.stdout:
        pid = int(bytes(await process.stdout.receive_some()))
        process.kill()
        await process.wait()
        # The worker inherited nothing but its pipes: it reads EOF and is reaped by whoever inherits it.
        while process_state(pid) not in ("", "Z"):
            await trio.sleep(0.01)
