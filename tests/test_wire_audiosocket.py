"""The AudioSocket decoder: whole, split anywhere, byte by byte, truncated, and on garbage."""

import itertools
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voiceagent.wire.audiosocket import (
    RATES,
    Audio,
    Decoder,
    Dtmf,
    Hangup,
    Identity,
    Ignored,
    Message,
    PeerError,
    ProtocolError,
    encode_audio,
    encode_frame,
    encode_message,
    silence_frame,
)

CALL = UUID("0f5a3f5e-7c1e-4b7e-9d5f-0123456789ab")

audio = st.builds(
    Audio, st.sampled_from(sorted(RATES.values())), st.binary(min_size=1, max_size=400).map(lambda b: b + b)
)
messages = st.one_of(
    st.builds(Identity, st.uuids()),
    audio,
    st.builds(Dtmf, st.sampled_from("0123456789ABCD*#")),
    st.just(Hangup()),
    st.builds(PeerError, st.integers(-1, 255)),
)


def decode(*chunks: bytes) -> list[Message | str]:
    """All messages of a stream; a ProtocolError ends the list as its text."""
    decoder = Decoder()
    found: list[Message | str] = []
    for chunk in chunks:
        decoder.receive_data(chunk)
        try:
            while (message := decoder.next_message()) is not None:
                found.append(message)
        except ProtocolError as error:
            return [*found, str(error)]
    return found


@given(st.lists(messages, max_size=8))
def test_what_is_encoded_is_decoded(sent: list[Identity | Audio | Dtmf | Hangup | PeerError]) -> None:
    assert decode(b"".join(encode_message(message) for message in sent)) == sent


@given(st.lists(messages | st.binary(max_size=30), max_size=6), st.data())
def test_cutting_a_stream_anywhere_changes_nothing(
    parts: list[Identity | Audio | Dtmf | Hangup | PeerError | bytes], data: st.DataObject
) -> None:
    stream = b"".join(part if isinstance(part, bytes) else encode_message(part) for part in parts)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=5)))
    edges = [0, *cuts, len(stream)]
    whole = decode(stream)
    assert decode(*(stream[a:b] for a, b in itertools.pairwise(edges))) == whole
    assert decode(*(stream[i : i + 1] for i in range(len(stream)))) == whole


@pytest.mark.parametrize(
    ("kind", "payload", "reason"),
    [
        (0x10, b"", "empty audio"),
        (0x12, b"abc", "odd audio"),
        (0x03, b"x", "bad digit"),
        (0x03, b"12", "bad digit"),
        (0x03, b"", "bad digit"),
        (0x42, b"??", "unknown kind"),
    ],
)
def test_a_useless_frame_is_ignored_and_the_stream_goes_on(kind: int, payload: bytes, reason: str) -> None:
    assert decode(encode_frame(kind, payload) + encode_frame(0x03, b"5")) == [Ignored(reason), Dtmf("5")]


def test_a_uuid_of_wrong_length_ends_the_stream_after_what_came_before() -> None:
    stream = encode_frame(0x03, b"5") + encode_frame(0x01, b"short")
    assert decode(stream) == [Dtmf("5"), "a UUID frame carries 16 bytes, not 5"]


def test_the_first_frames_of_a_call_as_asterisk_sends_them() -> None:
    stream = bytes.fromhex("010010") + CALL.bytes + bytes.fromhex("100140") + bytes(320)
    assert decode(stream) == [Identity(CALL), Audio(8000, bytes(320))]


@given(audio | st.lists(messages | st.binary(max_size=30), max_size=3))
def test_the_short_cut_for_a_sole_audio_frame_agrees_with_the_decoder(
    sent: Audio | list[Identity | Audio | Dtmf | Hangup | PeerError | bytes],
) -> None:
    parts = [sent] if isinstance(sent, Audio) else sent
    stream = b"".join(part if isinstance(part, bytes) else encode_message(part) for part in parts)
    rate = Decoder().sole_audio(stream)
    assert decode(stream) == [Audio(rate, stream[3:])] if rate else decode(stream) != [Audio(8000, stream[3:])]


def test_the_short_cut_is_not_taken_while_a_frame_is_unfinished() -> None:
    decoder = Decoder()
    decoder.receive_data(silence_frame(8000)[:100])
    assert decoder.next_message() is None
    assert decoder.sole_audio(silence_frame(8000)) == 0


def test_an_unfinished_frame_shows_as_mid_frame() -> None:
    decoder = Decoder()
    decoder.receive_data(silence_frame(8000)[:-1])
    assert decoder.next_message() is None
    assert decoder.is_mid_frame
    decoder.receive_data(b"\0")
    assert decoder.next_message() == Audio(8000, bytes(320))
    assert not decoder.is_mid_frame


def test_the_largest_frame_fits_and_a_larger_one_is_refused() -> None:
    assert decode(encode_audio(8000, bytes(65534))) == [Audio(8000, bytes(65534))]
    with pytest.raises(ValueError, match="at most 65535"):
        encode_frame(0x10, bytes(65536))
