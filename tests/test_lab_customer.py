"""The scripted customer reacts to what he hears, and says again what he has not got yet."""

from voiceagent.lab.customer import MOST_SAYINGS, Answer, Customer, Wish


def customer() -> Customer:
    return Customer(
        wishes=(
            Wish(("i want tea", "bring me tea"), "here is your tea"),
            Wish(("tell me a story",), "once upon", enough=True),
        ),
        answers=(Answer("milk", ("no milk",)), Answer("sugar", ("one sugar",))),
        farewell=("goodbye",),
    )


def test_a_question_is_answered_and_the_wish_is_said_again_in_other_words_until_it_is_granted() -> None:
    person = customer()
    agent = [
        "Hello.",
        "Sorry?",
        "With milk?",
        "With milk or sugar?",
        "HERE is your tea. What else?",
        "Once upon a time",
    ]
    said = ["i want tea", "bring me tea", "no milk", "no milk", "tell me a story", "goodbye"]
    assert [person.reply(words) for words in agent] == said


def test_enough_is_heard_only_of_the_answer_to_what_was_asked() -> None:
    person = customer()
    assert not person.has_enough("Once upon a time")
    person.reply("Hello.")
    person.reply("Here is your tea.")
    assert not person.has_enough("Sorry?")
    assert person.has_enough("Once upon a time")
    assert person.reply("Once upon a time") == "goodbye"
    assert not person.has_enough("Once upon a time")


def test_a_wish_that_asks_for_all_of_its_answer_never_has_enough() -> None:
    person = customer()
    person.reply("Hello.")
    assert not person.has_enough("Here is your tea.")


def test_a_conversation_that_goes_in_circles_is_given_up() -> None:
    person = customer()
    replies = [person.reply("Sorry?") for _ in range(MOST_SAYINGS + 1)]
    assert replies == ["i want tea", "bring me tea"] * (MOST_SAYINGS // 2) + [None]
