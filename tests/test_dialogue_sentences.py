"""Streamed text is cut where a speaker would breathe, however it was split into pieces."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voiceagent.dialogue.sentences import LIMIT, SentenceCutter


def cut(text: str, *, limit: int = LIMIT) -> list[str]:
    cutter = SentenceCutter(limit=limit)
    return [*cutter.push(text), *cutter.flush()]


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("Good day. How can I help you?", ["Good day.", "How can I help you?"]),
        ("Really?! Yes… I see.", ["Really?!", "Yes…", "I see."]),
        ("It costs 3.5 euros. Or 1,000.50 in all.", ["It costs 3.5 euros.", "Or 1,000.50 in all."]),
        ("Come at 9 a.m. on Monday.", ["Come at 9 a.m. on Monday."]),
        ("We open at 9 a.m. Come early.", ["We open at 9 a.m.", "Come early."]),
        ("Dr. Smith and Mrs. Jones live in St. Ives.", ["Dr. Smith and Mrs. Jones live in St. Ives."]),
        ("J. R. Brown, e.g. the elder, i.e. him.", ["J. R. Brown, e.g. the elder, i.e. him."]),
        ("No. We are closed.", ["No.", "We are closed."]),
        ("Take bus No. 5 to the bridge.", ["Take bus No. 5 to the bridge."]),
        ("It was I. You know.", ["It was I.", "You know."]),
        ('He said "go." Then he went.', ['He said "go."', "Then he went."]),
        ("1. Turn left\n2. Turn right\n", ["1. Turn left", "2. Turn right"]),
        ("We came in 2019. It rained.", ["We came in 2019.", "It rained."]),
        ("One line\n\nanother", ["One line", "another"]),
        ("  spaces   inside\tdo not   matter ", ["spaces inside do not matter"]),
        ("... -- !", []),
        ("", []),
    ],
)
def test_text_is_cut_into_sentences(text: str, sentences: list[str]) -> None:
    assert cut(text) == sentences


def test_a_sentence_comes_out_as_soon_as_the_next_one_begins() -> None:
    cutter = SentenceCutter()

    assert cutter.push("Good day. ") == []
    assert cutter.push("H") == ["Good day."]
    assert cutter.flush() == ["H"]
    assert cutter.flush() == []


def test_a_long_run_is_cut_after_a_clause_else_at_a_word_else_anywhere() -> None:
    assert cut("one two three, four five six", limit=20) == ["one two three,", "four five six"]
    assert cut("one two three four five six", limit=20) == ["one two three four", "five six"]
    assert cut("x" * 45, limit=20) == ["x" * 20, "x" * 20, "x" * 5]


TEXTS = st.text(alphabet=st.sampled_from('aB1 .,;!?…"\n'), max_size=80) | st.text(max_size=80)


@given(text=TEXTS, cuts=st.lists(st.integers(0, 80)), limit=st.integers(4, 30))
def test_it_makes_no_difference_how_the_text_was_split(text: str, cuts: list[int], limit: int) -> None:
    edges = sorted({0, len(text), *(at for at in cuts if at < len(text))})
    cutter = SentenceCutter(limit=limit)
    pieces = [text[start:end] for start, end in pairwise(edges)]
    sentences = [sentence for piece in pieces for sentence in cutter.push(piece)]

    assert [*sentences, *cutter.flush()] == cut(text, limit=limit)


@given(text=TEXTS, limit=st.integers(4, 30))
def test_nothing_that_can_be_spoken_is_lost_and_nothing_is_too_long(text: str, limit: int) -> None:
    sentences = cut(text, limit=limit)

    def spoken(words: str) -> str:
        return "".join(character for character in words if character.isalnum())

    assert spoken("".join(sentences)) == spoken(text)
    assert all(0 < len(sentence) <= limit and spoken(sentence) for sentence in sentences)
