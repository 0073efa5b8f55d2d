"""The ingest: batches of caller audio become speech, turns and recognised text."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, TypeAlias

import trio
from attrs import define, field, frozen

from voiceagent.audio.pcm import Pcm
from voiceagent.audio.resample import StreamResampler
from voiceagent.journal import CallerKeyed, CallerSaid, Journal, ProviderFailed, SpeechEnded, SpeechStarted
from voiceagent.pbx.inbox import Sent
from voiceagent.pbx.line import Line
from voiceagent.pipeline.recording import Recording
from voiceagent.ports import Expectation, ProviderError, SpeechToText, Vad
from voiceagent.turns.endpointing import Decision, Endpointing, TurnDetector
from voiceagent.wire.audiosocket import FRAME_SECONDS, Audio, Dtmf, frame_bytes

#: Audio from before speech was noticed that belongs to the turn: up to 0.16 s of voice, and the first consonant.
_PRE_ROLL_SECONDS: Final = 0.34
#: How much audio is looked at at once while the caller says nothing: most of a call, and it costs mostly the waking up.
#: Within a turn batches are shorter; so voice interrupts the agent after 0.26 s at the latest, as it would with these.
_CALM_BATCH_SECONDS: Final = 0.1
#: Chunks of a turn that may wait for the recogniser: 512 of 60 ms, more than the longest turn; then they are lost.
_TURN_CHUNKS: Final = 512


@frozen
class Interrupted:
    """The caller means to speak: the agent stops."""


@frozen
class Heard:
    """A turn: its words (empty: not understood), or None when the recogniser failed.

    `confirmed` tells whether it was long enough to interrupt the agent.
    """

    text: str | None
    voice_ended: float
    confirmed: bool


@frozen
class Keyed:
    digit: str


@frozen
class Quiet:
    """The agent has finished and the caller says nothing. `turn` counts turns: a later one makes it untrue."""

    turn: int


EarEvent: TypeAlias = Interrupted | Heard | Keyed | Quiet


@define
class _Turn:
    """A turn being spoken: its audio on the way to the recogniser."""

    audio: trio.MemorySendChannel[Pcm]
    after: trio.Event  # set once the turn before has been told
    told: trio.Event = field(factory=trio.Event)
    dismissed: bool = False
    confirmed: bool = False
    voice_ended: float = 0.0
    ended: float = 0.0


class Hearing:
    """One call's ears. `run` is the ingest task; `events` is read by the conversation.

    When `events` is full the conversation is stuck, or the caller presses keys like no human: the line ends.
    """

    def __init__(
        self,
        line: Line,
        *,
        call: str,
        stt: SpeechToText,
        vad: Callable[[int], Vad],
        expected: Callable[[], Expectation],
        limits: Endpointing,
        events: trio.MemorySendChannel[EarEvent],
        journal: Journal,
    ) -> None:
        self._line = line
        self._call = call
        self._stt = stt
        self._make_vad = vad
        self._expected = expected
        self._journal = journal
        self._events = events
        self._detector = TurnDetector(limits)
        self._source_rate = 0
        self._rate = 8000
        self._resampler: StreamResampler | None = None
        self._by_rate: dict[int, tuple[StreamResampler | None, Vad]] = {}  # at most one per kind of audio, nine
        self._vad = vad(self._rate)
        self._rest = b""
        self._pre_roll = b""
        self._turn: _Turn | None = None
        self._recognising = 0
        self._settled = trio.lowlevel.ParkingLot()  # woken whenever a turn in progress is over
        self._last_told = trio.Event()
        self._last_told.set()
        self._recording: Recording | None = None

    @property
    def is_busy(self) -> bool:
        """Whether the caller is speaking, or what he said is being recognised."""
        return self._detector.in_turn or self._recognising > 0

    @property
    def is_recording(self) -> bool:
        """Whether a message is being taken."""
        return self._recording is not None

    async def run(self) -> None:
        """The ingest. Ends when the line does."""
        async with trio.open_nursery() as turns:
            while self._line.ended is None:
                if (deadline := self._detector.deadline) is None:
                    self._take(await self._line.receive(_CALM_BATCH_SECONDS), turns)
                else:
                    with trio.move_on_at(deadline):
                        self._take(await self._line.receive(), turns)
                    self._decide(self._detector.expire(trio.current_time()), turns)

    def _take(self, batch: list[Sent], turns: trio.Nursery) -> None:
        for message in batch:
            match message:
                case Dtmf(digit):
                    self._key(digit)
                case Audio(rate, data):
                    self._listen(rate, data, turns)

    @contextmanager
    def recording(self, limit: float) -> Iterator[Recording]:
        """Take a message of at most `limit` seconds; meanwhile nothing is recognised and nothing interrupts."""
        self._abandon_turn()
        self._recording = Recording(limit, trio.current_time())
        try:
            yield self._recording
        finally:
            self._recording = None
            self._detector.reset()

    def _key(self, digit: str) -> None:
        self._journal(CallerKeyed(trio.current_time(), self._call, digit))
        if self._recording is not None:
            self._recording.press(digit)
            return
        self._abandon_turn(silently=True)
        self._tell(Keyed(digit))

    def _tell(self, event: EarEvent) -> None:
        try:
            self._events.send_nowait(event)
        except trio.WouldBlock:
            self._line.end("overrun", "the caller does more than the conversation can take")

    def _listen(self, rate: int, data: bytes, turns: trio.Nursery) -> None:
        if rate != self._source_rate:
            self._change_rate(rate)
        if self._resampler is not None:
            data = self._resampler.convert(data)
        data = self._rest + data
        size = frame_bytes(self._rate)
        whole = len(data) - len(data) % size
        audio, self._rest = Pcm(self._rate, data[:whole]), data[whole:]
        if not whole:
            return
        verdicts = self._vad.detect(audio)
        if self._recording is not None:
            self._recording.feed(audio, voiced=any(verdicts), now=trio.current_time())
            return
        self._feed(audio.data)
        now = trio.current_time()
        if not self._detector.in_turn and not any(verdicts):
            self._detector.feed(speech=False, seconds=audio.seconds, now=now)  # nothing can come of it
            return
        for at, speech in enumerate(verdicts):
            frame_now = now - (len(verdicts) - 1 - at) * FRAME_SECONDS
            self._decide(self._detector.feed(speech=speech, seconds=FRAME_SECONDS, now=frame_now), turns)

    def _change_rate(self, rate: int) -> None:
        """Voice is looked for at 8 kHz or 16 kHz; other rates are brought to 16 kHz. A rate's state is kept."""
        self._source_rate, self._rate = rate, 8000 if rate == 8000 else 16000
        if rate not in self._by_rate:
            resampler = None if rate == self._rate else StreamResampler(rate, self._rate)
            self._by_rate[rate] = (resampler, self._make_vad(self._rate))
        self._resampler, self._vad = self._by_rate[rate]
        self._rest = self._pre_roll = b""
        self._abandon_turn()

    def _feed(self, data: bytes) -> None:
        """Hand audio to the turn in progress, or keep it in case one begins."""
        if self._turn is None:
            keep = 2 * round(self._rate * _PRE_ROLL_SECONDS)
            self._pre_roll = (self._pre_roll + data)[-keep:]
            return
        try:
            self._turn.audio.send_nowait(Pcm(self._rate, data))
        except trio.WouldBlock:
            self._line.counts["audio dropped unrecognised"] += 1

    def _decide(self, decision: Decision | None, turns: trio.Nursery) -> None:
        match decision:
            case Decision.STARTED:
                self._journal(SpeechStarted(trio.current_time(), self._call))
                send, receive = trio.open_memory_channel[Pcm](_TURN_CHUNKS)
                send.send_nowait(Pcm(self._rate, self._pre_roll))
                self._turn, self._pre_roll = _Turn(send, self._last_told), b""
                self._last_told = self._turn.told
                self._recognising += 1
                turns.start_soon(self._recognise, self._turn, receive)
            case Decision.CONFIRMED if self._turn is not None:
                self._turn.confirmed = True
                self._tell(Interrupted())
            case Decision.ENDED if self._turn is not None:
                self._end_turn(self._turn)
            case Decision.DISMISSED:
                self._abandon_turn()

    def _end_turn(self, turn: _Turn) -> None:
        turn.voice_ended, turn.ended = self._detector.voice_ended, trio.current_time()
        self._journal(SpeechEnded(turn.ended, self._call, turn.voice_ended))
        turn.audio.close()
        self._turn = None
        self._settled.unpark_all()

    def _abandon_turn(self, *, silently: bool = False) -> None:
        """Forget the turn in progress. One that has interrupted the agent must be answered, by him or by a key."""
        self._detector.reset()
        if (turn := self._turn) is not None:
            turn.dismissed = True
            turn.audio.close()
            self._turn = None
            self._settled.unpark_all()
            if turn.confirmed and not silently:
                self._tell(Heard("", trio.current_time(), confirmed=True))

    async def _recognise(self, turn: _Turn, audio: trio.MemoryReceiveChannel[Pcm]) -> None:
        """Recognise one turn while it is spoken; report it once it has ended."""
        text: str | None = None
        try:
            async with self._stt.open_recognition(self._expected()) as recognition:
                async for chunk in audio:
                    await recognition.send(chunk)
                if not turn.dismissed:
                    text = (await recognition.finish()).text
        except ProviderError as error:
            self._journal(ProviderFailed(trio.current_time(), self._call, error.provider, error.message))
            async for _ in audio:
                pass  # the turn must end before the apology
        finally:
            self._recognising -= 1
        if text is not None:
            now = trio.current_time()
            self._journal(CallerSaid(now, self._call, text, now - turn.ended))
        await turn.after.wait()
        while self._turn is not None and self._turn.confirmed:
            await self._settled.park()  # he speaks again: an answer now would be talking over him
        turn.told.set()
        if not turn.dismissed:
            self._tell(Heard(text, turn.voice_ended, turn.confirmed))
