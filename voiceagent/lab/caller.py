"""A caller on a simulated Asterisk: one AudioSocket connection that behaves as Asterisk does.

The UUID frame comes first, then a 20 ms frame every 20 ms on an absolute clock, one send each, whatever happens:
silence while the caller does not speak, nothing for the 100 ms a key is held. Everything is read at once and always.
What Asterisk hangs up on (any frame but audio and 0x00) ends the call here too.

`call_over` owns the connection, any Trio stream, and two tasks, a sender and a reader. The rest of a `Caller` is what
they share with whoever scripts the call; every change wakes the waiters.
"""

from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from itertools import count
from typing import Final
from uuid import UUID, uuid4

import trio

from voiceagent.audio.pcm import Pcm
from voiceagent.audio.resample import resample
from voiceagent.groups import unwrapped
from voiceagent.lab.connect import connect, reset
from voiceagent.lab.hearing import AgentEar
from voiceagent.lab.steps import Step, keys, speech
from voiceagent.lab.tape import Tape
from voiceagent.lab.timeline import (
    By,
    CallerBegan,
    CallerFinished,
    CallerPressed,
    CallOver,
    Connected,
    HangUp,
    LineClosed,
    Moment,
)
from voiceagent.wire.audiosocket import (
    FRAME_SECONDS,
    Audio,
    Decoder,
    Dtmf,
    Hangup,
    Identity,
    Message,
    ProtocolError,
    encode_audio,
    encode_message,
    frame_bytes,
)

#: After the call, the agent's side has this long to close before the connection is torn down.
_RELEASE_S: Final = 2.0
#: Room for the loopback to take what is said when the machine is busy.
_GRACE_S: Final = 5.0


