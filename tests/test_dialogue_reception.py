"""The receptionist that comes with voiceagent, from the caller's side."""

from pathlib import Path

import pytest

import voiceagent.dialogue
from voiceagent.dialogue import Flow, FlowDialogue, load_flow
from voiceagent.dialogue.engine import advance
from voiceagent.dialogue.state import State, expected, listening
from voiceagent.ports import (
    CallerPressed,
    CallerQuiet,
    CallerSpoke,
    CallOpened,
    Done,
    Expectation,
    Text,
    ToolCall,
    ToolReturned,
    Turn,
)

RECEPTION = Path(voiceagent.dialogue.__file__).with_name("reception.toml")


class Caller:
    """Talks with a flow and remembers what it said and asked for last."""

    def __init__(self, flow: Flow, *, greeting: str = "") -> None:
        self.flow = flow
        self.greeting = greeting
        self.state = State(flow.script.start)
        self.text = ""
        self.tool: ToolCall | None = None
        self.take(CallOpened())

    def take(self, turn: Turn) -> str:
        self.state, events = advance(self.flow, self.state, turn, greeting=self.greeting)
        assert events[-1] == Done()
        assert Done() not in events[:-1]
        self.text = "".join(event.text for event in events if isinstance(event, Text))
        calls = [event for event in events if isinstance(event, ToolCall)]
        assert len(calls) <= 1
        self.tool = calls[0] if calls else None
        return self.text

    def says(self, text: str) -> str:
        return self.take(CallerSpoke(text))

    def presses(self, digit: str) -> str:
        return self.take(CallerPressed(digit))

    def waits(self) -> str:
        return self.take(CallerQuiet())

    def gets(self, *, ok: bool = True) -> str:
        """The tool that was asked for last comes back."""
        assert self.tool is not None
        return self.take(ToolReturned(self.tool.id, ok, ""))

    @property
    def asked(self) -> tuple[str, dict[str, str]]:
        assert self.tool is not None
        return self.tool.name, dict(self.tool.arguments)

    @property
    def expected(self) -> Expectation:
        return expected(self.flow, self.state)


@pytest.fixture(scope="module")
def flow() -> Flow:
    return load_flow(RECEPTION)


@pytest.fixture
def caller(flow: Flow) -> Caller:
    return Caller(flow)


# Greeting and answers


def test_the_call_opens_with_the_greeting_and_a_question(caller: Caller) -> None:
    assert caller.text == "Riverside Bicycles, good day. How can I help you?"


def test_another_greeting_is_said_as_it_is(flow: Flow) -> None:
    assert Caller(flow, greeting="Hello {there}.").text == "Hello {there}. How can I help you?"


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("when are you open", "We are open from Monday to Friday"),
        ("are you open on saturday", "We are open from Monday to Friday"),
        ("what is your address", "You will find us at twelve Station Road"),
        ("how do i get to you", "From the central station"),
    ],
)
def test_a_question_is_answered_and_the_caller_asked_again(caller: Caller, question: str, answer: str) -> None:
    assert caller.says(question).startswith(answer)
    assert caller.text.endswith(" What else can I do for you?")
    assert caller.tool is None


def test_the_directions_take_at_least_fifteen_seconds_to_say(caller: Caller) -> None:
    assert len(caller.says("how do i get to you").split()) > 75  # at 5 words a second, faster than anyone speaks


def test_a_question_while_booking_is_answered_and_the_booking_goes_on(caller: Caller) -> None:
    caller.says("i would like to book an appointment")

    assert caller.says("when are you open").endswith(" So, which day would you like to come?")
    assert caller.says("friday") == "At what time?"
    assert caller.says("where is your shop").endswith(" So, at what time would you like to come?")
    assert caller.says("at ten o'clock") == "Friday at ten o'clock, is that right?"
    assert caller.says("where is your shop").endswith(" Friday at ten o'clock, is that right?")
    caller.says("yes")
    assert caller.asked == ("note", {"kind": "booking", "day": "friday", "hour": "10:00"})


def test_what_was_said_is_repeated_on_demand_as_often_as_it_is_asked_for(caller: Caller) -> None:
    answer = caller.says("what is your address")

    assert caller.says("could you repeat that") == answer
    assert caller.says("say that again please") == answer
    assert caller.says("") == "Sorry, I did not understand that. How can I help you?"
    assert caller.says("say that again please") == answer


# Booking


def test_an_appointment_is_collected_confirmed_and_noted(caller: Caller) -> None:
    assert caller.says("i need an appointment").endswith("Which day would you like to come?")
    assert caller.says("on tuesday") == "At what time?"
    assert caller.says("three p m") == "Tuesday at three o'clock, is that right?"
    assert caller.says("yes") == ""
    assert caller.asked == ("note", {"kind": "booking", "day": "tuesday", "hour": "15:00"})
    assert caller.gets() == (
        "Your appointment is booked for Tuesday at three o'clock. Is there anything else I can do for you?"
    )


