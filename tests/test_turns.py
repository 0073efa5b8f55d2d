"""Playout and endpointing: pure machines, time handed in."""

import itertools
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voiceagent.pbx.playout import Playout
from voiceagent.turns.endpointing import Decision, Endpointing, TurnDetector
from voiceagent.wire.audiosocket import encode_audio


def frames(playout: Playout) -> Iterator[bytes]:
    while playout.frames:
        playout.written += 1
        yield playout.frames.popleft()


@given(st.lists(st.binary(max_size=900).map(lambda data: data + data), max_size=8))
def test_audio_cut_anywhere_comes_out_whole_in_20_ms_frames(chunks: list[bytes]) -> None:
    playout = Playout(1000)
    for chunk in chunks:
        playout.push(8000, chunk)
    playout.pad()
    out = list(frames(playout))
    assert {len(frame) for frame in out} <= {323}
    data = b"".join(frame[3:] for frame in out)
    assert data.rstrip(b"\0") == b"".join(chunks).rstrip(b"\0")
    assert playout.written == len(out)


def test_a_change_of_rate_pads_the_last_frame_of_the_old_one() -> None:
    playout = Playout(10)
    playout.push(8000, b"\1" * 160)
    playout.push(16000, b"\2" * 640)
    assert list(frames(playout)) == [
        encode_audio(8000, b"\1" * 160 + bytes(160)),
        encode_audio(16000, b"\2" * 640),
    ]


def test_positions_tell_how_much_of_a_reply_was_written() -> None:
    playout = Playout(50)
    playout.push(8000, bytes(320 * 5))
    start = playout.end
    playout.push(8000, bytes(320 * 10))
    assert len(list(itertools.islice(frames(playout), 8))) == 8
    assert playout.written - start == 3
    assert playout.clear() == 7
    assert playout.end == playout.written == 8


def test_trimming_drops_the_oldest() -> None:
    playout = Playout(50)
    playout.push(8000, b"".join(bytes([n]) * 320 for n in range(5)))
    assert playout.trim(2) == 3
    assert [frame[3] for frame in frames(playout)] == [3, 4]


class Caller:
    """Feeds a detector 20 ms frames and collects its decisions with the frame's number."""

    def __init__(self, limits: Endpointing | None = None) -> None:
        self.detector = TurnDetector(limits or Endpointing())
        self.frames = 0
        self.decisions: list[tuple[int, Decision]] = []

    def hears(self, pattern: str) -> "Caller":
        """`#` is a frame with voice, `.` one without."""
        for letter in pattern:
            self.frames += 1
            decision = self.detector.feed(speech=letter == "#", seconds=0.02, now=self.frames * 0.02)
            if decision is not None:
                self.decisions.append((self.frames, decision))
        return self


def test_a_turn_starts_after_60_ms_is_confirmed_after_200_and_ends_after_600_of_silence() -> None:
    caller = Caller().hears("." * 10 + "#" * 20 + "." * 40)
    assert caller.decisions == [(13, Decision.STARTED), (20, Decision.CONFIRMED), (60, Decision.ENDED)]
    assert caller.detector.voice_ended == pytest.approx(30 * 0.02)


def test_a_pause_shorter_than_the_end_silence_belongs_to_the_turn() -> None:
    caller = Caller().hears("#" * 20 + "." * 29 + "#" * 20 + "." * 30)
    assert [decision for _, decision in caller.decisions] == [Decision.STARTED, Decision.CONFIRMED, Decision.ENDED]


def test_scattered_clicks_never_start_a_turn() -> None:
    assert Caller().hears("#...." * 50).decisions == []


def test_a_short_noise_is_dismissed() -> None:
    assert Caller().hears("####" + "." * 40).decisions == [(3, Decision.STARTED), (34, Decision.DISMISSED)]


def test_endless_voice_ends_at_the_longest_turn() -> None:
    caller = Caller(Endpointing(max_turn_s=2.0)).hears("#" * 120)
    assert caller.decisions[2] == (103, Decision.ENDED)


def test_time_alone_ends_a_turn_when_frames_stop_coming() -> None:
    caller = Caller().hears("#" * 20)
    assert caller.detector.deadline == pytest.approx(1.0)
    assert caller.detector.expire(0.9) is None
    assert caller.detector.expire(1.0) is Decision.ENDED
    assert caller.detector.deadline is None


@given(st.text("#.", max_size=400))
def test_decisions_come_in_order_whatever_is_heard(pattern: str) -> None:
    state = "idle"
    for _, decision in Caller(Endpointing(max_turn_s=1.0)).hears(pattern).decisions:
        match decision:
            case Decision.STARTED:
                assert state == "idle"
                state = "started"
            case Decision.CONFIRMED:
                assert state == "started"
                state = "confirmed"
            case Decision.ENDED | Decision.DISMISSED:
                assert state in ("started", "confirmed")
                state = "idle"
