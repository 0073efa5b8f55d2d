"""The pacer: takes what replies want said, keeps the line supplied, and knows what was really heard."""

from collections.abc import AsyncIterator
from typing import Final

import trio
from attrs import define

from voiceagent.audio.pcm import Pcm
from voiceagent.audio.resample import SpeechResampler
from voiceagent.journal import AgentSaid, AgentStarted, Journal
from voiceagent.pbx.line import PLAYOUT_LOW, Line
from voiceagent.wire.audiosocket import FRAME_SECONDS, KINDS

#: Chunks that may wait for the pacer; then the speaker waits. A chunk is at most one sentence (about 20 s, 900 KB).
_CHUNKS: Final = 4
#: What is handed to the line at once; the playout never holds more than its capacity and this.
_SLICE_SECONDS: Final = 0.1


@define
class _Piece:
    """One text on its way to the caller; `start` is its first frame's position in the playout, once begun."""

    reply: int
    text: str
    seconds: float = 0.0
    start: int = 0
    resampler: SpeechResampler | None = None


class Mouth:
    """One call's voice. `run` is the pacer task; `say`, `drained` and `stop` are for the pipeline, one task at a time.

    Audio carries the number of the reply it belongs to; `stop` begins a new one, and what is late is dropped.
    """

    def __init__(self, line: Line, *, call: str, journal: Journal) -> None:
        self._line = line
        self._call = call
        self._journal = journal
        self._send, self._receive = trio.open_memory_channel[tuple[_Piece, Pcm | None]](_CHUNKS)
        self._reply = 0
        self._handed_over = 0
        self._done = 0
        self._answers: float | None = None
        self._playing: _Piece | None = None
        self._idle = trio.lowlevel.ParkingLot()

    def answer(self, turn_ended: float) -> None:
        """What is said next answers the turn that ended at `turn_ended`; the journal gets the time in between."""
        self._answers = turn_ended

    async def say(self, text: str, chunks: AsyncIterator[Pcm]) -> None:
        """Say `text`, whose audio `chunks` are. Returns when the last is handed over, not when it is heard.

        Waits while the line has enough, which holds the synthesis back. Raises what `chunks` raises.
        """
        piece = _Piece(self._reply, text)
        async for audio in chunks:
            piece.seconds += audio.seconds
            await self._hand_over(piece, audio)
        await self._hand_over(piece, None)

    async def drained(self) -> None:
        """Wait until everything said has been written to the line."""
        while self._done < self._handed_over:
            await self._idle.park()

    def stop(self) -> None:
        """Be silent at once: unsent audio is flushed, late audio of this reply will be dropped."""
        self._reply += 1
        self._answers = None
        if self._playing is not None:
            self._finish(self._playing)
        self._line.clear_playout()

    async def run(self) -> None:
        """The pacer. Ends only by cancellation."""
        async for piece, audio in self._receive:
            if audio is not None:
                await self._play(piece, audio, last=False)
            else:
                await self._play(piece, Pcm(self._line.rate, b""), last=True)
                if piece.reply == self._reply:
                    self._line.playout.pad()
                    await self._line.wait_played(0)
                if piece is self._playing:
                    self._finish(piece)
            self._done += 1
            if self._done == self._handed_over:
                self._idle.unpark_all()

    async def _hand_over(self, piece: _Piece, audio: Pcm | None) -> None:
        await self._send.send((piece, audio))
        self._handed_over += 1

    async def _play(self, piece: _Piece, audio: Pcm, *, last: bool) -> None:
        if piece.reply != self._reply:
            return
        if audio.rate not in KINDS or piece.resampler is not None:
            if piece.resampler is None:
                piece.resampler = SpeechResampler(audio.rate, self._line.rate)
            audio = Pcm(self._line.rate, piece.resampler.convert(audio.data, last=last))
        step = 2 * round(audio.rate * _SLICE_SECONDS)
        for at in range(0, len(audio.data), step):
            if self._line.playout.room <= 0:
                await self._line.wait_played(PLAYOUT_LOW)
            if piece.reply != self._reply:
                return
            if piece is not self._playing:
                self._begin(piece)
            self._line.playout.push(audio.rate, audio.data[at : at + step])

    def _begin(self, piece: _Piece) -> None:
        piece.start = self._line.playout.end
        self._playing = piece
        if self._answers is not None:
            now = trio.current_time()
            self._journal(AgentStarted(now, self._call, now - self._answers))
            self._answers = None

    def _finish(self, piece: _Piece) -> None:
        self._playing = None
        written = (self._line.playout.written - piece.start) * FRAME_SECONDS
        heard = 1.0 if piece.reply == self._reply else min(1.0, max(0.0, written / piece.seconds))
        self._journal(AgentSaid(trio.current_time(), self._call, piece.text, heard))
