"""What the test phone can speak: PCMU, and G.722 where the package G722 is installed (a library for tests)."""

from typing import Any, Final, Protocol

import numpy as np

from voiceagent.audio.pcm import samples_of
from voiceagent.lab.connect import LineError
from voiceagent.wire.g711 import decode_ulaw, encode_ulaw
from voiceagent.wire.rtp import G722, PCMU

#: Formats by name, as in an SDP, and their payload types.
PAYLOAD_TYPES: Final = {"PCMU": PCMU, "G722": G722}


class Codec(Protocol):
    """For one call: it may remember what came before. 20 ms are 160 bytes encoded, in either format."""

    rate: int

    def encode(self, data: bytes) -> bytes:
        """Of s16le at `rate`."""

    def decode(self, payload: bytes) -> bytes: ...


class _Pcmu:
    rate = 8000

    def encode(self, data: bytes) -> bytes:
        return encode_ulaw(data)

    def decode(self, payload: bytes) -> bytes:
        return decode_ulaw(payload)


class _G722:
    rate = 16000

    def __init__(self) -> None:
        try:
            from G722 import G722 as Coder  # noqa: N811 - only where it is asked for
        except ImportError:
            raise LineError("G.722 needs the package G722 (it comes with voiceagent[dev])") from None
        # Each keeps the state of one direction.
        self._encoder: Any = Coder(self.rate, 64000)
        self._decoder: Any = Coder(self.rate, 64000)

    def encode(self, data: bytes) -> bytes:
        return bytes(self._encoder.encode(samples_of(data)))

    def decode(self, payload: bytes) -> bytes:
        return np.asarray(self._decoder.decode(payload), dtype="<i2").tobytes()


def open_codec(name: str) -> Codec:
    """By its name in an SDP. Raises LineError where G.722 is asked for and not installed."""
    return _G722() if name == "G722" else _Pcmu()
