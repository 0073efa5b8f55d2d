"""A worker process, kept alive: started, watched, killed when it misbehaves, started again.

Workers exchange messages (messages.py) over pipes. A worker that ends, writes nonsense or leaves a waiting job without
any sign of life is killed; its jobs raise ProviderError, and another process takes its place.

Past 300 lines, because a job and its worker fail together and know each other's state.
"""

from collections import deque
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Final

import trio
from attrs import define, field, frozen

from voiceagent.groups import unwrapped
from voiceagent.journal import Journal, WorkerRestarted
from voiceagent.ports import ProviderError
from voiceagent.providers.embedded.child import Child, SpawnError, open_child
from voiceagent.providers.embedded.messages import (
    ABANDON,
    ERROR,
    LAST,
    OPEN,
    READY,
    Decoder,
    Message,
    NonsenseError,
    encode,
)

#: Bytes waiting for a worker. 20 callers at 8 kHz for 13 s; audio that does not fit is lost.
OUTBOX_BYTES: Final = 4 << 20
#: Bytes of results a job may hold unread: 95 s of speech at 22.05 kHz. More is nonsense.
INBOX_BYTES: Final = 4 << 20


@frozen
class Limits:
    """Deadlines of a worker, in seconds."""

    start_s: float = 20.0  # from a process's start to READY (a cold disk, a loaded machine)
    patience_s: float = 5.0  # without any message while a job waits: the worker hangs
    job_s: float = 10.0  # one job may wait for one message of a worker that is alive, merely too slow
    restart_wait_s: float = 2.0  # a new job may wait for a worker that is being restarted
    grace_s: float = 1.0  # from closing stdin to SIGKILL at the end
    backoff_s: float = 0.1  # pause before the second restart in a row; doubles with each further one …
    longest_backoff_s: float = 30.0  # … up to this, for as long as it takes
    settled_s: float = 60.0  # a process that lived this long did not fail in a row


DEFAULT_LIMITS: Final = Limits()


@define(eq=False)
class Job:
    """One piece of work. Its messages come in order; it fails as a whole when its worker does."""

    number: int
    _worker: "Worker"
    _inbox: deque[Message] = field(factory=deque)  # at most INBOX_BYTES, checked by the worker
    _inbox_bytes: int = 0
    answered: bool = False
    _failure: str = ""
    _changed: trio.Event = field(factory=trio.Event)

    def send_nowait(self, kind: bytes, payload: bytes = b"") -> bool:
        """Queue a message to the worker; False: no room or no worker any more, `receive` will tell."""
        return not self._failure and self._worker.post_nowait(Message(kind, self.number, payload))

    def send_control(self, kind: bytes) -> None:
        """Queue a message without payload; there is always room for these few bytes."""
        if not self._failure:
            self._worker.post_control(Message(kind, self.number))

    async def receive(self) -> Message:
        """The next message of this job; ERROR and failures raise ProviderError. Kills a worker that hangs."""
        limits = self._worker.limits
        deadline = trio.current_time() + limits.job_s
        while not self._inbox:
            if self._failure:
                raise ProviderError(self._worker.provider, self._failure)
            self._changed = trio.Event()
            waiting_since = trio.current_time()
            with trio.move_on_after(limits.patience_s):
                await self._changed.wait()
                continue
            if trio.current_time() >= deadline:
                raise ProviderError(self._worker.provider, f"no result within {limits.job_s:g} s")
            self._worker.kill_if_silent_since(waiting_since)
        message = self._inbox.popleft()
        self._inbox_bytes -= len(message.payload)
        if message.kind == ERROR:
            raise ProviderError(self._worker.provider, message.payload.decode(errors="replace"))
        return message

    def reject(self, message: Message) -> ProviderError:
        """The error to raise for a message that makes no sense here. Its worker cannot be trusted: it is replaced."""
        what = f"the worker wrote nonsense: {message.kind!r} {message.payload[:40]!r}"
        if not self._failure:  # else that worker is gone already
            self._worker.condemn(what)
        return ProviderError(self._worker.provider, what)

    def deliver(self, message: Message) -> bool:
        """The worker's side: a message for this job. False: more than a job may hold."""
        self.answered = self.answered or message.kind in LAST
        self._inbox.append(message)
        self._inbox_bytes += len(message.payload)
        self._changed.set()
        return self._inbox_bytes <= INBOX_BYTES

    def fail(self, reason: str) -> None:
        """The worker's side: nothing will come any more."""
        self._failure = reason
        self._changed.set()


