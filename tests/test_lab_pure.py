"""The lab's judgement: telling agent speech from silence, latencies, tape and steps. No clock, no socket."""

from collections.abc import Sequence

import pytest

from voiceagent.audio.pcm import Pcm, silence
from voiceagent.audio.tones import tone
from voiceagent.lab.hearing import AgentEar
from voiceagent.lab.steps import Step, keys, speech
from voiceagent.lab.tape import Tape
from voiceagent.lab.timeline import (
    AgentBegan,
    AgentFinished,
    CallerBegan,
    CallerFinished,
    CallOver,
    Connected,
    LineClosed,
    Moment,
    Turn,
    describe,
    latencies,
)

LOUD = tone(8000, 400, 0.02).data
QUIET = bytes(320)


def listen(ear: AgentEar, pattern: str, start: float = 0.0) -> list[Moment]:
    """Feed one frame per character, # loud and . silent, every 20 ms from `start`."""
    return [
        change
        for number, sign in enumerate(pattern)
        for change in ear.hear(LOUD if sign == "#" else QUIET, 0.02, start + number * 0.02)
    ]


def told(changes: Sequence[Moment]) -> list[tuple[type[Moment], float]]:
    return [(type(change), round(change.at, 6)) for change in changes]


def test_speech_begins_with_its_first_frame_and_ends_with_its_last() -> None:
    changes = listen(AgentEar(), "." * 10 + "#" * 20 + "." * 30)
    assert told(changes) == [(AgentBegan, 0.2), (AgentFinished, 0.6)]


def test_a_short_pause_lies_within_speech_and_a_long_one_does_not() -> None:
    assert len(listen(AgentEar(), "#" * 10 + "." * 15 + "#" * 10)) == 1
    assert len(listen(AgentEar(), "#" * 10 + "." * 25 + "#" * 10)) == 3


def test_a_click_is_not_speech() -> None:
    ear = AgentEar()
    assert listen(ear, "##" + "." * 30 + "#" + "." * 30) == []
    assert not ear.answers(-10.0)


def test_a_speaker_whose_frames_stop_coming_is_noticed_by_time_alone() -> None:
    ear = AgentEar()
    listen(ear, "#" * 10)
    assert ear.check(0.5) == ()
    assert told(ear.check(0.7)) == [(AgentFinished, 0.2)]
    assert ear.check(0.8) == ()


def test_the_end_of_the_call_ends_what_is_being_said() -> None:
    ear = AgentEar()
    listen(ear, "#" * 10)
    assert told(ear.close()) == [(AgentFinished, 0.2)]
    assert ear.close() == ()


def test_the_agent_has_answered_when_it_spoke_after_the_caller_and_fell_silent() -> None:
    ear = AgentEar()
    listen(ear, "#" * 10, start=2.0)
    assert ear.has_answered(since=1.0, quiet=0.7, now=3.0)
    assert not ear.has_answered(since=1.0, quiet=0.7, now=2.8)
    assert not ear.has_answered(since=2.1, quiet=0.7, now=9.0)


def test_being_interrupted_is_no_answer_but_talking_on_is() -> None:
    stopped, deaf = AgentEar(), AgentEar()
    listen(stopped, "#" * 50 + "." * 50)
    listen(deaf, "#" * 100 + "." * 50)
    assert not stopped.answers(since=0.9)
    assert deaf.answers(since=0.9)


def test_latencies_are_measured_from_the_end_of_speech_and_from_its_onset() -> None:
    moments: list[Moment] = [
        Connected(0.0),
        AgentBegan(0.25),
        CallerBegan(1.0, "wait"),
        AgentFinished(1.25),
        CallerFinished(1.5),
        AgentBegan(2.25),
        AgentFinished(3.0),
        CallerBegan(3.75, "bye"),
        CallOver(4.0, "agent", "terminate"),
        LineClosed(4.5),
    ]
    figures = latencies(moments[::-1])
    assert figures.first_sound == 0.25
    assert figures.turns == (
        Turn("wait", 1.0, 1.5, answered_after=0.75, stopped_after=0.25),
        Turn("bye", 3.75, None, answered_after=None, stopped_after=None),
    )
    assert figures.release == 0.5


def test_an_answer_to_the_next_saying_is_not_credited_to_this_one() -> None:
    moments: list[Moment] = [
        CallerBegan(1.0, "one"),
        CallerFinished(2.0),
        CallerBegan(3.0, "two"),
        CallerFinished(4.0),
        AgentBegan(4.5),
    ]
    assert [turn.answered_after for turn in latencies(moments).turns] == [None, 0.5]


def test_a_silent_call_has_no_latencies() -> None:
    figures = latencies([Connected(0.0)])
    assert (figures.first_sound, figures.turns, figures.release) == (None, (), None)


def test_every_moment_can_be_told() -> None:
    assert describe(CallerBegan(0.0, "hello")) == "caller begins: hello"
    assert describe(CallOver(0.0, "caller", "eof", "the limit of 3 s")) == "caller ends the call (the limit of 3 s)"


def test_the_tape_joins_jitter_and_leaves_real_holes() -> None:
    tape = Tape(8000, 10.0)
    frame = Pcm(8000, LOUD)
    for at in (0.0, 0.05, 0.06, 0.5):
        tape.add(frame, at)
    assert tape.pcm.data == LOUD * 3 + bytes(2 * round(8000 * 0.44)) + LOUD


def test_the_tape_never_grows_beyond_its_length() -> None:
    tape = Tape(8000, 1.0)
    tape.add(silence(8000, 0.9), 0.0)
    tape.add(silence(8000, 0.9), 500.0)
    tape.add(silence(8000, 0.9), 501.0)
    assert tape.pcm.seconds == 1.0


def test_the_tape_takes_every_rate() -> None:
    tape = Tape(8000, 10.0)
    for number in range(50):
        tape.add(Pcm(24000, tone(24000, 400, 0.02).data), number * 0.02)
    assert tape.pcm.seconds == pytest.approx(1.0, abs=0.01)


def test_a_saying_is_whole_frames_with_its_audible_part_marked() -> None:
    saying = Pcm(8000, silence(8000, 0.1).data + tone(8000, 400, 0.05).data + silence(8000, 0.1).data)
    steps = speech(saying, "hello")
    assert {len(step.audio or b"") for step in steps} == {320}
    assert [number for number, step in enumerate(steps) if step.begins == "hello"] == [5]
    assert [number for number, step in enumerate(steps) if step.finishes] == [7]


def test_a_silent_saying_has_no_beginning_and_no_end() -> None:
    assert not any(step.finishes or step.begins is not None for step in speech(silence(8000, 1.0), "hello"))


def test_a_held_key_sends_no_audio_until_it_is_released() -> None:
    pause = Step(QUIET)
    assert keys("4", pause) == [Step()] * 5 + [Step(digit="4")] + [pause] * 5


def test_a_key_no_telephone_has_is_refused() -> None:
    with pytest.raises(ValueError, match="x"):
        keys("1x", Step(QUIET))
