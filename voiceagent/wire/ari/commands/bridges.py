"""Requests about bridges."""

from collections.abc import Sequence

from voiceagent.wire.ari.commands.channels import IfExists
from voiceagent.wire.ari.commands.request import Request, make


def get_all() -> Request:
    return make("GET", "bridges")


def create(bridge: str, *, kind: str = "mixing", name: str | None = None) -> Request:
    """`kind`: mixing or holding, with attributes after commas. An id that is in use is 409."""
    return make("POST", "bridges", bridgeId=bridge, type=kind, name=name)


def get(bridge: str) -> Request:
    return make("GET", "bridges", bridge)


def destroy(bridge: str) -> Request:
    """Its members stay in Stasis, and hear nothing."""
    return make("DELETE", "bridges", bridge)


def add(
    bridge: str,
    channels: Sequence[str],
    *,
    role: str | None = None,
    mute: bool | None = None,
    absorb_dtmf: bool | None = None,
) -> Request:
    """A member of another bridge is moved. A channel that has gone is 400, one that is not in Stasis (yet) 422."""
    return make("POST", "bridges", bridge, "addChannel", channel=channels, role=role, mute=mute, absorbDTMF=absorb_dtmf)


def remove(bridge: str, channels: Sequence[str]) -> Request:
    """A channel that has gone is 400, one that is not a member 422."""
    return make("POST", "bridges", bridge, "removeChannel", channel=channels)


def play(bridge: str, playback: str, media: Sequence[str], *, language: str | None = None) -> Request:
    """To all members. The bridge mixes meanwhile (softmix)."""
    return make("POST", "bridges", bridge, "play", playback, media=media, lang=language)


def record(
    bridge: str,
    name: str,
    file_format: str,
    *,
    max_duration_s: int | None = None,
    max_silence_s: int | None = None,
    if_exists: IfExists | None = None,
    beep: bool | None = None,
    terminate_on: str | None = None,
) -> Request:
    """All members, mixed. The bridge mixes meanwhile (softmix)."""
    return make(
        "POST",
        "bridges",
        bridge,
        "record",
        name=name,
        format=file_format,
        maxDurationSeconds=max_duration_s,
        maxSilenceSeconds=max_silence_s,
        ifExists=if_exists,
        beep=beep,
        terminateOn=terminate_on,
    )


def start_moh(bridge: str, music_class: str | None = None) -> Request:
    return make("POST", "bridges", bridge, "moh", mohClass=music_class)


def stop_moh(bridge: str) -> Request:
    return make("DELETE", "bridges", bridge, "moh")
