"""The callers of a load, and what is summed up of them."""

from array import array

import numpy as np
import pytest

from voiceagent.audio.pcm import Pcm
from voiceagent.audio.tones import tone
from voiceagent.lab.legs import LOUD, RATE, SILENCE, Leg, Talk, frames_of, heard_by
from voiceagent.wire.audiosocket import Audio, Decoder

QUESTION = [b"one", b"two", b"three"]
SPEECH = tone(RATE, 300.0, 0.02, dbfs=-20.0).data
NOISE = (np.ones(160, dtype="<i2") * (LOUD // 2)).tobytes()


def talk(*, pause_s: float = 1.0, patience_s: float = 8.0) -> Talk:
    caller = Talk([QUESTION, [b"again"]], pause_s, patience_s, turn=0)
    caller.connected(0.0)
    return caller


def said(caller: Talk, start: float, seconds: float) -> list[bytes]:
    """What the caller sends besides silence, 50 times a second."""
    times = start + np.arange(round(seconds * 50)) * 0.02
    return [frame for now in times if (frame := caller.frame(float(now))) != SILENCE]


def test_a_caller_lets_the_agent_greet_before_he_asks() -> None:
    caller = talk()
    assert said(caller, 0.0, 2.0) == []
    caller.heard(2.0)
    assert said(caller, 2.0, 1.0) == []
    assert said(caller, 3.0, 0.5) == QUESTION
    assert caller.asked == 1


def test_a_caller_whom_nobody_greets_asks_in_the_end() -> None:
    caller = talk()
    assert said(caller, 0.0, 7.98) == []
    assert said(caller, 8.0, 0.1) == QUESTION


def test_a_caller_asks_again_after_a_second_of_silence_and_not_while_the_agent_speaks() -> None:
    caller = talk()
    said(caller, 8.0, 0.06)
    for step in range(100):  # the agent speaks for two seconds
        caller.heard(9.0 + step * 0.02)
        assert caller.frame(9.0 + step * 0.02) == SILENCE
    assert said(caller, 11.0, 0.98) == []
    assert said(caller, 12.0, 0.5) == [b"again"]


def test_an_answer_is_timed_from_the_end_of_the_question() -> None:
    caller = talk()
    said(caller, 8.0, 0.06)  # ends with the frame at 8.04
    caller.heard(9.04)
    caller.heard(9.06)
    assert caller.delays == [pytest.approx(1.0)]


def test_sound_during_the_question_is_no_answer_to_it() -> None:
    caller = talk()
    said(caller, 8.0, 0.04)
    caller.heard(8.03)
    assert caller.delays == []
    assert said(caller, 8.04, 0.02) == [b"three"]


def test_a_question_that_nobody_answers_is_put_again_and_never_timed() -> None:
    caller = talk(patience_s=3.0)
    assert said(caller, 8.0, 2.9) == QUESTION
    assert said(caller, 11.1, 0.5) == [b"again"]
    assert caller.delays == []


def test_speech_becomes_frames_of_20_ms_and_the_last_is_padded() -> None:
    frames = frames_of(Pcm(RATE, b"\1\0" * 250))
    decoder = Decoder()
    decoder.receive_data(b"".join(frames))
    messages = [decoder.next_message(), decoder.next_message(), decoder.next_message()]
    assert messages == [Audio(RATE, b"\1\0" * 160), Audio(RATE, b"\1\0" * 90 + bytes(140)), None]


def test_an_echo_leg_counts_whatever_is_not_silence() -> None:
    leg = Leg([b"frame"])
    for audio in (bytes(320), NOISE, SPEECH):
        leg.heard(audio, 1.0)
    assert (leg.loud, len(leg.arrivals)) == (2, 3)


def test_a_talking_leg_counts_only_speech() -> None:
    leg = Leg([], talk())
    for audio in (bytes(320), NOISE, SPEECH):
        leg.heard(audio, 1.0)
    assert (leg.loud, len(leg.arrivals)) == (1, 3)
    assert said(talk(), 1.0, 0.5) == []


def test_a_leg_sends_its_frames_round_and_round() -> None:
    leg = Leg([b"a", b"b", b"c"])
    assert b"".join(leg.frame(0.0) for _ in range(7)) in b"abcabcabc"


def test_what_legs_heard_is_summed_up_for_the_window_and_for_whole_calls() -> None:
    whole, gappy, silent = Leg([]), Leg([]), Leg([])
    whole.arrivals = array("d", (10.0 + step * 0.02 for step in range(100)))
    gappy.arrivals = array("d", (10.0 + step * 0.02 for step in range(100) if step not in (50, 51)))
    whole.ended = gappy.ended = silent.ended = 11.99
    heard = heard_by([whole, gappy, silent], 10.5, 11.5)
    assert heard.received == 50 + 48
    assert heard.lateness.total == heard.received
    assert (heard.due, heard.missing) == (2 * 99, 2)
    assert heard.widest_gap == pytest.approx(0.06)
    assert heard.call_seconds == pytest.approx(2.0)