class Caller:
    """One caller on the line. Use only inside its `call_over`; times are seconds since the connection was made.

    `over` is None while the call lasts. Every waiting method returns when the call ends, whoever ended it.
    """

    def __init__(
        self, stream: trio.abc.HalfCloseableStream, reset: Callable[[], None], uuid: UUID, rate: int, max_s: float
    ) -> None:
        self.uuid = uuid
        self.rate = rate
        self.timeline: list[Moment] = [Connected(0.0)]  # about 4 per turn, ends with the call
        self.over: CallOver | None = None
        self.frames_sent = 0
        self.frames_received = 0
        self.split_frames = 0  # reads that ended inside a frame: Asterisk forgives that for 5 ms only
        self.worst_gap = 0.0  # longest time between two received frames
        self._said, self._heard = Tape(rate, max_s), Tape(rate, max_s)
        self._stream = stream
        self._reset = reset
        self._max_s = max_s
        self._ear = AgentEar()
        self._script: deque[Step] = deque()  # what is being said; 50 steps per second of it
        self._queued = self._played = 0
        self._done_at = 0.0  # end of what the caller did last
        self._silence = Step(bytes(frame_bytes(rate)))
        self._started = trio.current_time()
        self._last_frame: float | None = None
        self._reset_seen = False
        self._changed = trio.lowlevel.ParkingLot()
        self._released = trio.Event()

    # What a script does ------------------------------------------------------------------------------------------

    async def wait_for_agent(self, *, quiet: float = 0.7, patience: float = 10.0, timeout: float = 60.0) -> bool:
        """Wait until the agent has spoken since the caller's last act and then been silent for `quiet` seconds.

        It has `patience` seconds to begin and `timeout` seconds more to finish. Whether it did; False also when the
        call ended before.
        """
        finished = await self.wait_for_agent_to_begin(patience=patience) and await self.wait_until(
            lambda: self.agent_has_answered(quiet), timeout
        )
        self._done_at = max(self._done_at, self.now if finished else 0.0)
        return finished

    async def wait_for_agent_to_begin(self, *, patience: float = 10.0) -> bool:
        """Wait until the agent speaks, or has spoken since the caller's last act. False: not in time, or call over."""
        return await self.wait_until(lambda: self._ear.answers(self._done_at), patience)

    def agent_has_answered(self, quiet: float = 0.7) -> bool:
        """Whether the agent has spoken since the caller's last act and been silent for `quiet` seconds now."""
        return self._ear.has_answered(self._done_at, quiet, self.now)

    async def wait_until(self, ready: Callable[[], bool], timeout: float) -> bool:
        """Wait until `ready`, asked 50 times a second; whether it is. Returns early when the call ends."""
        with trio.move_on_after(timeout):
            while self.over is None and not ready():
                await self._changed.park()
        return ready()

    async def pause(self, seconds: float) -> bool:
        """Say nothing for a while. False: the call ended meanwhile."""
        await self.wait_until(lambda: False, seconds)
        return self.over is None

    async def say(self, pcm: Pcm, text: str = "") -> bool:
        """Speak (any rate; resampled to the line's), after what is still being said. False: the call ended before."""
        steps = speech(resample(pcm, self.rate), text)
        said = await self._perform(steps)
        if not any(step.finishes for step in steps):
            self._done_at = self.now  # a silent saying is an act too, though nobody can hear its end
        return said

    async def press(self, digits: str) -> bool:
        """Press keys, one after the other, 0.2 s each. Raises ValueError for a key no telephone has."""
        return await self._perform(keys(digits, self._silence))

    def hang_up(self, how: HangUp = "eof", *, why: str = "") -> None:
        """End the call now, unless it is over.

        "eof": end of stream after the current frame, as when the caller hangs up on the dialplan application.
        "terminate": a 0x00 frame, then the same (Asterisk itself never sends one). "reset": torn down at once.
        """
        if self.over is None:
            self._end("caller", how, why)
            if how == "reset":
                self._reset()

    @property
    def now(self) -> float:
        return trio.current_time() - self._started

    @property
    def said(self) -> Pcm:
        """What the caller sent, from the connection on."""
        return self._said.pcm

    @property
    def heard(self) -> Pcm:
        """What the agent sent, aligned with `said`."""
        return self._heard.pcm

    # The two tasks -----------------------------------------------------------------------------------------------

    async def run_sender(self) -> None:
        """Say which call this is, send a frame for every 20 ms of it, then end the stream as the hang-up asks."""
        try:
            await self._stream.send_all(encode_message(Identity(self.uuid)))
            await self._send_frames()
            if self.over and (self.over.by, self.over.how) == ("caller", "terminate"):
                await self._stream.send_all(encode_message(Hangup()))
            await self._stream.send_eof()
        except trio.ClosedResourceError:
            pass  # our own reset
        except trio.BrokenResourceError as error:
            # The agent is gone. What it still said lies before the reader, who ends the call.
            self._reset_seen |= isinstance(error.__cause__, ConnectionResetError)

    async def _send_frames(self) -> None:
        for tick in count():
            due = tick * FRAME_SECONDS
            await trio.sleep_until(self._started + due)
            if self.over is not None:
                return
            if due >= self._max_s:
                self.hang_up("eof", why=f"the limit of {self._max_s:g} s")
                return
            step = self._silence
            if self._script:
                step = self._script.popleft()
                self._played += 1
            if step.audio is not None:
                await self._stream.send_all(encode_audio(self.rate, step.audio))
                self.frames_sent += 1
                self._said.add(Pcm(self.rate, step.audio), due)
            if step.digit:
                await self._stream.send_all(encode_message(Dtmf(step.digit)))
            self._note(step, due)
            self.timeline.extend(self._ear.check(self.now))
            self._changed.unpark_all()

    def _note(self, step: Step, due: float) -> None:
        # By the grid: our own lateness makes the agent look slower, never faster.
        if step.begins is not None:
            self.timeline.append(CallerBegan(due, step.begins))
        if step.finishes:
            self._done_at = due + FRAME_SECONDS
            self.timeline.append(CallerFinished(self._done_at))
        if step.digit:
            self._done_at = due
            self.timeline.append(CallerPressed(due, step.digit))

    async def run_reader(self) -> None:
        """Read until the agent's side of the connection ends, however it ends."""
        decoder = Decoder()
        try:
            while data := await self._stream.receive_some():
                decoder.receive_data(bytes(data))
                while self.over is None and (message := decoder.next_message()) is not None:
                    self._take(message)
                self.split_frames += decoder.is_mid_frame and self.over is None
            # The kernel reports a reset once: when the sender got it, this is an ordinary end. A failed send raises one
            # scheduler pass after its system call, so it has been told after two.
            await trio.lowlevel.checkpoint()
            await trio.lowlevel.checkpoint()
        except trio.BrokenResourceError:
            self._reset_seen = True
        except trio.ClosedResourceError:
            pass  # our own reset: over already
        except ProtocolError as error:
            self.hang_up("reset", why=f"the agent broke AudioSocket: {error}")
        self._end("agent", "reset" if self._reset_seen else "eof")
        self.timeline.append(LineClosed(self.now))
        self._released.set()

    def _take(self, message: Message) -> None:
        match message:
            case Audio(rate, data):
                now = self.now
                if self._last_frame is not None:
                    self.worst_gap = max(self.worst_gap, now - self._last_frame)
                self._last_frame = now
                self.frames_received += 1
                self._heard.add(Pcm(rate, data), now)
                self.timeline.extend(self._ear.hear(data, len(data) / (2 * rate), now))
            case Hangup():
                self._end("agent", "terminate")
            case _:
                self.hang_up("eof", why=f"the agent sent what Asterisk hangs up on: {message}")

    # How a call ends, and waiting for it ------------------------------------------------------------------------

    def _end(self, by: By, how: HangUp, why: str = "") -> None:
        if self.over is None:
            self.over = CallOver(self.now, by, how, why)
            self.timeline.extend((*self._ear.close(), self.over))
            self._changed.unpark_all()

    async def release(self) -> None:
        """Hang up if the call still lasts, and give the agent's side a bounded time to close. Never raises."""
        self.hang_up()
        with trio.move_on_after(_RELEASE_S):
            await self._released.wait()

    async def _perform(self, steps: list[Step]) -> bool:
        self._script.extend(steps)
        self._queued += len(steps)
        target = self._queued
        return await self.wait_until(lambda: self._played >= target, len(self._script) * FRAME_SECONDS + _GRACE_S)


