"""What an Asterisk of some version cannot do yet. Pure; from the tags of its sources."""

import re
from collections.abc import Iterator, Mapping
from typing import Final

from attrs import frozen

#: The oldest major version that has AudioSocket at all.
_FIRST: Final = 18


@frozen
class _Change:
    """`since` gives for a major version the minor that brought it; a major that is missing never got it."""

    since: Mapping[int, int]
    without: str
    wideband: bool = False


_NEWEST: Final = 23
_CHANGES: Final = (
    _Change({20: 14, 21: 9, 22: 4, 23: 0}, "keys of the caller do not arrive, and AudioSocket() always ends the call"),
    _Change({20: 15, 21: 10, 22: 5, 23: 0}, "a frame that arrives in pieces ends the call"),
    _Change({20: 17, 21: 12, 22: 7, 23: 1}, "16 kHz is heard as 8 kHz: media.format must be slin", wideband=True),
    _Change({20: 19, 22: 9, 23: 3}, "a header that arrives in pieces garbles the audio"),
    _Change({20: 20, 22: 10, 23: 4}, "frames that are neither voice nor keys (text, video) end the call"),
)


def shortcomings(version: str, media_format: str) -> Iterator[str]:
    """What calls suffer from under `version` ("22.10.1~dfsg…"), one sentence each; ValueError if it is no version."""
    found = re.match(r"(?:certified/|certified-)?(\d+)\.(\d+)", version)
    if found is None:
        raise ValueError(f"{version!r} is not a version")
    major, minor = int(found[1]), int(found[2])
    if major < _FIRST:
        yield "it has no AudioSocket"
        return
    for change in _CHANGES:
        if change.wideband and media_format == "slin":
            continue
        if major <= _NEWEST and minor < change.since.get(major, minor + 1):
            yield change.without
