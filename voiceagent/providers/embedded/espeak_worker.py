"""Speaks sentences with espeak-ng: a program of its own.

espeak-ng is licensed under the GPL, version 3 or later. Therefore nothing of the service is imported here and the
service loads nothing of espeak-ng: the two exchange messages over this program's stdin and stdout, in the format of
messages.py. (Two threads in one process would also abort espeak-ng.)

In: `O` with the JSON object {text, voice, pitch, speed}. Out: `A` (s16le) any number of times, then `E`; or `!`.
`X`: nobody waits for that sentence any more. One sentence at a time, in order. Ends when stdin does.
"""

import ctypes
import json
import os
import select
import signal
import struct
import sys
from pathlib import Path

HEADER = struct.Struct("<cII")
SYNCHRONOUS, DONT_EXIT, UTF8 = 2, 0x8000, 1
RATE, PITCH = 1, 3
OK = 0
MESSAGE_MS = 1000  # of audio in one message, 44 KB: the service wakes up for each
NICENESS = 5  # the media clock's frames are due within milliseconds: where cores are scarce, sentences yield to it
MAX_AHEAD = 1000  # requests read before their turn; with 400 characters each 2.5 MB at worst
MAX_SECONDS = 90  # of audio for one request: 4 MB, which the service holds at once


class Voice(ctypes.Structure):
    """The beginning of espeak_VOICE. `languages`: a byte of priority, then the language's code."""

    _fields_ = (("name", ctypes.c_char_p), ("languages", ctypes.c_char_p), ("identifier", ctypes.c_char_p))


SynthCallback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p)


def write(kind: bytes, job: int, payload: bytes = b"") -> None:
    sys.stdout.buffer.write(HEADER.pack(kind, job, len(payload)) + payload)


class Requests:
    """What is asked for on a descriptor. A burst of abandoned sentences costs nothing: they are never spoken."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._unread = bytearray()  # at most one unfinished message and one read
        self._waiting: dict[int, bytes] = {}  # payloads by job, oldest first

    def next(self) -> tuple[int, bytes] | None:
        """The oldest request that is still wanted: job and payload. Waits for one; None when the input has ended."""
        while not self._waiting or (len(self._waiting) < MAX_AHEAD and self._more()):
            data = os.read(self._descriptor, 1 << 16)
            if not data:
                return None
            self._unread += data
            self._sort()
        job = next(iter(self._waiting))
        return job, self._waiting.pop(job)

    def _more(self) -> bool:
        return bool(select.select([self._descriptor], [], [], 0)[0])

    def _sort(self) -> None:
        while len(self._unread) >= HEADER.size:
            kind, job, length = HEADER.unpack_from(self._unread)
            end = HEADER.size + length
            if len(self._unread) < end:
                break
            if kind == b"O":
                self._waiting[job] = bytes(self._unread[HEADER.size : end])
            elif kind == b"X":
                self._waiting.pop(job, None)  # else it is spoken already
            del self._unread[:end]


class Espeak:
    """The library, ready to speak. Raises OSError, ImportError or RuntimeError when it cannot be."""

    def __init__(self) -> None:
        import espeakng_loader  # here, so that its absence can be reported

        self._library = ctypes.CDLL(espeakng_loader.get_library_path())
        # Paths longer than about 160 bytes overflow inside the library, hence a relative one; it reads voices and
        # dictionaries when they are first used, hence for good.
        os.chdir(Path(espeakng_loader.get_data_path()).parent)
        self.rate: int = self._library.espeak_Initialize(SYNCHRONOUS, MESSAGE_MS, b".", DONT_EXIT)
        if self.rate <= 0:
            raise RuntimeError("espeak-ng found no usable data files")
        self._library.espeak_ListVoices.restype = ctypes.POINTER(ctypes.POINTER(Voice))
        self._job = self._samples = 0
        self._callback = SynthCallback(self._speak)  # must live as long as the library may call it
        self._library.espeak_SetSynthCallback(self._callback)
        self._voice = ""

    def _speak(self, samples: int | None, count: int, _events: int | None) -> int:
        self._samples += count
        if self._samples > MAX_SECONDS * self.rate:
            return 1  # stop
        if samples and count > 0:
            write(b"A", self._job, ctypes.string_at(samples, 2 * count))
        return 0

    def _file_of(self, language: str, variant: str) -> bytes:
        """The library knows voices by file name, which is the language's code except for some (`en-gb` is `en`)."""
        at, name = 0, language.encode()
        while voice := self._library.espeak_ListVoices(None)[at]:
            if voice.contents.languages[1:] == name.lower():
                name = voice.contents.identifier
                break
            at += 1
        return name + (f"+{variant}".encode() if variant else b"")

    def say(self, job: int, text: str, voice: str, pitch: int, speed: int) -> None:
        """Writes the sentence's audio. Raises ValueError for a voice or text it cannot take."""
        if voice != self._voice:
            self._voice = ""
            language, _, variant = voice.partition("+")
            known = self._library.espeak_SetVoiceByName(self._file_of(language, variant)) == OK
            if not known or (variant and not Path("espeak-ng-data/voices/!v", variant).exists()):
                raise ValueError(f"espeak-ng has no voice {voice!r}")
            self._voice = voice
        self._library.espeak_SetParameter(RATE, speed, 0)
        self._library.espeak_SetParameter(PITCH, pitch, 0)
        self._job, self._samples = job, 0
        content = text.replace("\0", " ").encode() + b"\0"
        code = self._library.espeak_Synth(content, ctypes.c_size_t(len(content)), 0, 0, 0, UTF8, None, None)
        if code != OK:
            raise ValueError(f"espeak-ng could not speak {text!r} (code {code})")
        if self._samples > MAX_SECONDS * self.rate:
            raise ValueError(f"one sentence would take longer than {MAX_SECONDS} s")


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the service's business; it closes stdin
    os.nice(NICENESS)
    try:
        espeak = Espeak()
    except (ImportError, OSError, RuntimeError) as error:
        write(b"!", 0, f"{error} (pip install espeakng-loader)".encode())
        sys.stdout.flush()
        return
    write(b"R", 0, json.dumps({"rate": espeak.rate}).encode())
    sys.stdout.flush()
    requests = Requests(sys.stdin.fileno())
    while request := requests.next():
        job, payload = request
        try:
            espeak.say(job, **json.loads(payload))
            write(b"E", job)
        except ValueError as error:
            write(b"!", job, str(error).encode())
        sys.stdout.flush()


if __name__ == "__main__":
    main()
