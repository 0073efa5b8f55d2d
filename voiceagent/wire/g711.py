"""G.711 µ-law, as ITU-T G.711 (table 2a) gives it: 8-bit codes to and from s16le.

Table-driven on the standard library; 20 ms take about 10 µs.
"""

import sys
from array import array
from typing import Final

_BIAS: Final = 0x84
_CLIP: Final = 32635


def _decode_code(code: int) -> int:
    code = ~code & 0xFF
    magnitude = ((code & 0x0F) << 3) + _BIAS << ((code >> 4) & 0x07)
    return _BIAS - magnitude if code & 0x80 else magnitude - _BIAS


def _encode_sample(sample: int) -> int:
    sign = 0x80 if sample < 0 else 0
    magnitude = min(abs(sample), _CLIP) + _BIAS
    exponent = magnitude.bit_length() - 8
    return ~(sign | exponent << 4 | (magnitude >> (exponent + 3)) & 0x0F) & 0xFF


_DECODE: Final = tuple(_decode_code(code) for code in range(256))
#: Indexed by the sample as an unsigned 16-bit number.
_ENCODE: Final = bytes(_encode_sample(word - 0x10000 if word & 0x8000 else word) for word in range(0x10000))


def decode_ulaw(codes: bytes) -> bytes:
    """s16le samples of µ-law `codes`."""
    samples = array("h", [_DECODE[code] for code in codes])
    if sys.byteorder == "big":
        samples.byteswap()
    return samples.tobytes()


def encode_ulaw(data: bytes) -> bytes:
    """µ-law codes of s16le `data`; a trailing odd byte is an error (ValueError)."""
    words = array("H", data)
    if sys.byteorder == "big":
        words.byteswap()
    return bytes([_ENCODE[word] for word in words])
