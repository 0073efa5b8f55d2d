"""What a caller does, cut into the steps of a 20 ms clock. Pure."""

from typing import Final

from attrs import frozen

from voiceagent.audio.pcm import Pcm
from voiceagent.lab.hearing import is_audible
from voiceagent.wire.audiosocket import DTMF_DIGITS, frame_bytes

#: Frames that a pressed key keeps from being sent, and frames of silence after it.
_KEY_FRAMES: Final = 5


@frozen
class Step:
    """What one tick sends, a frame of s16le `audio` (None: no frame) or a `digit`, and what it means.

    `begins`: the first audible frame of a saying, with its text. `finishes`: the last.
    """

    audio: bytes | None = None
    begins: str | None = None
    finishes: bool = False
    digit: str = ""


def speech(pcm: Pcm, text: str) -> list[Step]:
    """A saying: whole frames, the last one filled up with silence."""
    size = frame_bytes(pcm.rate)
    frames = [pcm.data[at : at + size].ljust(size, b"\0") for at in range(0, len(pcm.data), size)]
    audible = [number for number, frame in enumerate(frames) if is_audible(frame)]
    first, last = (audible[0], audible[-1]) if audible else (-1, -1)
    return [
        Step(frame, begins=text if number == first else None, finishes=number == last)
        for number, frame in enumerate(frames)
    ]


def keys(digits: str, silence: Step) -> list[Step]:
    """Each key held for 100 ms without audio, its digit on release, then 100 ms of `silence`.

    Raises ValueError for a key no telephone has.
    """
    if bad := sorted(set(digits) - set(DTMF_DIGITS)):
        raise ValueError(f"not on a telephone: {''.join(bad)}")
    held, pause = [Step()] * _KEY_FRAMES, [silence] * _KEY_FRAMES
    return [step for digit in digits for step in (*held, Step(digit=digit), *pause)]
