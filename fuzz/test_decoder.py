"""The decoder's properties, by hypothesis and by the fast maker: short, and the same inputs each time."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fuzz import corpus
from fuzz.decoder import DecoderInput, Maker, check, decode, held_bytes
from voiceagent.wire.audiosocket import (
    KINDS,
    MAX_PAYLOAD,
    Audio,
    Decoder,
    Dtmf,
    Hangup,
    Identity,
    PeerError,
    encode_frame,
    encode_message,
)

_messages = st.one_of(
    st.builds(Identity, st.uuids()),
    st.builds(Audio, st.sampled_from(sorted(KINDS)), st.binary(min_size=1, max_size=200).map(lambda half: half * 2)),
    st.builds(Dtmf, st.sampled_from("0123456789ABCD*#")),
    st.just(Hangup()),
    st.builds(PeerError, st.integers(-1, 255)),
)
_frames = st.builds(encode_frame, st.integers(0, 255), st.binary(max_size=40)) | st.builds(encode_message, _messages)
_streams = st.lists(_frames | st.binary(max_size=8), max_size=6).map(b"".join)


@st.composite
def _inputs(draw: st.DrawFn) -> DecoderInput:
    stream = draw(_streams)
    return DecoderInput(stream, tuple(sorted(draw(st.lists(st.integers(0, len(stream)), max_size=5)))))


@settings(derandomize=True, deadline=None, max_examples=100, database=None)
@given(_inputs())
def test_any_stream_cut_anywhere_is_what_the_reference_reads(given: DecoderInput) -> None:
    check(given)


@settings(derandomize=True, deadline=None, max_examples=100, database=None)
@given(st.lists(_messages, max_size=8))
def test_what_is_encoded_is_decoded(sent: list[Identity | Audio | Dtmf | Hangup | PeerError]) -> None:
    assert decode([b"".join(map(encode_message, sent))], Decoder()) == sent


def test_two_thousand_bent_streams() -> None:
    maker = Maker(1)
    for _ in range(2000):
        check(maker.next())


def test_a_frame_that_is_never_finished_is_all_that_is_held() -> None:
    decoder = Decoder()
    unfinished = encode_frame(0x10, bytes(MAX_PAYLOAD))[:-1]
    decode([unfinished[at : at + 1000] for at in range(0, len(unfinished), 1000)], decoder)
    assert held_bytes(decoder) == len(unfinished)


@pytest.mark.parametrize("path", corpus.files("decoder"), ids=lambda path: path.stem)
def test_what_failed_once_does_not_fail_again(path: Path) -> None:
    check(corpus.to_decoder_input(corpus.read(path)))
