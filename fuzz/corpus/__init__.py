"""Inputs that once failed, and a few that must never: small files, each replayed by the test suite."""

import json
from hashlib import sha256
from pathlib import Path
from typing import Final

from fuzz.decoder import DecoderInput

FOLDER: Final = Path(__file__).parent


def files(target: str) -> list[Path]:
    """A target's inputs."""
    return sorted((FOLDER / target).glob("*.json"))


def read(path: Path) -> object:
    """What an input's file says."""
    return json.loads(path.read_text(encoding="utf-8"))


def keep(target: str, content: object) -> Path:
    """Write an input down; the same one gets the same name. Returns where."""
    text = json.dumps(content, indent=1, ensure_ascii=False) + "\n"
    path = FOLDER / target / f"{sha256(text.encode()).hexdigest()[:10]}.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def from_decoder_input(given: DecoderInput) -> object:
    return {"pieces": [piece.hex(" ") for piece in given.pieces()]}


def to_decoder_input(content: object) -> DecoderInput:
    match content:
        case {"pieces": list(pieces)}:
            chunks = [bytes.fromhex(piece) for piece in pieces]
            cuts = [sum(map(len, chunks[:number])) for number in range(1, len(chunks))]
            return DecoderInput(b"".join(chunks), tuple(cuts))
        case _:
            raise ValueError("a decoder's input is {pieces: [hex, ...]}")