def test_what_was_said_at_once_is_not_asked_for(caller: Caller) -> None:
    assert caller.says("i would like to book wednesday at half past nine").endswith(
        " Wednesday at half past nine, is that right?"
    )


def test_an_answer_may_hold_the_next_one_too(caller: Caller) -> None:
    caller.says("i need an appointment")

    assert caller.says("monday at nine") == "Monday at nine o'clock, is that right?"


@pytest.mark.parametrize(
    ("correction", "then"),
    [
        ("no wednesday", "Wednesday at three o'clock, is that right?"),
        ("wednesday", "Wednesday at three o'clock, is that right?"),
        ("no at half past four", "Tuesday at half past four, is that right?"),
        ("no friday at noon", "Friday at noon, is that right?"),
        ("no tuesday at three o'clock", "Tuesday at three o'clock, is that right?"),
    ],
)
def test_a_wrong_detail_is_corrected_by_saying_the_right_one(caller: Caller, correction: str, then: str) -> None:
    caller.says("i would like to book tuesday at three o'clock")

    assert caller.says(correction) == then


def test_a_wish_said_again_while_booking_changes_the_detail_and_keeps_the_rest(caller: Caller) -> None:
    caller.says("i would like to book tuesday at three o'clock")

    assert caller.says("i want to come in on friday") == "Friday at three o'clock, is that right?"


def test_a_plain_no_asks_everything_again(caller: Caller) -> None:
    caller.says("i would like to book tuesday at three o'clock")

    assert caller.says("no") == "Sorry, let us start again. Which day would you like to come?"


def test_three_plain_noes_bring_a_human(caller: Caller) -> None:
    caller.says("i would like to book tuesday at three o'clock")
    for _ in range(2):
        caller.says("no that is wrong")
        caller.says("tuesday at three o'clock")
    caller.says("no")

    assert caller.asked == ("transfer", {"target": "front_desk"})


def test_a_second_booking_starts_from_nothing(caller: Caller) -> None:
    caller.says("i would like to book tuesday at three o'clock")
    caller.says("yes")
    caller.gets()

    assert caller.says("i need an appointment").endswith("Which day would you like to come?")


def test_a_booking_that_cannot_be_noted_is_owned_up_to(caller: Caller) -> None:
    caller.says("i would like to book tuesday at three o'clock")
    caller.says("yes")

    assert caller.gets(ok=False).startswith("I am sorry, I could not write that down.")


@pytest.mark.parametrize(
    ("said", "hour"),
    [
        ("eight", "08:00"),
        ("nine", "09:00"),
        ("nine o'clock", "09:00"),
        ("nine a m", "09:00"),
        ("9 a.m.", "09:00"),
        ("half past nine", "09:30"),
        ("nine thirty", "09:30"),
        ("9:30", "09:30"),
        ("ten in the morning", "10:00"),
        ("eleven o'clock", "11:00"),
        ("noon", "12:00"),
        ("twelve", "12:00"),
        ("half past twelve", "12:30"),
        ("one o'clock", "13:00"),
        ("two p m", "14:00"),
        ("three in the afternoon", "15:00"),
        ("four thirty", "16:30"),
        ("at five please", "17:00"),
    ],
)
def test_hours_are_understood_as_people_say_them(caller: Caller, said: str, hour: str) -> None:
    caller.says("book an appointment for monday")
    caller.says(said)
    caller.says("yes please")

    assert caller.asked == ("note", {"kind": "booking", "day": "monday", "hour": hour})


@pytest.mark.parametrize(
    "day", ["today", "tomorrow", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]
)
def test_every_day_is_understood(caller: Caller, day: str) -> None:
    caller.says("i need an appointment")
    caller.says(f"{day} please")
    caller.says("nine")

    assert caller.text.lower() == f"{day} at nine o'clock, is that right?"


def test_a_whole_booking_by_telephone_keys(caller: Caller) -> None:
    caller.presses("4")
    assert caller.presses("2") == "At what time?"
    assert caller.presses("9") == "Tuesday at nine o'clock, is that right?"
    assert caller.presses("2").startswith("Sorry, let us start again.")
    caller.presses("3")
    caller.presses("1")
    caller.presses("1")

    assert caller.asked == ("note", {"kind": "booking", "day": "wednesday", "hour": "13:00"})


# Messages, departments, people, the end


def test_a_message_is_taken(caller: Caller) -> None:
    assert caller.says("can i leave a message").startswith("Please tell me your message now.")
    assert caller.asked == ("take_message", {})
    assert caller.gets() == "Thank you, I have recorded your message. Is there anything else I can do for you?"


