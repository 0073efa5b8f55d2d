"""The pure parts of the embedded recogniser: grammar, pronunciation, confidence, front end."""

from pathlib import Path

import numpy as np
import pytest
from pocketsphinx import get_model_path

from voiceagent.audio.pcm import level_dbfs, samples_of, silence
from voiceagent.audio.resample import resample
from voiceagent.audio.tones import tone
from voiceagent.ports import Expectation
from voiceagent.providers.embedded.confidence import Segment, doubt, words_of
from voiceagent.providers.embedded.front_end import RATE, FrontEnd
from voiceagent.providers.embedded.grammar import ASIDES, FINAL_STATE, Grammar, build_grammar
from voiceagent.providers.embedded.pronunciation import Pronunciations, spell

EXPECTED = Expectation(
    ("book {day}", "book {day} at {hour}", "book a table"),
    {"day": ("monday", "the third of may"), "hour": ("noon", "noon sharp")},
)


def sentences(grammar: Grammar) -> dict[str, float]:
    """Everything a grammar allows, with its probability."""
    found: dict[str, float] = {}

    def walk(state: int, words: tuple[str, ...], probability: float) -> None:
        if state == FINAL_STATE:
            found[" ".join(words)] = probability
        for source, target, share, *word in grammar.transitions:
            if source == state:
                walk(target, (*words, *word), probability * share)

    walk(0, (), 1.0)
    return found


def test_a_grammar_allows_the_phrases_with_every_slot_value_and_nothing_else() -> None:
    found = sentences(build_grammar(EXPECTED))
    assert set(found) - set(ASIDES) == {
        "book monday",
        "book the third of may",
        "book monday at noon",
        "book monday at noon sharp",
        "book the third of may at noon",
        "book the third of may at noon sharp",
        "book a table",
    }
    assert sum(found.values()) == pytest.approx(1.0)


def test_a_slot_with_many_values_is_no_more_likely_than_a_plain_phrase() -> None:
    found = sentences(build_grammar(EXPECTED))
    table = found["book a table"]
    assert table == pytest.approx(found["book monday"] + found["book the third of may"])


def test_the_words_of_a_grammar_are_all_its_words() -> None:
    words = set(build_grammar(EXPECTED).words)
    assert words == set(" ".join(sentences(build_grammar(EXPECTED))).split())


@pytest.fixture(scope="module")
def dictionary() -> Pronunciations:
    return Pronunciations(Path(get_model_path("en-us/cmudict-en-us.dict")))


@pytest.mark.parametrize(
    ("word", "phones"),
    [
        ("the", ("DH AH", "DH IY")),
        ("o'clock", ("AH K L AA K",)),
        ("'bout", ("B AW T",)),  # the first line of the file
        ("zywicki", ("Z IH W IH K IY",)),  # the last
        ("zzzz", ("Z Z",)),  # beyond the last
        ("sales", ("S EY L Z", "S EY L D")),
        ("thursday", ("TH ER Z D EY", "TH ER D D EY", "TH UH Z D EY", "TH ER Z D IY", "TH ER D D IY", "TH UH Z D IY")),
        ("ma", ("M AA",)),  # the beginning of others
    ],
)
def test_words_are_looked_up(dictionary: Pronunciations, word: str, phones: tuple[str, ...]) -> None:
    assert dictionary.of(word) == phones


def test_every_hundredth_word_of_the_dictionary_is_found(dictionary: Pronunciations) -> None:
    lines = Path(get_model_path("en-us/cmudict-en-us.dict")).read_text().splitlines()
    for line in lines[::97]:
        name, _, phones = line.partition(" ")
        assert phones in dictionary.of(name.partition("(")[0])


@pytest.mark.parametrize(
    ("word", "phones"),
    [
        ("brondelar", "B R AA N D EH L AA R"),
        ("shifton", "SH IH F T AA N"),
        ("wingate", "W IH NG AE T"),
        ("o'hattick", "AA HH AE T IH K"),
        ("x", "K S"),
    ],
)
def test_unknown_words_sound_as_they_are_spelt(word: str, phones: str) -> None:
    assert spell(word) == phones


def test_every_guessed_phone_is_one_of_the_model() -> None:
    known = set(Path(get_model_path("en-us/en-us/mdef")).read_bytes().decode("latin1", "ignore").split("\0"))
    guessed = set(" ".join(spell(letters) for letters in "abcdefghijklmnopqrstuvwxyz").split())
    assert guessed <= known


@pytest.mark.parametrize("word", ["123", "東京", "-"])
def test_what_has_no_letters_cannot_be_pronounced(word: str) -> None:
    with pytest.raises(ValueError, match="cannot be pronounced"):
        spell(word)


