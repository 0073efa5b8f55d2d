"""Session descriptions of one audio stream: what a test phone offers and reads (RFC 4566, RFC 3264)."""

import re
from collections.abc import Mapping
from typing import Final, Literal, TypeAlias

from attrs import frozen

#: Whether audio flows, as seen by whoever says it.
Direction: TypeAlias = Literal["sendrecv", "sendonly", "recvonly", "inactive"]

#: Names of the payload types that have one without being told (RFC 3551, section 6).
_STATIC: Final = {0: "PCMU/8000", 8: "PCMA/8000", 9: "G722/8000"}


class SdpError(ValueError):
    """The description has no audio that could be used."""


@frozen
class AudioDescription:
    """`formats`: payload types in order of preference and what they are, `PCMU/8000` for instance."""

    host: str
    port: int
    formats: Mapping[int, str]
    direction: Direction = "sendrecv"

    def payload_type(self, name: str) -> int | None:
        """Of a format, without regard to case."""
        return next((number for number, each in self.formats.items() if each.lower().startswith(name.lower())), None)


def encode_sdp(audio: AudioDescription, *, session: int, version: int) -> bytes:
    """`session` names it, `version` counts its changes."""
    lines = [
        "v=0",
        f"o=- {session} {version} IN IP4 {audio.host}",
        "s=-",
        f"c=IN IP4 {audio.host}",
        "t=0 0",
        f"m=audio {audio.port} RTP/AVP {' '.join(map(str, audio.formats))}",
        *(f"a=rtpmap:{number} {name}" for number, name in audio.formats.items()),
        *(f"a=fmtp:{number} 0-15" for number, name in audio.formats.items() if name.startswith("telephone-event")),
        "a=ptime:20",
        f"a={audio.direction}",
    ]
    return ("\r\n".join(lines) + "\r\n").encode()


def decode_sdp(body: bytes) -> AudioDescription:
    """The first audio stream. Raises SdpError."""
    text = body.decode(errors="replace").replace("\r\n", "\n")
    media = re.search(r"^m=audio (\d{1,5}) \S+((?: \d{1,3})*)$", text, re.MULTILINE | re.ASCII)
    host = re.findall(r"^c=IN IP4 (\S+)$", text, re.MULTILINE)
    if media is None or not host:
        raise SdpError("no audio over IPv4")
    names = {
        int(number): name for number, name in re.findall(r"^a=rtpmap:(\d{1,3}) (\S+)", text, re.MULTILINE | re.ASCII)
    }
    numbers = map(int, media[2].split())
    direction = re.search(r"^a=(sendrecv|sendonly|recvonly|inactive)$", text, re.MULTILINE)
    return AudioDescription(
        host=host[-1],  # that of the stream comes after that of the session
        port=int(media[1]),
        formats={number: names.get(number, _STATIC.get(number, "")) for number in numbers},
        direction=direction[1] if direction else "sendrecv",  # type: ignore[arg-type]
    )