class Worker:
    """A supervised process. Made by `open_worker`."""

    def __init__(self, provider: str, command: Sequence[str], *, journal: Journal, limits: Limits) -> None:
        self.provider = provider
        self.limits = limits
        self._command = tuple(command)
        self._journal = journal
        self._jobs: dict[int, Job] = {}
        self._last_number = 0
        self._outbox: deque[bytes] = deque()  # at most OUTBOX_BYTES
        self._outbox_bytes = 0
        self._posted = trio.Event()
        self._process: trio.Process | None = None  # set while it is READY
        self._heard_at = 0.0
        self._condemned = ""
        self._available = trio.Event()

    @property
    def busy(self) -> int:
        """How many jobs are open; a worker that is being restarted counts as the busiest."""
        return len(self._jobs) if self._process else 1 << 30

    @property
    def pid(self) -> int | None:
        """The live process, None while it is being restarted."""
        return self._process.pid if self._process else None

    async def wait_available(self) -> None:
        """Until the process is ready for jobs. Raises ProviderError after `restart_wait_s`."""
        with trio.move_on_after(self.limits.restart_wait_s):
            await self._available.wait()
            return
        raise ProviderError(self.provider, "the worker is being restarted")

    @contextmanager
    def open_job(self, payload: bytes) -> Iterator[Job]:
        """Post an OPEN; leaving the context abandons what is unfinished. Raises ProviderError: no worker, no room."""
        if not self._process:
            raise ProviderError(self.provider, "the worker is being restarted")
        self._last_number = self._last_number % 0xFFFFFFFF + 1
        job = Job(self._last_number, self)
        if not self.post_nowait(Message(OPEN, job.number, payload)):
            raise ProviderError(self.provider, "the worker is too far behind")
        self._jobs[job.number] = job
        try:
            yield job
        finally:
            if self._jobs.pop(job.number, None) and not job.answered:
                self.post_control(Message(ABANDON, job.number))

    def post_nowait(self, message: Message) -> bool:
        """Queue a message; False when there is no room."""
        if self._outbox_bytes + len(message.payload) > OUTBOX_BYTES:
            return False
        self.post_control(message)
        return True

    def post_control(self, message: Message) -> None:
        """Queue a message in any case: for those that come once or twice per job and are 9 bytes long."""
        data = encode(message)
        self._outbox.append(data)
        self._outbox_bytes += len(data)
        self._posted.set()

    def kill_if_silent_since(self, when: float) -> None:
        if self._heard_at < when:
            self.condemn(f"the worker hung: no sign of life for {trio.current_time() - self._heard_at:.1f} s")

    def condemn(self, reason: str) -> None:
        """Kill the process, if there is one; its jobs fail with `reason`, and another takes its place."""
        if self._process:
            self._condemned = reason
            self._process.kill()

    async def supervise(self, task_status: trio.TaskStatus[None]) -> None:
        """Run processes until cancelled. Raises ProviderError when the very first one does not get READY."""
        failures, first = 0, True
        while True:
            started_at = trio.current_time()
            try:
                async with open_child(self._command, grace_s=self.limits.grace_s) as child:
                    reason = await self._use(child, task_status if first else None)
            except SpawnError as error:
                reason = str(error)
            for job in self._jobs.values():
                job.fail(reason)
            self._jobs.clear()
            self._outbox.clear()
            self._outbox_bytes = 0
            self._condemned = ""
            if first and not self._available.is_set():
                raise ProviderError(self.provider, reason)
            first = False
            self._available = trio.Event()
            self._journal(WorkerRestarted(trio.current_time(), self.provider, reason))
            failures = 0 if trio.current_time() - started_at > self.limits.settled_s else failures + 1
            if failures > 1:
                pause = self.limits.backoff_s * 2 ** min(failures - 2, 30)
                await trio.sleep(min(pause, self.limits.longest_backoff_s))

    async def _use(self, child: Child, started: trio.TaskStatus[None] | None) -> str:
        """Serve jobs with `child` until it fails: why."""
        last_words = bytearray()
        decoder = Decoder()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(child.keep_tail, last_words)
            reason = await self._receive_ready(child.stdout, decoder)
            if not reason:
                reason = await self._serve(child, decoder, started)
            child.process.kill()
            nursery.cancel_scope.deadline = trio.current_time() + self.limits.grace_s  # for its last words
        lines = last_words.decode(errors="replace").strip().splitlines()
        return self._condemned or (f"{reason}: {lines[-1]}" if lines else reason)

    async def _serve(self, child: Child, decoder: Decoder, started: trio.TaskStatus[None] | None) -> str:
        self._process = child.process
        self._heard_at = trio.current_time()
        self._available.set()
        if started:
            started.started()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._send_all, child.stdin)
            reason = await self._receive_all(child.stdout, decoder)
            nursery.cancel_scope.cancel()
        self._process = None
        return reason

    async def _receive_ready(self, stdout: trio.abc.ReceiveStream, decoder: Decoder) -> str:
        """Empty when the process is ready, else what is wrong with it. A READY is the only thing it sends so far."""
        with trio.move_on_after(self.limits.start_s):
            while data := await stdout.receive_some():
                try:
                    messages = decoder.receive_data(data)
                except NonsenseError as error:
                    return str(error)
                if messages:
                    return _readiness(messages[0])
            return "the worker ended before it was ready"
        return f"the worker was not ready within {self.limits.start_s:g} s"

    async def _receive_all(self, stdout: trio.abc.ReceiveStream, decoder: Decoder) -> str:
        while data := await stdout.receive_some():
            self._heard_at = trio.current_time()
            try:
                messages = decoder.receive_data(data)
            except NonsenseError as error:
                return str(error)
            for message in messages:
                job = self._jobs.get(message.job)  # unknown: abandoned meanwhile
                if job and not job.deliver(message):
                    return f"the worker wrote more than {INBOX_BYTES} bytes for one job"
        return "the worker ended by itself"

    async def _send_all(self, stdin: trio.abc.SendStream) -> None:
        try:
            while True:
                while self._outbox:
                    data = self._outbox.popleft()
                    self._outbox_bytes -= len(data)
                    await stdin.send_all(data)
                self._posted = trio.Event()
                await self._posted.wait()
        except trio.BrokenResourceError:
            pass  # the process has ended; its stdout says so too