def test_a_message_that_could_not_be_recorded_is_owned_up_to(caller: Caller) -> None:
    caller.says("can i leave a message")

    assert caller.gets(ok=False).startswith("I am sorry, I could not record your message.")


@pytest.mark.parametrize(
    ("said", "target", "spoken"),
    [
        ("could i speak to sales please", "sales", "sales"),
        ("put me through to the billing department", "billing", "billing"),
        ("i have a question about my bill", "billing", "billing"),
        ("transfer me to technical support please", "workshop", "the workshop"),
        ("the workshop please", "workshop", "the workshop"),
    ],
)
def test_a_department_is_put_through(caller: Caller, said: str, target: str, spoken: str) -> None:
    assert caller.says(said) == f"I am putting you through to {spoken}."
    assert caller.asked == ("transfer", {"target": target})


def test_a_department_that_does_not_answer_is_not_the_end(caller: Caller) -> None:
    caller.says("sales please")

    assert caller.gets(ok=False) == (
        "I am sorry, nobody there can take your call now. Is there anything else I can do for you?"
    )


def test_a_human_is_there_for_whoever_asks(caller: Caller) -> None:
    assert caller.says("i would like to speak to a person") == "I am putting you through to the front desk."
    assert caller.asked == ("transfer", {"target": "front_desk"})
    assert caller.gets() == ""
    assert caller.tool is None


@pytest.mark.parametrize(
    ("digit", "target"), [("0", "front_desk"), ("1", "sales"), ("2", "workshop"), ("3", "billing")]
)
def test_a_key_puts_through_from_the_start(caller: Caller, digit: str, target: str) -> None:
    caller.presses(digit)

    assert caller.asked == ("transfer", {"target": target})


def test_zero_brings_a_human_in_the_middle_of_a_booking(caller: Caller) -> None:
    for said in ("i need an appointment", "tuesday", "nine"):
        state = caller.state
        caller.presses("0")
        assert caller.asked == ("transfer", {"target": "front_desk"})
        caller.state = state
        caller.says(said)
    caller.presses("0")
    assert caller.asked == ("transfer", {"target": "front_desk"})


@pytest.mark.parametrize("digit", ["7", "*", "#"])
def test_a_key_that_means_nothing_counts_as_not_understood(caller: Caller, digit: str) -> None:
    assert caller.presses(digit) == "Sorry, I did not understand that. How can I help you?"


@pytest.mark.parametrize("said", ["goodbye", "that is all thank you", "no thank you"])
def test_goodbye_is_said_before_hanging_up(caller: Caller, said: str) -> None:
    assert caller.says(said) == "Thank you for calling Riverside Bicycles. Goodbye."
    assert caller.asked == ("hang_up", {})
    assert caller.gets() == ""


def test_after_a_task_no_ends_the_call_and_yes_offers_the_menu(caller: Caller) -> None:
    caller.says("leave a message")
    caller.gets()
    state = caller.state
    assert caller.says("yes please").startswith("You can ask for our opening hours")
    caller.state = state
    caller.says("no")
    assert caller.asked == ("hang_up", {})


def test_a_line_that_cannot_be_hung_up_offers_the_menu(caller: Caller) -> None:
    caller.says("goodbye")

    assert caller.gets(ok=False).startswith("You can hang up now. You can ask for")


# When it does not work


def test_three_turns_not_understood_bring_the_question_the_menu_and_a_human(caller: Caller) -> None:
    assert caller.says("") == "Sorry, I did not understand that. How can I help you?"
    assert caller.says("the moon is made of cheese").startswith("Sorry, I did not understand that. You can ask for")
    assert caller.says("").endswith("I will let somebody help you. I am putting you through to the front desk.")
    assert caller.asked == ("transfer", {"target": "front_desk"})


def test_three_silences_bring_the_question_the_menu_and_goodbye(caller: Caller) -> None:
    assert caller.waits() == "I cannot hear you. How can I help you?"
    assert caller.waits().startswith("I cannot hear you. You can ask for")
    assert caller.waits().startswith("I still cannot hear you. Please call again. Thank you for calling")
    assert caller.asked == ("hang_up", {})


def test_a_turn_that_is_understood_starts_the_ladder_anew(caller: Caller) -> None:
    caller.says("")
    caller.says("when are you open")

    assert caller.says("") == "Sorry, I did not understand that. How can I help you?"


def test_a_question_with_help_of_its_own_gives_that_instead_of_the_menu(caller: Caller) -> None:
    caller.says("i need an appointment")

    assert caller.says("") == "Sorry, I did not understand that. Which day would you like to come?"
    assert caller.says("").startswith("Sorry, I did not understand that. Please say a day, or press one for Monday")
    assert caller.says("friday") == "At what time?"


# Interruptions


