"""One AudioSocket connection, as the media clock drives it.

The clock calls `write_frame` each 20 ms and `read` when bytes are there; both are synchronous and never block. The
call's tasks meet the line at bounded queues: `receive` hands them what the caller sent in batches, `playout` takes what
the agent says. Everything runs in one Trio thread.

Laws kept here (docs/design.md): one whole frame per send, an unfinished frame is finished before anything else, only
0x00 and audio are sent, reading never stops.
"""

from collections import Counter, deque
from collections.abc import Callable
from typing import Final, Protocol
from uuid import UUID

import trio
from attrs import frozen

from voiceagent.pbx.playout import Playout
from voiceagent.wire.audiosocket import (
    FRAME_SECONDS,
    Audio,
    Decoder,
    Dtmf,
    Hangup,
    Identity,
    Ignored,
    Message,
    PeerError,
    ProtocolError,
    encode_message,
    silence_frame,
)

#: The agent's audio that may wait on the line: 1 s, 16 KB at 8 kHz. The pacer refills below PLAYOUT_LOW.
PLAYOUT_FRAMES: Final = 50
PLAYOUT_LOW: Final = 15
#: Caller audio that may wait for the call's tasks: 2 s; then the oldest goes, counted.
INBOX_SECONDS: Final = 2.0
#: Keys that may wait; beyond that they are refused, counted (nobody presses 32 keys in one batch).
INBOX_DIGITS: Final = 32
#: Audio is handed over in batches of this many seconds: one task switch for three frames.
BATCH_SECONDS: Final = 3 * FRAME_SECONDS


class Endpoint(Protocol):
    """A non-blocking byte stream: a socket, or its twin in memory."""

    def send(self, data: bytes, /) -> int:
        """Take some of `data`; raises BlockingIOError when none fits, another OSError when the peer is gone."""

    def recv_into(self, buffer: bytearray, /) -> int:
        """Some bytes, 0 at the end; raises BlockingIOError when there are none yet."""

    @property
    def readable(self) -> bool:
        """Whether there is something to read; asked only when there is no descriptor to poll."""

    def fileno(self) -> int:
        """The descriptor to poll; -1: there is none."""

    def close(self) -> None:
        """End the stream in order, what was sent is delivered."""

    def abort(self) -> None:
        """End the stream with a reset."""


@frozen
class LineEnd:
    """Why a line ended. `cause` is a short constant; `error` is set when it was our own fault."""

    cause: str
    detail: str = ""
    error: Exception | None = None


