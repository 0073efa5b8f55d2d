"""What is to be said, cut into frames, and what of it has been said.

Pure: the line takes one frame each 20 ms, the pacer fills up. Positions count frames since the call began, so that a
reply knows from two positions how much of it reached the line.
"""

from collections import deque

from voiceagent.wire.audiosocket import HEADER_BYTES, frame_bytes, silence_frame


class Playout:
    """A queue of whole AudioSocket frames.

    It holds at most `capacity` frames; `push` refuses nothing, so its owner asks `room` first (the pacer), or drops the
    oldest with `trim` (the echo). Worst case beyond that: the one chunk pushed last.
    """

    __slots__ = ("_header", "_rate", "_rest", "_size", "capacity", "frames", "peak", "written")

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        #: Whole frames, header included, oldest first. The line takes from the left and counts `written`.
        self.frames: deque[bytes] = deque()
        self._rest = b""
        self._rate = 0
        self._size = 0
        self._header = b""
        self.written = 0
        self.peak = 0

    @property
    def end(self) -> int:
        """The position after the last frame queued; reached when `written` equals it."""
        return self.written + len(self.frames)

    @property
    def room(self) -> int:
        """Frames that still fit."""
        return self.capacity - len(self.frames)

    def push(self, rate: int, data: bytes) -> None:
        """Queue s16le audio of any size at a rate AudioSocket knows (KeyError otherwise).

        What fills no frame yet is kept.
        """
        if rate != self._rate:
            self.pad()
            self._header = silence_frame(rate)[:HEADER_BYTES]
            self._rate, self._size = rate, frame_bytes(rate)
        size = self._size
        if len(data) == size and not self._rest:  # all that an echo gets
            self.frames.append(self._header + data)
        else:
            data = self._rest + data
            whole = len(data) - len(data) % size
            for at in range(0, whole, size):
                self.frames.append(self._header + data[at : at + size])
            self._rest = data[whole:]
        if len(self.frames) > self.peak:
            self.peak = len(self.frames)

    def pad(self) -> None:
        """Fill the last, unfinished frame with silence: the end of an utterance."""
        if self._rest:
            self.frames.append(self._header + self._rest.ljust(self._size, b"\0"))
            self._rest = b""

    def clear(self) -> int:
        """Forget what has not been written. Returns how many frames that were."""
        dropped = len(self.frames)
        self.frames.clear()
        self._rest = b""
        return dropped

    def trim(self, limit: int) -> int:
        """Drop the oldest frames beyond `limit`. Returns how many."""
        dropped = 0
        while len(self.frames) > limit:
            self.frames.popleft()
            dropped += 1
        return dropped
