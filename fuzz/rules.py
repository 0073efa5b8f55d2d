"""What a service must have done, worked out from what was sent and when: the table of peers' behaviour, as properties.

For each connection a list of what may end it is made, with the earliest and the latest time the service may act on it;
what did happen must be one of these, and no later than the first that leaves no choice. A line is read every 20 ms, so
things sent within one such interval may be seen in one go; very many frames at once take longer.

Longer than most modules: the rules are one table, and they share what they know of a connection.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import accumulate, pairwise
from typing import Final

from attrs import define, field, frozen

from fuzz import reference
from fuzz.callers import HANG_UP, LiveCaller
from fuzz.house import SAVING_S, Record
from voiceagent import journal as j
from voiceagent.wire.audiosocket import Audio, Dtmf, Hangup, Identity, Ignored, PeerError, frame_bytes

#: Between two readings of a line, and what is added by rounding.
_TICK: Final = 0.02
_EPSILON: Final = 1e-6
#: From accept to the first frame, at most.
_FIRST_S: Final = 0.02
_IDENTITY_S: Final = 2.0
_HANG_UP_S: Final = 1.0
#: Frames that are taken at one reading, the rest at the next.
_AT_ONCE: Final = 256
#: µ-law is 160 bytes each 20 ms: never noticed below, always noticed above so many in a row.
_ULAW_MAYBE: Final = 50
_ULAW_SURELY: Final = 110
#: Seconds of audio in 2 s that are no flood yet, and in 1 s that surely are one.
_FLOOD_MAYBE: Final = 6.0
_FLOOD_SURELY: Final = 8.0
#: A conversation that is busy has room for so many.
_KEYS_THAT_WAIT: Final = 60
_AGENTS_OWN: Final = ("agent hung up", "transferred", "provider failed")


@frozen
class Sent:
    """A whole frame that reached the wire, the last byte at `at`; it is read after that, and at the latest at `by`."""

    at: float
    by: float
    kind: int
    payload: bytes


@frozen
class Ending:
    """Something that ends a connection: `what` between two times; `surely` when nothing can come after it."""

    what: str
    earliest: float
    latest: float
    surely: bool = True


@define
class Case:
    """One connection: what was sent and what became of it."""

    port: int
    caller: LiveCaller
    frames: list[Sent]
    started: j.CallStarted | None = None
    ended: j.CallEnded | None = None
    refused: j.ConnectionRefused | None = None
    keyed: int = 0
    endings: list[Ending] = field(factory=list)

    @property
    def is_known(self) -> bool:
        return self.started is not None or self.refused is not None

    @property
    def is_too_many(self) -> bool:
        return self.refused is not None and self.refused.reason.startswith("too many")

    @property
    def outcome(self) -> tuple[float, str] | None:
        if self.ended is not None:
            return self.ended.at, self.ended.cause
        return None if self.refused is None else (self.refused.at, self.refused.reason)


def judge(record: Record) -> None:
    """Check every property. Raises AssertionError."""
    cases = {port: Case(port, caller, list(_frames(caller))) for port, caller in record.callers.items()}
    _read_journal(record, cases)
    for case in cases.values():
        _check_outcome(record, case, cases)
        _check_what_was_sent_to(case)
        _check_last_word(case)
        if case.ended is not None:
            _check_counts(record, case, case.ended)
    _check_witness(record, cases[0])


def _frames(caller: LiveCaller) -> Iterator[Sent]:
    pieces = caller.wire.sent
    ends = list(accumulate(len(data) for _, data in pieces))
    position = 0
    by: list[float] = []
    for kind, payload in reference.frames(b"".join(data for _, data in pieces)):
        position += 3 + len(payload)
        at = pieces[bisect_left(ends, position)][0]
        before = by[-_AT_ONCE] + _TICK if len(by) >= _AT_ONCE else at
        by.append(max(at, before) + _TICK)
        yield Sent(at, by[-1], kind, payload)


def _read_journal(record: Record, cases: dict[int, Case]) -> None:
    """Each call begins once and ends once, under no UUID that is on a call; nothing crashes; time does not go back."""
    live: dict[str, Case] = {}
    for event in record.events:
        match event:
            case j.CallCrashed(traceback=traceback):
                raise AssertionError(f"a call crashed:\n{traceback}")
            case j.CallStarted(call=call, peer=peer):
                case = cases[_port(peer)]
                assert call not in live, f"{call} began while it was on a call"
                assert not case.is_known, f"{peer} began a second call"
                case.started = event
                live[call] = case
            case j.CallEnded(call=call):
                live.pop(call).ended = event
            case j.ConnectionRefused(peer=peer, reason=reason, detail=detail):
                case = cases[_port(peer)]
                assert not case.is_known, f"{peer} was refused after it began"
                assert reason != "call already connected" or detail in live, f"{peer}: {detail} was on no call"
                case.refused = event
            case j.CallerKeyed(call=call):
                live[call].keyed += 1
    assert not live, f"calls that never ended: {list(live)}"
    assert all(a.at <= b.at for a, b in pairwise(record.events)), "the journal's time goes back"


def _port(peer: str) -> int:
    return int(peer.rpartition(":")[2])


# How it ended --------------------------------------------------------------------------------------------------------


def _check_outcome(record: Record, case: Case, cases: dict[int, Case]) -> None:
    outcome = case.outcome
    if case.refused is not None and case.is_too_many:
        _check_full(record, case, case.refused, cases)
        return
    _check_room(record, case, cases)
    case.endings = [*_endings(record, case)]
    # A message is saved before the call is over.
    slack = _EPSILON + (SAVING_S if record.plan.agent == "conversation" else 0.0)
    limit = min((ending.latest for ending in case.endings if ending.surely), default=float("inf")) + slack
    shown = f"port {case.port}: {outcome}, expected {case.endings}"
    if outcome is None:  # one who goes before he has said who he is leaves no trace
        silent = [e for e in case.endings if e.what in ("caller hung up", "service stopped")]
        assert min((e.earliest for e in silent), default=float("inf")) <= limit, shown
        assert _closed(case) <= limit + _HANG_UP_S + _EPSILON, shown
        return
    at, what = outcome
    assert at <= limit, f"too late: {shown}"
    if what in _AGENTS_OWN and record.plan.agent == "conversation":
        return
    fits = [e for e in case.endings if e.what == what and e.earliest - _EPSILON <= at <= e.latest + slack]
    assert fits, f"unexpected: {shown}"


def _endings(record: Record, case: Case) -> Iterator[Ending]:
    """All that may end the connection, each with its time."""
    plan, wire = record.plan, case.caller.wire
    begun = _beginning(case)
    if begun is None or begun.at > wire.connected + _IDENTITY_S - _TICK:
        yield Ending("no UUID", wire.connected + _IDENTITY_S, wire.connected + _IDENTITY_S, surely=begun is None)
    if wire.left is not None:
        yield Ending("caller hung up", wire.left, _last_read(case, wire.left) + _TICK)  # after the last bytes
    if record.stopped is not None:
        yield Ending("service stopped", record.stopped, record.stopped)
    yield from _ends_sent(case, begun)
    if begun is None:
        return
    identified = begun.at
    yield Ending("call already connected", identified, begun.by, surely=False)
    last = identified + plan.max_call_s
    yield Ending("maximum duration", last, last + begun.by - identified + _TICK)
    yield from _pauses(case, identified, plan.idle_s)
    yield from _ulaw(case)
    keys = [frame.at for frame in case.frames if frame.kind == 0x03]
    if plan.agent == "conversation" and len(keys) > _KEYS_THAT_WAIT:
        yield Ending("overrun", keys[_KEYS_THAT_WAIT], float("inf"), surely=False)


def _beginning(case: Case) -> Sent | None:
    """The first frame, if it is in time and says which call this is."""
    first = next(iter(case.frames), None)
    if first is None or first.at > case.caller.wire.connected + _IDENTITY_S:
        return None
    return first if isinstance(reference.message(first.kind, first.payload), Identity) else None


def _ends_sent(case: Case, begun: Sent | None) -> Iterator[Ending]:
    """Frames that end the connection. The first does it; those read in one go with it do not count."""
    for frame in case.frames:
        if frame is begun:
            continue
        match reference.message(frame.kind, frame.payload):
            case Hangup():
                yield Ending("caller hung up", frame.at, frame.by)
                return
            case PeerError():
                yield Ending("peer error", frame.at, frame.by)
                return
            case None | Identity():
                yield Ending("protocol error", frame.at, frame.by)
                return
            case _ if begun is None:
                yield Ending("protocol error", frame.at, frame.by)
                return
            case _:
                pass


def _last_read(case: Case, until: float) -> float:
    """When the service has read all that was sent until then."""
    return max([until + _TICK, *(frame.by + _TICK for frame in case.frames if frame.at <= until)])


def _pauses(case: Case, identified: float, idle_s: float) -> Iterator[Ending]:
    """Times in the call when nothing came for too long."""
    times = [*(at for at, _ in case.caller.wire.sent if at >= identified), float("inf")]
    for before, after in pairwise(times):
        if after - before > idle_s - _TICK:
            latest = _last_read(case, before) + idle_s + _TICK
            yield Ending("idle", before + idle_s, latest, surely=after > latest + _TICK)


def _ulaw(case: Case) -> Iterator[Ending]:
    """µ-law with the label of PCM: may be noticed from the 50th such frame in a row on, must be after the 110th."""
    row: list[float] = []
    for frame in case.frames:
        message = reference.message(frame.kind, frame.payload)
        if not isinstance(message, Audio):
            continue
        if message.rate != 8000 or len(message.data) != 160:
            row.clear()
            continue
        row.append(frame.at)
        steady = row[-_ULAW_SURELY:]
        if len(row) >= _ULAW_MAYBE:
            surely = len(steady) == _ULAW_SURELY and all(0.018 < b - a < 0.022 for a, b in pairwise(steady))
            yield Ending("mislabelled audio", frame.at, frame.by, surely=surely)


def _closed(case: Case) -> float:
    """When the service closed its end: by the end of a run it always has."""
    assert case.caller.wire.closed is not None
    return case.caller.wire.closed


def _check_full(record: Record, case: Case, refused: j.ConnectionRefused, cases: dict[int, Case]) -> None:
    """A connection is refused for being too many when there are as many as may be, told at once and closed soon."""
    at = case.caller.wire.connected
    others = [other for other in cases.values() if other is not case and _is_open(other, at)]
    pending = [other for other in others if other.started is None or other.started.at >= at - _EPSILON]
    if refused.reason == "too many calls":
        assert len(others) >= record.plan.max_calls, f"{refused}, but there are {len(others)}"
    else:
        assert len(pending) >= record.plan.max_pending, f"{refused}, but there are {len(pending)}"
    wire = case.caller.wire
    assert wire.received == [(at, HANG_UP)] or wire.was_deaf or wire.left == at, (
        f"{refused}, but he was sent {wire.received}"
    )
    assert refused.at == at, f"{refused}, but he came at {at}"
    assert _closed(case) <= at + _HANG_UP_S + _EPSILON, f"{refused}, closed at {_closed(case)}"
    if wire.left is not None:
        assert _closed(case) <= _last_read(case, wire.left) + _TICK + _EPSILON, f"{refused}, closed {_closed(case)}"


def _check_room(record: Record, case: Case, cases: dict[int, Case]) -> None:
    """A connection is let in when there is room for it."""
    at = case.caller.wire.connected
    earlier = [other for other in cases.values() if other.caller.wire.connected < at and not other.is_too_many]
    others = [other for other in earlier if at < _closed(other) - _EPSILON]
    pending = [other for other in others if at < _known_at(other) - _EPSILON]
    assert len(others) < record.plan.max_calls, f"port {case.port} was let in beside {len(others)}"
    assert len(pending) < record.plan.max_pending, f"port {case.port} was let in beside {len(pending)} without UUID"


def _known_at(case: Case) -> float:
    """When a connection had said which call it is, or never would."""
    times = [event.at for event in (case.started, case.refused) if event is not None]
    times += [frame.at for frame in case.frames[:1]]
    return min([*times, case.caller.wire.left or _closed(case), _closed(case)])


def _is_open(case: Case, at: float) -> bool:
    wire = case.caller.wire
    if case.is_too_many:
        return False
    return wire.connected <= at and (wire.closed is None or wire.closed >= at - _EPSILON)


# What the caller was sent --------------------------------------------------------------------------------------------


def _check_what_was_sent_to(case: Case) -> None:
    """Audio in frames of 20 ms and at last 0x00, nothing else; each frame at its time, unless the caller was deaf."""
    wire = case.caller.wire
    stream = b"".join(data for _, data in wire.received)
    frames = list(reference.frames(stream))
    for number, (kind, payload) in enumerate(frames):
        if kind == 0x00:
            assert number == len(frames) - 1, f"port {case.port}: 0x00 is not the last frame"
            assert not payload, f"port {case.port}: 0x00 with {payload!r}"
            continue
        audio = reference.message(kind, payload)
        assert isinstance(audio, Audio), f"port {case.port} was sent a frame of kind {kind:#x}"
        assert len(payload) == frame_bytes(audio.rate), f"port {case.port}: {len(payload)} bytes at {audio.rate} Hz"
    if wire.was_deaf:
        return
    assert sum(3 + len(payload) for _, payload in frames) == len(stream), f"port {case.port}: a frame is cut off"
    times = [at for at, data in wire.received if data != HANG_UP]
    if case.is_too_many:
        assert not times, f"port {case.port} was refused and sent audio"
        return
    over = _no_more_audio(case)
    first = times[0] if times else over
    assert first <= wire.connected + _FIRST_S + _EPSILON or first == over, f"port {case.port}: the first frame is late"
    for number, at in enumerate(times):
        assert abs(at - first - number * _TICK) < _EPSILON, f"port {case.port}: frame {number} at {at}, first {first}"
    assert not times or times[-1] > over - 2 * _TICK - _EPSILON, f"port {case.port}: silent from {times[-1]} to {over}"


def _no_more_audio(case: Case) -> float:
    """When the caller was sent 0x00, had gone, or was closed."""
    wire = case.caller.wire
    ends = [at for at, data in wire.received if data == HANG_UP]
    ends += [at for at in (wire.left, wire.closed) if at is not None]
    ends += [frame.at for frame in case.frames if frame.kind == 0x00]
    return min(ends)


def _check_last_word(case: Case) -> None:
    """Who is there to hear it is told 0x00 at once and closed within a second; what the agent ended is reset."""
    wire, outcome = case.caller.wire, case.outcome
    if outcome is None:
        return
    at, what = outcome
    assert _closed(case) <= at + _HANG_UP_S + _EPSILON, f"port {case.port}: closed late"
    if wire.was_deaf or what == "caller hung up":
        return
    said = [when for when, data in wire.received if data == HANG_UP]
    if what == "agent hung up":
        assert not said, f"port {case.port}: the dialplan would go on"
        return
    gone = min([*(frame.at for frame in case.frames if frame.kind == 0x00), wire.left or _closed(case)])
    assert said or gone <= at + _TICK, f"port {case.port}: no 0x00 after {what}"
    assert not said or said[0] <= at + _TICK + _EPSILON, f"port {case.port}: 0x00 late after {what}"


# What was counted ----------------------------------------------------------------------------------------------------


def _check_counts(record: Record, case: Case, ended: j.CallEnded) -> None:
    """Each frame is counted as what it was. Those sent in the call's last interval may have been read or not."""
    first_end = min((e.earliest for e in case.endings if e.surely or e.what == ended.cause), default=float("inf"))
    sure = [frame.by < min(ended.at, first_end) - _EPSILON for frame in case.frames]
    surely = Counter(_counted(case.frames[: sum(sure)]))
    at_most = Counter(_counted([frame for frame in case.frames if frame.at <= ended.at + _EPSILON]))
    found = Counter(ended.counts)
    found["audio"] = ended.frames_received
    if record.plan.agent == "conversation":
        found["key"] = case.keyed + found["digits refused"]
        # What has been read may still be on its way to the conversation.
        late = [frame for frame in case.frames[: sum(sure)] if frame.by > ended.at - 2 * _TICK]
        surely["key"] -= sum(1 for frame in late if frame.kind == 0x03)
    else:
        del surely["key"], at_most["key"]
    for what in surely | at_most:
        assert surely[what] <= found[what] <= at_most[what], (
            f"port {case.port}: {found[what]} of {what}, should be {surely[what]} to {at_most[what]}"
        )
    _check_flood(record, case, ended)


