"""One AudioSocket connection, as the media clock drives it.

The clock calls `read` and `write_frame` each 20 ms; both are synchronous and never block. The call's tasks meet the
line at bounded queues: `receive` hands them what the caller sent in batches, `playout` takes what the agent says.
Everything runs in one Trio thread.

Laws kept here (docs/design.md): one whole frame per send, an unfinished frame is finished before anything else, only
0x00 and audio are sent, reading never stops while the peer is there.
"""

from collections import Counter
from collections.abc import Callable
from typing import Final
from uuid import UUID

import trio
from attrs import frozen

from voiceagent.pbx.endpoint import Endpoint
from voiceagent.pbx.inbox import BATCH_SECONDS, ULAW_BYTES, Inbox, Sent, UlawWatch
from voiceagent.pbx.playout import Playout
from voiceagent.wire.audiosocket import (
    HEADER_BYTES,
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
#: Messages taken at one read, at most: 2 ms of work. A telephone sends one or two; the rest waits for the next read.
_MESSAGES_AT_ONCE: Final = 256
_NOBODY: Final = -1  # waits for the playout to drain

_ULAW_HELP: Final = (
    "the caller's codec came as it is (160-byte frames labelled 8 kHz PCM); have Asterisk convert it: "
    "Dial(AudioSocket/HOST:PORT/UUID/c(slin))"
)


@frozen
class LineEnd:
    """Why a line ended. `cause` is a short constant; `error` is set when it was our own fault."""

    cause: str
    detail: str = ""
    error: Exception | None = None


class Line:
    """Owns `endpoint` until `close`. `peer` is for logs; `number` staggers the batches of lines accepted together.

    A line has `ended` when its call cannot go on; the peer may still be there, waiting to be hung up. It is `gone` when
    the connection is of no further use.
    """

    __slots__ = (
        "_awaited",
        "_behind",
        "_changed",
        "_decoder",
        "_hanging_up",
        "_inbox",
        "_played",
        "_said_goodbye",
        "_silence",
        "_ulaw",
        "_unsent",
        "counts",
        "ended",
        "endpoint",
        "frames_dropped",
        "frames_received",
        "frames_sent",
        "gone",
        "identity",
        "last_read",
        "on_audio",
        "on_end",
        "peer",
        "playout",
        "rate",
        "resets",
        "takes_frames",
    )

    def __init__(self, endpoint: Endpoint, *, peer: str, number: int = 0, rate: int = 8000) -> None:
        self.endpoint = endpoint
        self.peer = peer
        self.rate = rate
        self.playout = Playout(PLAYOUT_FRAMES)
        self.identity: UUID | None = None
        self.ended: LineEnd | None = None
        self.gone = False
        #: Whether the peer is still to be sent anything: until it has gone, or been sent 0x00.
        self.takes_frames = True
        #: How `close` ends the connection. After 0x00 the dialplan goes on; a reset makes Asterisk hang the caller up.
        self.resets = False
        self.on_end: Callable[[], None] | None = None
        #: Set by an agent that wants audio (rate, s16le data) at once, without a task switch, instead of `receive`.
        self.on_audio: Callable[[int, bytes], None] | None = None
        self.last_read = 0.0
        self.frames_sent = 0
        self.frames_received = 0
        self.frames_dropped = 0
        self.counts: Counter[str] = Counter()
        self._decoder = Decoder()
        self._inbox = Inbox(number, self.counts)
        self._ulaw = UlawWatch()
        self._silence = silence_frame(rate)
        self._unsent = b""
        self._hanging_up = False
        self._said_goodbye = False
        self._behind = False  # the decoder holds more than was taken at the last read
        self._changed = trio.lowlevel.ParkingLot()
        self._played = trio.lowlevel.ParkingLot()
        self._awaited = _NOBODY

    @property
    def inbox_peak(self) -> float:
        """The most caller audio that ever waited for the call's tasks, in seconds."""
        return self._inbox.peak

    # Called by the clock ---------------------------------------------------------------------------------------------

    def write_frame(self) -> bool:
        """Put the frame that is due on the line. False: the peer takes nothing, the frame's time has passed.

        Raises OSError when the peer is gone.
        """
        try:
            if self._unsent:
                self._unsent = self._unsent[self.endpoint.send(self._unsent) :]
                if self._unsent:
                    self.frames_dropped += 1
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
            if len(queued) <= self._awaited:
                self._played.unpark_all()
        return True

    def _write_hangup(self) -> bool:
        """0x00, whole; after it nothing more."""
        if not self._said_goodbye:
            self._said_goodbye = True
            self._unsent = encode_message(Hangup())
            self._unsent = self._unsent[self.endpoint.send(self._unsent) :]
        self.takes_frames = bool(self._unsent)
        return True

    def read(self, now: float, buffer: memoryview) -> None:
        """Take what the peer has sent, by way of `buffer`. Raises OSError when it is gone."""
        if self._behind:
            self._decode(b"", now)
            return
        try:
            size = self.endpoint.recv_into(buffer)
        except BlockingIOError:
            return
        if not size:
            self.end("caller hung up", "eof in a frame" if self._decoder.is_mid_frame else "", gone=True)
            return
        self.last_read = now
        if self.ended is not None:
            return  # read and forgotten: a peer that cannot write would take us for dead
        data = bytes(buffer[:size])
        rate = self._decoder.sole_audio(data)
        if rate and self.identity is not None:
            self._take_audio(rate, data[HEADER_BYTES:], now)
        else:
            self._decode(data, now)

    def _decode(self, data: bytes, now: float) -> None:
        self._decoder.receive_data(data)
        self._behind = False
        try:
            for _ in range(_MESSAGES_AT_ONCE):
                message = self._decoder.next_message()
                if message is None or self.ended is not None:
                    return
                if isinstance(message, Audio) and self.identity is not None:
                    self._take_audio(message.rate, message.data, now)
                else:
                    self._take(message, now)
            self._behind = True
        except ProtocolError as error:
            self.end("protocol error", str(error))

    def end(self, cause: str, detail: str = "", error: Exception | None = None, *, gone: bool = False) -> None:
        """The call cannot go on; only the first cause counts. Tells the owner through `on_end`."""
        if gone:
            self.gone = True
            self.takes_frames = False
        if self.ended is None:
            self.ended = LineEnd(cause, detail, error)
            if self.on_end is not None:
                self.on_end()
        self._changed.unpark_all()
        self._played.unpark_all()

    def _take_audio(self, rate: int, data: bytes, now: float) -> None:
        self.frames_received += 1
        size = len(data)
        if size != ULAW_BYTES:
            self._ulaw.count = 0
        elif self._ulaw.suspects(rate, now):
            self.end("mislabelled audio", _ULAW_HELP)
            return
        seconds = size / (2 * rate)
        takes = self._inbox.takes(seconds, now)
        if self.on_audio is None:
            self._inbox.add_audio(Audio(rate, data), seconds)
            if self._inbox.ripe:
                self._changed.unpark_all()
        elif takes:
            self.on_audio(rate, data)
        else:
            self.counts["audio dropped in a flood"] += 1

    def _take(self, message: Message, now: float) -> None:
        match message:
            case Identity() if self.identity is not None:
                self.end("protocol error", "a second UUID")
            case Identity(uuid):
                self.identity = uuid
                self._changed.unpark_all()
            case Hangup():
                self.end("caller hung up", gone=True)
            case PeerError(code):
                self.end("peer error", f"code {code}")
            case _ if self.identity is None:
                self.end("protocol error", "the first frame is not a UUID")
            case Dtmf():
                self._inbox.add_digit(message, now)
                self._changed.unpark_all()
            case Ignored(reason):
                self.counts[reason] += 1

    # Called by the call's tasks --------------------------------------------------------------------------------------

    async def wait_identity(self) -> UUID | None:
        """The call's UUID; None when the line ended first."""
        while self.identity is None and self.ended is None:
            await self._changed.park()
        return self.identity

    async def receive(self, seconds: float = BATCH_SECONDS) -> list[Sent]:
        """What came since the last time, in order: `seconds` of audio, or less when a key was pressed.

        Empty when the line has ended. One task at a time.
        """
        self._inbox.batch = seconds
        while self.ended is None and not self._inbox.ripe:
            await self._changed.park()
        return self._inbox.take()

    async def wait_played(self, queued: int) -> None:
        """Wait until at most `queued` frames of playout are left, or the line has ended. One task at a time."""
        self._awaited = queued
        try:
            while len(self.playout.frames) > queued and self.ended is None:
                await self._played.park()
        finally:
            self._awaited = _NOBODY

    def clear_playout(self) -> None:
        """Say nothing of what still waits."""
        self.playout.clear()
        self._played.unpark_all()

    async def hang_up(self) -> None:
        """Send 0x00 after the frame in progress and read until the peer has closed. The caller sets the deadline."""
        self._hanging_up = True
        await self.wait_gone()

    async def wait_gone(self) -> None:
        """Wait until the peer has closed, or the connection has failed."""
        while not self.gone:
            await self._changed.park()

    def close(self) -> None:
        """Give the connection back."""
        self.end("closed", gone=True)
        if self.resets:
            self.endpoint.abort()
        else:
            self.endpoint.close()