@asynccontextmanager
async def open_caller(
    host: str, port: int, *, uuid: UUID | None = None, rate: int = 8000, max_s: float = 120.0
) -> AsyncIterator[Caller]:
    """Telephone the agent at `host`:`port`, as a channel at `rate` hertz would; hang up ("eof") on leaving.

    The call ends by itself after `max_s` seconds. Raises LineError when nobody answers there. Leaving takes at most
    2 s longer than the agent needs to close its side; cancelling does not wait.
    """
    stream = await connect(host, port)
    async with call_over(stream, partial(reset, stream), uuid=uuid, rate=rate, max_s=max_s) as caller:
        yield caller


@asynccontextmanager
async def call_over(
    stream: trio.abc.HalfCloseableStream,
    reset: Callable[[], None],
    *,
    uuid: UUID | None = None,
    rate: int = 8000,
    max_s: float = 120.0,
) -> AsyncIterator[Caller]:
    """As `open_caller`, over a connection that is there already. Owns `stream`, which `reset` tears down at once."""
    caller = Caller(stream, reset, uuid or uuid4(), rate, max_s)
    try:
        with unwrapped() as boundary:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(caller.run_sender)
                nursery.start_soon(caller.run_reader)
                with boundary.body():
                    yield caller
                await caller.release()
                nursery.cancel_scope.cancel()
    finally:
        with trio.CancelScope(shield=True):  # takes no time, and being cancelled would hide an error of the script's
            await trio.aclose_forcefully(stream)