def _counted(frames: Sequence[Sent]) -> Iterator[str]:
    """What each of `frames` is counted as, the UUID left out, up to the end of the call."""
    for frame in frames[1:]:
        match reference.message(frame.kind, frame.payload):
            case Audio():
                yield "audio"
            case Dtmf():
                yield "key"
            case Ignored(reason):
                yield reason
            case _:
                return


def _check_flood(record: Record, case: Case, ended: j.CallEnded) -> None:
    """Faster than three times real time is a flood and is counted as one; slower is not. Memory is bounded anyway."""
    everything = [
        (frame.at, len(message.data) / (2 * message.rate))
        for frame in case.frames
        if isinstance(message := reference.message(frame.kind, frame.payload), Audio)
    ]
    audio = [(at, seconds) for at, seconds in everything if at <= ended.at]
    dropped = ended.counts.get("audio dropped in a flood", 0)
    lag = max((frame.by - frame.at for frame in case.frames), default=0.0)
    if _most_in(audio, 2.0 + lag) <= _FLOOD_MAYBE:
        assert not dropped, f"port {case.port}: {dropped} frames dropped, but there was no flood"
    read = [(at, seconds) for at, seconds in audio if at < ended.at - lag]
    largest = max((seconds for _, seconds in read), default=0.0)
    if record.plan.agent == "echo" and largest < 0.5 and _most_in(read, 1.0 - lag) > _FLOOD_SURELY:
        assert dropped, f"port {case.port}: nothing was dropped in a flood"
    call = next(call for call in record.calls if call.peer == f"127.0.0.1:{case.port}")
    most = max([2.0, *(seconds for _, seconds in everything)])
    assert call.line is not None
    assert call.line.inbox_peak <= most + _EPSILON, f"port {case.port}: {call.line.inbox_peak} s waited"


def _most_in(audio: list[tuple[float, float]], window: float) -> float:
    """The most seconds of audio that came within `window` seconds."""
    most = total = 0.0
    oldest = 0
    for at, seconds in audio:
        total += seconds
        while audio[oldest][0] < at - window:
            total -= audio[oldest][1]
            oldest += 1
        most = max(most, total)
    return most


def _check_witness(record: Record, witness: Case) -> None:
    """Nobody else is noticed: all his frames came on the grid (checked above), and an echo brings back each of his."""
    assert witness.started is not None, "the witness was not served"
    if record.plan.agent != "echo":
        return
    sent = [frame.payload for frame in witness.frames[1:]]
    echoed = [data[3:] for _, data in witness.caller.wire.received if any(data[3:])]
    assert echoed == sent[: len(echoed)], "the witness's audio came back changed"
    assert len(echoed) >= len(sent) - 3, f"of {len(sent)} frames of the witness {len(echoed)} came back"
