"""The fuzzers can fail: a planted fault is found, made small, named and kept."""

import json
import re
import traceback
from collections.abc import Callable
from pathlib import Path
from uuid import UUID

import attrs
import pytest
import trio

from fuzz import __main__ as command
from fuzz import corpus, decoder, service
from fuzz.decoder import DecoderInput, Maker
from fuzz.plans import Caller, Frames, Identify, Plan, Wait, from_json
from fuzz.service import check
from voiceagent.calls.admission import Admission
from voiceagent.calls.router import Router
from voiceagent.pbx.clock import MediaClock
from voiceagent.pbx.inbox import Inbox, UlawWatch
from voiceagent.pbx.line import Line
from voiceagent.wire.audiosocket import Audio, Decoder, Identity, Ignored, Message


class Forgets(Decoder):
    """Loses the bytes of an unfinished frame of two bytes."""

    def receive_data(self, data: bytes) -> None:
        if len(self._buffer) - self._start == 2:
            self._start = len(self._buffer)
        super().receive_data(data)


class Trips(Decoder):
    """An IndexError where there is no audio."""

    def next_message(self) -> Message | None:
        message = super().next_message()
        if message == Ignored("empty audio"):
            raise IndexError("planted")
        return message


class Confuses(Decoder):
    """Takes 12 kHz for 16 kHz."""

    def next_message(self) -> Message | None:
        message = super().next_message()
        return Audio(16000, message.data) if isinstance(message, Audio) and message.rate == 12000 else message


class Hoards(Decoder):
    """Keeps all it has ever seen."""

    __slots__ = ("_buffer", "_seen", "_start")

    def __init__(self) -> None:
        super().__init__()
        self._seen = bytes(65537)

    def receive_data(self, data: bytes) -> None:
        self._seen += data
        super().receive_data(data)


def fails(given: DecoderInput, make: Callable[[], Decoder]) -> bool:
    try:
        decoder.check(given, make)
    except (AssertionError, IndexError):
        return True
    return False


@pytest.mark.parametrize("fault", [Forgets, Trips, Confuses, Hoards])
def test_a_fault_in_the_decoder_is_found_and_made_small(fault: type[Decoder]) -> None:
    maker = Maker(1)
    found = next(given for given in (maker.next() for _ in range(2000)) if fails(given, fault))
    assert not fails(found, Decoder)
    smallest = decoder.shrink(found, lambda other: fails(other, fault))
    assert fails(smallest, fault)
    assert len(smallest.stream) <= 6
    assert len(smallest.cuts) <= 1


def test_the_same_seed_makes_the_same_streams() -> None:
    one, same, other = Maker(3), Maker(3), Maker(4)
    streams = [one.next() for _ in range(50)]
    assert streams == [same.next() for _ in range(50)]
    assert streams != [other.next() for _ in range(50)]


# The service ---------------------------------------------------------------------------------------------------------


def ignore_second_uuids(patch: pytest.MonkeyPatch) -> None:
    take = Line._take

    def tolerant(line: Line, message: Message, now: float) -> None:
        if line.identity is None or not isinstance(message, Identity):
            take(line, message, now)

    patch.setattr(Line, "_take", tolerant)


def skip_every_fifth_frame(patch: pytest.MonkeyPatch) -> None:
    write = Line.write_frame

    def lazy(line: Line) -> bool:
        if line.frames_sent % 5 == 4:
            line.frames_sent += 1
            return True
        return write(line)

    patch.setattr(Line, "write_frame", lazy)


def say_no_goodbye(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Line, "_write_hangup", lambda _: True)


def take_any_flood(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Inbox, "takes", lambda *_: True)


