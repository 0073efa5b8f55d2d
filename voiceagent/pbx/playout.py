"""What is to be said, cut into frames, and what of it has been said.

Pure: the line takes one frame each 20 ms, the pacer fills up. Positions count frames since the call began, so that a
reply knows from two positions how much of it reached the line.
"""

from collections import deque

from voiceagent.audio.pcm import Pcm
from voiceagent.wire.audiosocket import KINDS, encode_frame, frame_bytes


class Playout:
    """A queue of whole AudioSocket frames.

    It holds at most `capacity` frames; `push` refuses nothing, so its owner asks `room` first (the pacer), or drops the
    oldest with `trim` (the echo). Worst case beyond that: the one chunk pushed last.
    """

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self._frames: deque[bytes] = deque()
        self._rest = b""
        self._rate = 0
        self.written = 0
        self.peak = 0

    @property
    def queued(self) -> int:
        """Frames waiting."""
        return len(self._frames)

    @property
    def end(self) -> int:
        """The position after the last frame queued; reached when `written` equals it."""
        return self.written + len(self._frames)

    @property
    def room(self) -> int:
        """Frames that still fit."""
        return self.capacity - len(self._frames)

    def push(self, audio: Pcm) -> None:
        """Queue audio of any size at a rate AudioSocket knows (KeyError otherwise); keeps what fills no frame yet."""
        if audio.rate != self._rate:
            self.pad()
            self._rate = audio.rate
        kind, size = KINDS[audio.rate], frame_bytes(audio.rate)
        data = self._rest + audio.data
        whole = len(data) - len(data) % size
        for at in range(0, whole, size):
            self._frames.append(encode_frame(kind, data[at : at + size]))
        self._rest = data[whole:]
        self.peak = max(self.peak, len(self._frames))

    def pad(self) -> None:
        """Fill the last, unfinished frame with silence: the end of an utterance."""
        if self._rest:
            size = frame_bytes(self._rate)
            self._frames.append(encode_frame(KINDS[self._rate], self._rest.ljust(size, b"\0")))
            self._rest = b""

    def peek(self) -> bytes | None:
        """The frame to write now, if any; `advance` once it is on the line."""
        return self._frames[0] if self._frames else None

    def advance(self) -> None:
        """The frame last peeked at has been written."""
        self._frames.popleft()
        self.written += 1

    def clear(self) -> int:
        """Forget what has not been written. Returns how many frames that were."""
        dropped = len(self._frames)
        self._frames.clear()
        self._rest = b""
        return dropped

    def trim(self, limit: int) -> int:
        """Drop the oldest frames beyond `limit`. Returns how many."""
        dropped = 0
        while len(self._frames) > limit:
            self._frames.popleft()
            dropped += 1
        return dropped