def test_words_that_fit_between_silences_that_are_silent_are_believed() -> None:
    good = [
        Segment("<sil>", 30, 0.03),
        Segment("good", 30, 0.1),
        Segment("morning(2)", 60, 0.2),
        Segment("(NULL)", 1, 0),
    ]
    assert words_of([good, good]) == "good morning"


@pytest.mark.parametrize(
    "segments",
    [
        [Segment("<sil>", 100, 0.6), Segment("good", 30, 0.1), Segment("morning", 60, 0.2)],  # speech called silence
        [Segment("<sil>", 30, 0.03), Segment("good", 30, 0.4), Segment("morning", 60, 0.6)],  # words that do not fit
        [Segment("<sil>", 300, 0.1)],
        [],
        [Segment("hello", 60, 0.1)],  # fits, but means nothing
    ],
)
def test_anything_else_is_not(segments: list[Segment]) -> None:
    assert words_of([segments, segments]) == ""


def test_doubt_grows_with_the_misfit_of_the_words_and_of_the_worst_silence() -> None:
    base = [Segment("<sil>", 30, 0.03), Segment("good", 30, 0.1)]
    worse = [
        [Segment("<sil>", 30, 0.06), base[1]],
        [base[0], Segment("good", 30, 0.2)],
        [*base, Segment("<sil>", 90, 0.09)],
    ]
    assert all(doubt([base, other]) > doubt([base, base]) for other in worse)
    assert doubt([[*base, Segment("<sil>", 30, 0.03)]]) == doubt([base])  # a pause between words is no reason


def test_doubt_grows_when_a_hiss_makes_it_something_else_and_the_better_fit_is_taken() -> None:
    good = [Segment("good", 30, 0.12), Segment("morning", 60, 0.24)]
    goodbye = [Segment("goodbye", 90, 0.33)]
    assert doubt([good, goodbye]) > max(doubt([good, good]), doubt([goodbye, goodbye]))
    assert words_of([good, goodbye]) == words_of([goodbye, good]) == "goodbye"
    unlikely = [Segment("goodbye", 90, 0.57)]  # alone, or if the other said the same, it would be believed
    assert (words_of([unlikely, unlikely]), words_of([unlikely, [Segment("good", 90, 0.57)]])) == ("goodbye", "")
    assert words_of([good, []]) == ""  # nothing was understood through the hiss


@pytest.mark.parametrize("rate", [8000, 16000, 48000])
@pytest.mark.parametrize("size", [2, 320, 962, 100_000])
@pytest.mark.parametrize("hiss", [False, True])
def test_the_front_end_gives_the_same_however_audio_is_cut(rate: int, size: int, hiss: bool) -> None:
    voice = tone(rate, 700.0, 0.5).data
    whole = FrontEnd(rate, hiss=hiss).convert(voice)
    front_end = FrontEnd(rate, hiss=hiss)
    assert b"".join(front_end.convert(voice[at : at + size]) for at in range(0, len(voice), size)) == whole
    assert abs(len(whole) / 2 / RATE - 0.5) < 0.025


def test_telephone_audio_gets_an_upper_band_and_wideband_audio_is_left_alone() -> None:
    narrow = FrontEnd(8000).convert(tone(8000, 1000.0, 1.0).data)
    wide = FrontEnd(16000).convert(tone(16000, 1000.0, 1.0).data)
    assert _level_at(narrow, 7000.0) > _level_at(narrow, 1000.0) - 10
    assert _level_at(wide, 7000.0) < _level_at(wide, 1000.0) - 40


def test_a_hiss_is_heard_in_silence_and_is_always_the_same() -> None:
    quiet = silence(8000, 1.0).data
    hissing = FrontEnd(8000, hiss=True).convert(quiet)
    assert level_dbfs(FrontEnd(8000).convert(quiet)) < -80 < -70 < level_dbfs(hissing) < -40
    assert FrontEnd(8000, hiss=True).convert(quiet) == hissing


def test_hum_is_taken_away() -> None:
    hum = resample(tone(8000, 50.0, 1.0), 8000)
    assert level_dbfs(FrontEnd(8000).convert(hum.data)) < level_dbfs(hum.data) - 15


def _level_at(data: bytes, hertz: float) -> float:
    samples = samples_of(data)[RATE // 4 :].astype(np.float64)
    wave = np.exp(-2j * np.pi * hertz / RATE * np.arange(len(samples)))
    return 20 * float(np.log10(abs(np.dot(samples, wave)) / len(samples) + 1e-9))