def hear_no_ulaw(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(UlawWatch, "suspects", lambda *_: False)


def forget_to_finish(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Admission, "finish", lambda *_: None)


def leave_lines_on_the_clock(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(MediaClock, "detach", lambda *_: None)


def leave_a_task(patch: pytest.MonkeyPatch) -> None:
    refuse = Router.refuse

    def leaving(router: Router, peer: str, reason: str, detail: str = "") -> None:
        trio.lowlevel.spawn_system_task(trio.sleep_forever, name="a stray")
        refuse(router, peer, reason, detail)

    patch.setattr(Router, "refuse", leaving)


def trip_over_odd_frames(patch: pytest.MonkeyPatch) -> None:
    take = Line._take

    def clumsy(line: Line, message: Message, now: float) -> None:
        if message == Ignored("odd audio"):
            raise IndexError("planted")
        take(line, message, now)

    patch.setattr(Line, "_take", clumsy)


def count_wrongly(patch: pytest.MonkeyPatch) -> None:
    take = Line._take

    def blind(line: Line, message: Message, now: float) -> None:
        if message != Ignored("odd audio"):
            take(line, message, now)

    patch.setattr(Line, "_take", blind)


def let_everybody_in(patch: pytest.MonkeyPatch) -> None:
    def connect(admission: Admission, host: str, *, counted: bool) -> None:
        admission.connections += 1
        admission.pending += 1

    def begin(admission: Admission, call: UUID) -> None:
        admission.live.add(call)

    patch.setattr(Admission, "connect", connect)
    patch.setattr(Admission, "begin", begin)


def never_give_up(patch: pytest.MonkeyPatch) -> None:
    async def patient(call: object, line: object, limits: object) -> None:
        await trio.sleep_forever()

    patch.setattr("voiceagent.calls.call._keep_alive", patient)


def echo(*actions: Identify | Frames | Wait, then: str = "stay") -> Plan:
    return Plan("echo", (Caller(0.0, actions, "close" if then == "close" else "stay"),))


TALK = Frames(0x10, 320, 20, every=0.02)
FAULTS: list[tuple[Callable[[pytest.MonkeyPatch], None], Plan, str]] = [
    (ignore_second_uuids, echo(Identify(0), TALK, Identify(1), TALK), r"port 1.*expected.*protocol error"),
    (skip_every_fifth_frame, echo(Identify(0), TALK), r"port \d: frame 4 at"),
    (say_no_goodbye, echo(Identify(0), TALK), r"port 1: (no 0x00|silent)"),
    (take_any_flood, echo(Identify(0), Frames(0x10, 320, 600, burst=100, every=0.1)), "nothing was dropped in a flood"),
    (hear_no_ulaw, echo(Identify(0), Frames(0x10, 160, 130, every=0.02)), r"expected.*mislabelled audio"),
    (forget_to_finish, echo(Identify(0), TALK, then="close"), r"admitted call: 0000f022-"),
    (leave_lines_on_the_clock, echo(Identify(0), TALK, then="close"), r"line on the clock: 127\.0\.0\.1:1"),
    (leave_a_task, echo(TALK, then="close"), "task: a stray"),
    (trip_over_odd_frames, echo(Identify(0), Frames(0x10, 3), TALK), "a call crashed:.*IndexError: planted"),
    (count_wrongly, echo(Identify(0), Frames(0x10, 3), TALK), "port 1: 0 of odd audio, should be 1 to 1"),
    (let_everybody_in, attrs.evolve(echo(Identify(0), TALK), max_calls=1), "port 1 was let in beside 1"),
    (never_give_up, echo(Identify(0), TALK), "TooSlowError"),
]


@pytest.mark.parametrize(("plant", "plan", "named"), FAULTS, ids=lambda value: getattr(value, "__name__", None))
def test_a_fault_in_the_service_is_found_and_named(
    monkeypatch: pytest.MonkeyPatch, plant: Callable[[pytest.MonkeyPatch], None], plan: Plan, named: str
) -> None:
    assert failure_of(plan) == ""
    plant(monkeypatch)
    assert re.search(named, failure_of(plan), re.DOTALL)


def failure_of(plan: Plan) -> str:
    try:
        check(plan)
    except (AssertionError, ExceptionGroup, trio.TooSlowError) as error:
        return "".join(traceback.format_exception(error))
    return ""


# The command ---------------------------------------------------------------------------------------------------------


def test_the_command_says_how_far_it_came(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["--minutes", "0.001", "--seed", "5"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "decoder: seed 5"
    assert "streams in" in lines[1]
    assert "runs in" in lines[-1]


def test_a_finding_is_shown_and_kept_where_the_suite_replays_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    real = decoder.check
    monkeypatch.setattr(decoder, "check", lambda given: real(given, Confuses))
    monkeypatch.setattr(corpus, "FOLDER", tmp_path)
    assert command.main(["--target", "decoder", "--minutes", "1", "--seed", "5"]) == 1
    (kept,) = corpus.files("decoder")
    assert corpus.read(kept) == {"pieces": ["11 00 02 00 00"]}
    with pytest.raises(AssertionError, match="rate=16000"):
        decoder.check(corpus.to_decoder_input(corpus.read(kept)))
    said = capsys.readouterr().out
    assert str(kept) in said
    assert "11 00 02 00 00" in said


def test_a_plan_that_fails_is_made_small_and_kept(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def no_waiting(plan: Plan) -> None:
        assert not any(isinstance(action, Wait) for caller in plan.callers for action in caller.actions), "he waits"

    monkeypatch.setattr(service, "check", no_waiting)
    monkeypatch.setattr(corpus, "FOLDER", tmp_path)
    assert command.main(["--target", "service", "--minutes", "1", "--seed", "5"]) == 1
    (kept,) = corpus.files("service")
    plan = from_json(json.loads(kept.read_text()))
    assert [caller.actions for caller in plan.callers] == [(Identify(0), Wait(0.01))]
    assert "he waits" in capsys.readouterr().out