def test_a_caller_who_cuts_in_has_been_asked_the_question(caller: Caller) -> None:
    caller.says("how do i get to you")  # the shell may never take the rest of this reply

    assert caller.says("i would like to book friday at ten").endswith("Friday at ten o'clock, is that right?")


def test_cutting_in_on_a_farewell_hangs_up_all_the_same(caller: Caller) -> None:
    caller.says("goodbye")
    first = caller.tool

    for turn in (CallerSpoke(""), CallerSpoke("the moon is made of cheese"), CallerQuiet(), CallerPressed("7")):
        assert caller.take(turn) == ""
        assert caller.tool == first


def test_a_wish_during_the_farewell_is_granted(caller: Caller) -> None:
    caller.says("goodbye")

    assert caller.says("when are you open").startswith("We are open")
    assert caller.tool is None
    assert caller.says("i need an appointment").endswith("Which day would you like to come?")


def test_a_question_while_a_tool_works_is_answered_and_the_same_call_made_again(caller: Caller) -> None:
    caller.says("i would like to book tuesday at nine")
    caller.says("yes")
    first = caller.tool

    assert caller.says("when are you open").startswith("We are open")
    assert caller.tool == first
    assert caller.gets().startswith("Your appointment is booked for Tuesday at nine o'clock.")


def test_the_outcome_of_a_tool_that_was_left_behind_is_not_mistaken_for_another(caller: Caller) -> None:
    caller.says("sales please")
    old = caller.tool
    assert old is not None
    caller.says("leave a message")
    new = caller.tool
    assert new is not None

    assert caller.take(ToolReturned(old.id, ok=False, result="")) == ""
    assert caller.take(ToolReturned(new.id, ok=True, result="")).startswith("Thank you")
    assert caller.take(ToolReturned(new.id, ok=True, result="")) == ""


# What the recogniser is told


def states(flow: Flow) -> dict[str, Caller]:
    """A caller at each kind of question of the reception."""
    ways: dict[str, list[str]] = {
        "start": [],
        "day": ["i need an appointment"],
        "hour": ["i need an appointment", "monday"],
        "confirm": ["i would like to book monday at nine"],
        "menu": ["what are my options"],
    }
    found = {}
    for name, way in ways.items():
        found[name] = Caller(flow)
        for said in way:
            found[name].says(said)
    return found


def test_no_state_expects_more_phrases_than_a_small_grammar_holds(flow: Flow) -> None:
    assert max(len(caller.expected.phrases) for caller in states(flow).values()) <= 96


def test_what_is_expected_are_plain_words_and_every_slot_is_listed(flow: Flow) -> None:
    for caller in states(flow).values():
        expectation = caller.expected
        spoken = [*expectation.phrases, *(phrase for slot in expectation.slots.values() for phrase in slot)]
        for phrase in spoken:
            rest = phrase
            for slot in expectation.slots:
                rest = rest.replace(f"{{{slot}}}", "")
            assert all(character.isascii() and (character.islower() or character in " '") for character in rest), phrase


def test_what_a_question_is_about_is_expected_at_that_question(flow: Flow) -> None:
    at = states(flow)

    assert "{day}" in at["day"].expected.phrases
    assert "{day}" not in at["hour"].expected.phrases
    assert "half past nine" in at["hour"].expected.slots["hour"]
    assert {"yes", "no", "no {day}", "{hour}"} <= set(at["confirm"].expected.phrases)
    assert "yes" not in at["day"].expected.phrases


def test_everything_that_is_expected_is_understood_as_what_it_stands_for(flow: Flow) -> None:
    for caller in states(flow).values():
        for meaning, phrases in listening(flow, caller.state):
            for phrase in phrases:
                said = phrase.text
                for slot, said_as in caller.expected.slots.items():
                    said = said.replace(f"{{{slot}}}", said_as[-1])
                state = caller.state
                expected_reply, _ = advance(flow, state, CallerSpoke(said), greeting="")
                assert expected_reply.misses == 0, (meaning, said)


# The shell


async def test_the_dialogue_streams_its_reply_and_moves_on_even_if_nobody_listens(flow: Flow) -> None:
    dialogue = FlowDialogue(flow, greeting="Hello.")

    async with dialogue.open_reply(CallOpened()) as reply:
        assert [event async for event in reply] == [Text("Hello."), Text(" How can I help you?"), Done()]
    async with dialogue.open_reply(CallerSpoke("i need an appointment")) as reply:
        assert await anext(reply) == Text("Let us find a time for your appointment.")
    assert "{day}" in dialogue.expected.phrases


async def test_two_calls_on_one_flow_do_not_meet(flow: Flow) -> None:
    one, two = FlowDialogue(flow), FlowDialogue(flow)

    async with one.open_reply(CallerSpoke("i need an appointment")):
        pass
    assert one.expected != two.expected
