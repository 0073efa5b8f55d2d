"""RTP and telephone events: what was encoded is decoded, the parts of the header that others use are skipped."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voiceagent.wire.rtp import (
    KEYS,
    PCMU,
    RtpError,
    RtpPacket,
    TelephoneEvent,
    decode_event,
    decode_rtp,
    encode_event,
    encode_rtp,
)

PACKET = RtpPacket(PCMU, 7, 160, 0xDEADBEEF, b"abcd", marker=True)

packets = st.builds(
    RtpPacket,
    st.integers(0, 127),
    st.integers(0, 0xFFFF),
    st.integers(0, 0xFFFFFFFF),
    st.integers(0, 0xFFFFFFFF),
    st.binary(max_size=40),
    marker=st.booleans(),
)
bounded = settings(derandomize=True, deadline=None, max_examples=200, database=None)


def test_a_packet_is_what_rfc_3550_draws() -> None:
    assert encode_rtp(PACKET) == bytes.fromhex("8080 0007 000000a0 deadbeef") + b"abcd"


@bounded
@given(packets)
def test_what_is_encoded_is_decoded(packet: RtpPacket) -> None:
    assert decode_rtp(encode_rtp(packet)) == packet


def test_numbers_wrap_around() -> None:
    assert decode_rtp(encode_rtp(RtpPacket(PCMU, 0x10001, 0x100000002, 3, b""))) == RtpPacket(PCMU, 1, 2, 3, b"")


def test_sources_extension_and_padding_are_no_audio() -> None:
    header = bytes.fromhex("b2 80 0007 000000a0 deadbeef")  # padding, an extension, two contributing sources
    extension = bytes.fromhex("bede 0001 11223344")
    assert decode_rtp(header + bytes(8) + extension + b"abcd" + b"\0\0\3") == PACKET


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "too few"),
        (encode_rtp(PACKET)[:11], "too few"),
        (b"\x40" + bytes(11), "version 1"),
        (b"\x90" + bytes(13), "extension"),
        (b"\x90" + bytes(13) + b"\0\1", "longer"),
        (b"\x8f" + bytes(11), "longer"),
        (b"\xa0" + bytes(11), "padding of no bytes"),
        (b"\xa0" + bytes(10) + b"\2" + b"\2", "longer"),
    ],
)
def test_what_is_no_rtp_is_refused_with_the_reason(data: bytes, reason: str) -> None:
    with pytest.raises(RtpError, match=reason):
        decode_rtp(data)


@bounded
@given(st.binary(max_size=64))
def test_garbage_is_a_packet_or_an_error_of_its_own(data: bytes) -> None:
    for decode in (decode_rtp, decode_event):
        try:
            decode(data)
        except RtpError:
            continue


def test_a_key_is_what_rfc_4733_draws() -> None:
    assert encode_event(TelephoneEvent("#", 800, ended=True)) == bytes.fromhex("0b 8a 0320")


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("ended", [False, True])
def test_each_key_is_decoded(key: str, ended: bool) -> None:
    assert decode_event(encode_event(TelephoneEvent(key, 160, ended=ended))) == TelephoneEvent(key, 160, ended=ended)


def test_what_is_no_key_is_refused() -> None:
    with pytest.raises(RtpError, match="event 16"):
        decode_event(bytes([16, 0, 0, 0]))
    with pytest.raises(RtpError, match="too few"):
        decode_event(b"\0\0\0")
    with pytest.raises(ValueError, match="substring"):
        encode_event(TelephoneEvent("x", 160))
