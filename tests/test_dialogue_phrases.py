"""Words are compared as they sound; templates stand for all their phrases."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voiceagent.dialogue.phrases import expand, words


@pytest.mark.parametrize(
    ("text", "heard"),
    [
        ("At nine o'clock, please!", "at nine o'clock please"),
        ("9 a.m.", "nine a m"),
        ("9am", "nine a m"),
        ("at 3 PM", "at three p m"),
        ("9:00", "nine"),
        ("9:30", "nine thirty"),
        ("21 and 40", "twenty one and forty"),
        ("0", "zero"),
        ("007", "zero zero seven"),
        ("I’d like that, it's fine, I'm sure", "i would like that it is fine i am sure"),
        ("what's where's", "what is where is"),
        ("the dog's bowl", "the dog's bowl"),
        ("half past nine am", "half past nine a m"),
    ],
)
def test_words_are_lower_case_and_numbers_are_spoken(text: str, heard: str) -> None:
    assert " ".join(words(text)) == heard


@given(st.text(max_size=60))
def test_any_text_has_words_and_their_words_are_themselves(text: str) -> None:
    once = words(text)
    assert words(" ".join(words(" ".join(once)))) == words(" ".join(once))


@pytest.mark.parametrize(
    ("template", "phrases"),
    [
        ("hello", ["hello"]),
        ("[on] {day} [please]", ["{day}", "{day} please", "on {day}", "on {day} please"]),
        ("(open|close) now", ["open now", "close now"]),
        ("[very [very]] good", ["good", "very good", "very very good"]),
        (
            "what time do you (open [up]|close)",
            ["what time do you open", "what time do you close", "what time do you open up"],
        ),
    ],
)
def test_a_template_stands_for_all_its_phrases(template: str, phrases: list[str]) -> None:
    assert sorted(expand(template)) == sorted(phrases)


@pytest.mark.parametrize("template", ["Hello", "open?", "[open", "open)", "{Day}", "{day", "", "[maybe]", "nine 9"])
def test_a_template_that_cannot_be_said_is_refused(template: str) -> None:
    with pytest.raises(ValueError, match="plain lower-case words"):
        expand(template)


def test_a_template_that_stands_for_too_much_is_refused() -> None:
    with pytest.raises(ValueError, match="more than 32 phrases"):
        expand("[a] [b] [c] [d] [e] [f]")