def _readiness(message: Message) -> str:
    if message.kind == READY:
        return ""
    if message.kind == ERROR:
        return message.payload.decode(errors="replace")
    return f"the worker was not ready when it wrote {message.kind!r}"


@asynccontextmanager
async def open_workers(
    provider: str, command: Sequence[str], count: int, *, journal: Journal, limits: Limits = DEFAULT_LIMITS
) -> AsyncIterator[tuple[Worker, ...]]:
    """`count` ready workers of one kind; leaving ends their processes, within `grace_s`.

    Raises ProviderError when one cannot start.
    """
    workers = tuple(Worker(provider, command, journal=journal, limits=limits) for _ in range(count))
    with unwrapped() as boundary:
        async with trio.open_nursery() as nursery:
            await _start(workers, nursery)
            with boundary.body():
                yield workers
            nursery.cancel_scope.cancel()


async def _start(workers: Sequence[Worker], nursery: trio.Nursery) -> None:
    """Start all in `nursery`, at once. They fail for the same reason: only one is raised."""
    try:
        async with trio.open_nursery() as starting:
            for worker in workers:
                starting.start_soon(nursery.start, worker.supervise)
    except* ProviderError as failures:
        error: BaseException = failures
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        raise error from None  # noqa: ASYNC123 - the only one of its group
