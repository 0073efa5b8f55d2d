"""µ-law against the values of ITU-T G.711."""

import struct

from voiceagent.wire.g711 import decode_ulaw, encode_ulaw


def test_known_codes() -> None:
    assert struct.unpack("<6h", decode_ulaw(bytes((0x00, 0x80, 0xFF, 0x7F, 0x0F, 0xF0)))) == (
        -32124,
        32124,
        0,
        0,
        -16764,
        120,
    )


def test_every_code_survives_a_round_trip_but_negative_zero() -> None:
    codes = bytes(range(256))
    assert encode_ulaw(decode_ulaw(codes)) == codes.replace(b"\x7f", b"\xff")


def test_the_error_stays_below_half_a_step_of_the_segment() -> None:
    samples = range(-32635, 32636, 7)
    for sample, decoded in zip(
        samples,
        struct.unpack(f"<{len(samples)}h", decode_ulaw(encode_ulaw(struct.pack(f"<{len(samples)}h", *samples)))),
        strict=True,
    ):
        assert abs(sample - decoded) <= max(4, (abs(sample) + 132) / 32 + 1)