class Line:
    """Owns `endpoint` until `close`. `peer` is for logs; `number` staggers the batches of lines accepted together."""

    def __init__(self, endpoint: Endpoint, *, peer: str, number: int = 0, rate: int = 8000) -> None:
        self.endpoint = endpoint
        self.peer = peer
        self.rate = rate
        #: How `close` ends the connection. After 0x00 the dialplan goes on; a reset makes Asterisk hang the caller up.
        self.resets = False
        self.playout = Playout(PLAYOUT_FRAMES)
        self.identity: UUID | None = None
        self.ended: LineEnd | None = None
        #: Whether the peer is still to be sent anything: until it has gone, or been sent 0x00.
        self.takes_frames = True
        self.on_end: Callable[[], None] | None = None
        #: Set by an agent that wants each chunk at once, without a task switch, instead of `receive`.
        self.on_audio: Callable[[Audio], None] | None = None
        self.last_read = 0.0
        self.frames_sent = 0
        self.frames_received = 0
        self.frames_dropped = 0
        self.counts: Counter[str] = Counter()
        self.inbox_peak = 0.0
        self._decoder = Decoder()
        self._silence = silence_frame(rate)
        self._unsent = b""
        self._hanging_up = False
        self._said_goodbye = False
        self._inbox: deque[Audio | Dtmf] = deque()
        self._inbox_seconds = 0.0
        self._digits = 0
        self._ripe_seconds = BATCH_SECONDS - number % 3 * FRAME_SECONDS
        self._changed = trio.lowlevel.ParkingLot()
        self._played = trio.lowlevel.ParkingLot()

    # Called by the clock ---------------------------------------------------------------------------------------------

    def write_frame(self) -> bool:
        """Put the frame that is due on the line. False: the peer takes nothing, the frame's time has passed.

        Raises OSError when the peer is gone.
        """
        try:
            if self._unsent:
                self._unsent = self._unsent[self.endpoint.send(self._unsent) :]
                if self._unsent:
                    return False
            if self._hanging_up:
                return self._write_hangup()
            queued = self.playout.frames
            frame = queued[0] if queued else self._silence
            sent = self.endpoint.send(frame)
        except BlockingIOError:
            self.frames_dropped += 1
            return False
        if sent < len(frame):
            self._unsent = frame[sent:]
        self.frames_sent += 1
        if queued:
            queued.popleft()
            self.playout.written += 1
            if len(queued) in (0, PLAYOUT_LOW):
                self._played.unpark_all()
        return True

    def _write_hangup(self) -> bool:
        """0x00, whole; after it nothing more."""
        if not self._said_goodbye:
            self._said_goodbye = True
            goodbye = encode_message(Hangup())
            self._unsent = goodbye[self.endpoint.send(goodbye) :]
        self.takes_frames = bool(self._unsent)
        return True

    def read(self, now: float, buffer: bytearray) -> None:
        """Take what the peer has sent, by way of `buffer`. Raises OSError when it is gone."""
        try:
            size = self.endpoint.recv_into(buffer)
        except BlockingIOError:
            return
        if not size:
            self.end("caller hung up", "eof in a frame" if self._decoder.is_mid_frame else "")
            return
        self.last_read = now
        decoder = self._decoder
        decoder.receive_data(bytes(memoryview(buffer)[:size]))
        try:
            while (message := decoder.next_message()) is not None and self.ended is None:
                if type(message) is Audio and self.identity is not None:
                    self._take_audio(message)
                else:
                    self._take(message)
        except ProtocolError as error:
            self.end("protocol error", str(error))

    def end(self, cause: str, detail: str = "", error: Exception | None = None) -> None:
        """The line is of no further use; only the first cause counts. Wakes the owner through `on_end`."""
        if self.ended is None:
            self.ended = LineEnd(cause, detail, error)
            self.takes_frames = False
            self._changed.unpark_all()
            self._played.unpark_all()
            if self.on_end is not None:
                self.on_end()

    def _take(self, message: Message) -> None:
        match message:
            case _ if self._hanging_up:
                pass
            case Identity() if self.identity is not None:
                self.end("protocol error", "a second UUID")
            case Identity(uuid):
                self.identity = uuid
                self._changed.unpark_all()
            case _ if self.identity is None and not isinstance(message, Ignored):
                self.end("protocol error", "the first frame is not a UUID")
            case Dtmf() if self._digits < INBOX_DIGITS:
                self._digits += 1
                self._inbox.append(message)
                self._changed.unpark_all()
            case Dtmf():
                self.counts["digits refused"] += 1
            case Hangup():
                self.end("caller hung up")
            case PeerError(code):
                self.end("peer error", f"code {code}")
            case Ignored(reason):
                self.counts[reason] += 1

    def _take_audio(self, audio: Audio) -> None:
        self.frames_received += 1
        if self._hanging_up:
            return
        if self.on_audio is not None:
            self.on_audio(audio)
            return
        self._inbox.append(audio)
        self._inbox_seconds += len(audio.data) / (2 * audio.rate)
        if self._inbox_seconds > INBOX_SECONDS + 1e-9:
            self._drop_oldest()
        self.inbox_peak = max(self.inbox_peak, self._inbox_seconds)
        if self._inbox_seconds >= self._ripe_seconds - 1e-9:
            self._changed.unpark_all()

    def _drop_oldest(self) -> None:
        for at, message in enumerate(self._inbox):
            if isinstance(message, Audio):
                del self._inbox[at]
                self._inbox_seconds -= len(message.data) / (2 * message.rate)
                self.counts["audio dropped unheard"] += 1
                return

    # Called by the call's tasks --------------------------------------------------------------------------------------

    async def wait_identity(self) -> UUID | None:
        """The call's UUID; None when the line ended first."""
        while self.identity is None and self.ended is None:
            await self._changed.park()
        return self.identity

    async def receive(self) -> list[Audio | Dtmf]:
        """What came since the last time, in order: a batch of audio, or less when a key was pressed.

        Empty when the line has ended. One task at a time.
        """
        while self.ended is None and not self._digits and self._inbox_seconds < self._ripe_seconds - 1e-9:
            await self._changed.park()
        batch = list(self._inbox)
        self._inbox.clear()
        self._inbox_seconds = 0.0
        self._digits = 0
        self._ripe_seconds = BATCH_SECONDS
        return batch

    async def wait_played(self, queued: int) -> None:
        """Wait until at most `queued` (0 or PLAYOUT_LOW) frames of playout are left, or the line has ended."""
        while self.playout.queued > queued and self.ended is None:
            await self._played.park()

    def clear_playout(self) -> None:
        """Say nothing of what still waits."""
        self.playout.clear()
        self._played.unpark_all()

    async def hang_up(self) -> None:
        """Send 0x00 after the frame in progress and read until the peer has closed. The caller sets the deadline."""
        self._hanging_up = True
        await self.wait_ended()

    async def wait_ended(self) -> None:
        """Wait until the peer has closed, or the line has failed."""
        while self.ended is None:
            await self._changed.park()

    def close(self) -> None:
        """Give the connection back."""
        self.end("closed")
        if self.resets:
            self.endpoint.abort()
        else:
            self.endpoint.close()
