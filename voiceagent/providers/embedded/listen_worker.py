"""Recognises speech with pocketsphinx: a program of its own, several turns at once.

Messages (messages.py) in: OPEN with the JSON object {phrases, slots}, AUDIO (the rate as an unsigned 32-bit number,
then s16le), FINISH or ABANDON. Out: TEXT {text} or ERROR for every finished turn, and ALIVE while there is much to do.
Ends when stdin does.
"""

import json
import os
import signal
import struct
import sys
import time
from typing import Final

from voiceagent.ports import Expectation
from voiceagent.providers.embedded.messages import (
    ALIVE,
    AUDIO,
    ERROR,
    FINISH,
    OPEN,
    READY,
    TEXT,
    Decoder,
    Message,
    encode,
)

#: Turns at once; each takes about 8 MB.
MAX_TURNS: Final = 32
#: The media clock's frames are due within milliseconds: where cores are scarce, recognition yields to it.
_NICENESS: Final = 5
#: Seconds between signs of life while busy.
_ALIVE_S: Final = 0.5


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the service's business; it closes stdin
    os.nice(_NICENESS)
    try:
        from voiceagent.providers.embedded.ears import EarsPool, Turn  # here, so that a missing library is reported
    except ImportError as error:
        _write(Message(ERROR, 0, f"{error} (pip install pocketsphinx webrtc-noise-gain)".encode()))
        return
    pool = EarsPool()
    turns: dict[int, Turn] = {}

    def handle(message: Message) -> None:
        turn = turns.get(message.job)
        if message.kind == OPEN:
            if len(turns) >= MAX_TURNS:
                raise ValueError(f"more than {MAX_TURNS} turns at once")
            turns[message.job] = Turn(pool, _expectation(message.payload))
        elif turn is None:
            return  # it has ended with an ERROR: that has been said
        elif message.kind == AUDIO:
            (rate,) = struct.unpack_from("<I", message.payload)
            turn.hear(rate, message.payload[4:])
        else:
            text = turn.finish()  # also when abandoned: it takes a millisecond and frees the ears
            del turns[message.job]
            if message.kind == FINISH:
                _write(Message(TEXT, message.job, json.dumps({"text": text}).encode()))

    _write(Message(READY, 0, b"{}"))
    decoder = Decoder()
    said_at = time.monotonic()
    while data := os.read(sys.stdin.fileno(), 1 << 16):
        for message in decoder.receive_data(data):
            try:
                handle(message)
            except ValueError as error:
                turns.pop(message.job, None)  # an ERROR ends it: nothing more will come for it that matters
                _write(Message(ERROR, message.job, str(error).encode()))
            if time.monotonic() - said_at > _ALIVE_S:
                _write(Message(ALIVE, 0))
                said_at = time.monotonic()


def _expectation(payload: bytes) -> Expectation:
    given = json.loads(payload)
    return Expectation(tuple(given["phrases"]), {name: tuple(values) for name, values in given["slots"].items()})


def _write(message: Message) -> None:
    sys.stdout.buffer.write(encode(message))
    sys.stdout.flush()


if __name__ == "__main__":
    main()
