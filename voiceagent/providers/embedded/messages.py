"""The messages between the service and its speech workers: bytes in, values out.

Both directions, over the worker's stdin and stdout: one byte of kind, job number and payload length (unsigned 32 bits,
little-endian), payload. The worker programs speak the same format; espeak_worker.py repeats it, being a program apart.
"""

import struct
from typing import Final

from attrs import frozen

#: Service → worker.
OPEN: Final = b"O"  # a job begins; payload: JSON
AUDIO: Final = b"A"  # both ways: s16le
FINISH: Final = b"F"  # no more audio will come
ABANDON: Final = b"X"  # nobody waits for this job any more

#: Worker → service.
READY: Final = b"R"  # the worker can work (job 0); payload: JSON
TEXT: Final = b"T"  # the job's result, which ends it; payload: JSON
END: Final = b"E"  # the job's audio is complete, which ends it
ALIVE: Final = b"P"  # progress without a result yet (job 0)
ERROR: Final = b"!"  # the job (0: the worker) cannot be done; payload: why, UTF-8

#: After these a job is done and the worker knows it no more.
LAST: Final = frozenset((TEXT, END, ERROR))

#: Longest payload in bytes, either way; anything longer is nonsense.
MAX_PAYLOAD: Final = 1 << 20

_HEADER: Final = struct.Struct("<cII")
_KINDS: Final = frozenset((OPEN, AUDIO, FINISH, ABANDON, READY, TEXT, END, ALIVE, ERROR))


@frozen
class Message:
    kind: bytes
    job: int
    payload: bytes = b""


class NonsenseError(ValueError):
    """What arrived is not a message."""


def encode(message: Message) -> bytes:
    if len(message.payload) > MAX_PAYLOAD:
        raise ValueError(f"a payload of {len(message.payload)} bytes is longer than {MAX_PAYLOAD}")
    return _HEADER.pack(message.kind, message.job, len(message.payload)) + message.payload


class Decoder:
    """Cuts a byte stream into messages, however it is chunked. Holds one unfinished message at most."""

    def __init__(self) -> None:
        self._pending = bytearray()

    def receive_data(self, data: bytes | bytearray) -> list[Message]:
        """The messages that are complete now. Raises NonsenseError; the stream is of no use after that."""
        self._pending += data
        messages: list[Message] = []
        at = 0
        while at + _HEADER.size <= len(self._pending):
            kind, job, length = _HEADER.unpack_from(self._pending, at)
            if kind not in _KINDS or length > MAX_PAYLOAD:
                raise NonsenseError(f"not a message: {bytes(self._pending[at : at + 16])!r}")
            end = at + _HEADER.size + length
            if end > len(self._pending):
                break
            messages.append(Message(kind, job, bytes(self._pending[at + _HEADER.size : end])))
            at = end
        del self._pending[:at]
        return messages
