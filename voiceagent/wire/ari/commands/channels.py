"""Requests about channels. Longer than most: there is much to be done with a channel."""

from collections.abc import Mapping, Sequence
from typing import Literal

from voiceagent.wire.ari.commands.request import Request, make, variables

Direction = Literal["both", "in", "out"]
Sides = Literal["none", "both", "in", "out"]
IfExists = Literal["fail", "overwrite", "append"]


def get_all() -> Request:
    return make("GET", "channels")


def get(channel: str) -> Request:
    return make("GET", "channels", channel)


def originate(
    channel: str,
    endpoint: str,
    *,
    app: str | None = None,
    app_args: Sequence[str] | None = None,
    context: str | None = None,
    extension: str | None = None,
    priority: int | None = None,
    caller_id: str | None = None,
    timeout_s: int | None = None,
    originator: str | None = None,
    formats: Sequence[str] | None = None,
    values: Mapping[str, str] | None = None,
) -> Request:
    """Dial `endpoint`; when it answers it goes to Stasis (`app`) or to the dialplan (`context`, `extension`)."""
    return make(
        "POST",
        "channels",
        channelId=channel,
        endpoint=endpoint,
        app=app,
        appArgs=app_args,
        context=context,
        extension=extension,
        priority=priority,
        callerId=caller_id,
        timeout=timeout_s,
        originator=originator,
        formats=formats,
        body=variables(values),
    )


def create(
    channel: str,
    endpoint: str,
    app: str,
    *,
    app_args: Sequence[str] | None = None,
    originator: str | None = None,
    formats: Sequence[str] | None = None,
    values: Mapping[str, str] | None = None,
) -> Request:
    """A channel in Stasis that has not dialled yet; `dial` does. Its answer is a ChannelStateChange."""
    return make(
        "POST",
        "channels",
        "create",
        channelId=channel,
        endpoint=endpoint,
        app=app,
        appArgs=app_args,
        originator=originator,
        formats=formats,
        body=variables(values),
    )


def external_media(
    channel: str,
    app: str,
    external_host: str,
    media_format: str,
    *,
    data: str | None = None,
    encapsulation: str = "audiosocket",
    transport: str = "tcp",
    values: Mapping[str, str] | None = None,
) -> Request:
    """A channel whose audio goes to `external_host` (HOST:PORT). AudioSocket: `data` is the UUID it announces.

    Asterisk connects first: with a host that does not answer the request takes 2 s.
    """
    return make(
        "POST",
        "channels",
        "externalMedia",
        channelId=channel,
        app=app,
        external_host=external_host,
        format=media_format,
        data=data,
        encapsulation=encapsulation,
        transport=transport,
        body=variables(values),
    )


def snoop(channel: str, snoop_id: str, app: str, *, spy: Sides = "none", whisper: Sides = "none") -> Request:
    """A new channel in Stasis that hears (`spy`) or speaks into (`whisper`) sides of this one."""
    return make("POST", "channels", channel, "snoop", snoop_id, app=app, spy=spy, whisper=whisper)


def dial(channel: str, *, caller: str | None = None, timeout_s: int | None = None) -> Request:
    return make("POST", "channels", channel, "dial", caller=caller, timeout=timeout_s)


def answer(channel: str) -> Request:
    return make("POST", "channels", channel, "answer")


def hangup(channel: str, reason: str | None = None) -> Request:
    """`reason`: normal, busy, congestion, no_answer, timeout, rejected, unallocated, normal_unspecified …

    With another word Asterisk answers 400 and the call goes on.
    """
    return make("DELETE", "channels", channel, reason=reason)


def continue_(
    channel: str, *, context: str | None = None, extension: str | None = None, priority: int | None = None
) -> Request:
    """Back to the dialplan: where it came from, or elsewhere."""
    return make("POST", "channels", channel, "continue", context=context, extension=extension, priority=priority)


def move(channel: str, app: str, app_args: Sequence[str] | None = None) -> Request:
    """To another application, or again to this one: StasisEnd, then StasisStart with `app_args`."""
    return make("POST", "channels", channel, "move", app=app, appArgs=app_args)


def redirect(channel: str, endpoint: str) -> Request:
    """Ask the peer to call `endpoint` itself: 302 before the answer, REFER after it (no event tells the outcome)."""
    return make("POST", "channels", channel, "redirect", endpoint=endpoint)


def transfer_progress(channel: str, states: str) -> Request:
    """Tell a peer that asked to be transferred how it goes: channel_progress, channel_answered, channel_declined …"""
    return make("POST", "channels", channel, "transfer_progress", states=states)


def ring(channel: str) -> Request:
    return make("POST", "channels", channel, "ring")


def stop_ringing(channel: str) -> Request:
    return make("DELETE", "channels", channel, "ring")


def progress(channel: str) -> Request:
    """Early media: 183."""
    return make("POST", "channels", channel, "progress")


def send_dtmf(
    channel: str,
    digits: str,
    *,
    before_ms: int | None = None,
    between_ms: int | None = None,
    duration_ms: int | None = None,
    after_ms: int | None = None,
) -> Request:
    return make(
        "POST",
        "channels",
        channel,
        "dtmf",
        dtmf=digits,
        before=before_ms,
        between=between_ms,
        duration=duration_ms,
        after=after_ms,
    )


def mute(channel: str, direction: Direction = "both") -> Request:
    """`in` is what comes from the channel's peer."""
    return make("POST", "channels", channel, "mute", direction=direction)


def unmute(channel: str, direction: Direction = "both") -> Request:
    return make("DELETE", "channels", channel, "mute", direction=direction)


def hold(channel: str) -> Request:
    return make("POST", "channels", channel, "hold")


def unhold(channel: str) -> Request:
    return make("DELETE", "channels", channel, "hold")


def start_moh(channel: str, music_class: str | None = None) -> Request:
    """A class that does not exist is not an error, only silence."""
    return make("POST", "channels", channel, "moh", mohClass=music_class)


def stop_moh(channel: str) -> Request:
    return make("DELETE", "channels", channel, "moh")


def start_silence(channel: str) -> Request:
    return make("POST", "channels", channel, "silence")


def stop_silence(channel: str) -> Request:
    return make("DELETE", "channels", channel, "silence")


def play(channel: str, playback: str, media: Sequence[str], *, language: str | None = None) -> Request:
    """`media`: sound:NAME, digits:123, tone:ring …, one after the other. What cannot be played fails by event."""
    return make("POST", "channels", channel, "play", playback, media=media, lang=language)


def record(
    channel: str,
    name: str,
    file_format: str,
    *,
    max_duration_s: int | None = None,
    max_silence_s: int | None = None,
    if_exists: IfExists | None = None,
    beep: bool | None = None,
    terminate_on: str | None = None,
) -> Request:
    """Not while it is in a bridge: that fails by event."""
    return make(
        "POST",
        "channels",
        channel,
        "record",
        name=name,
        format=file_format,
        maxDurationSeconds=max_duration_s,
        maxSilenceSeconds=max_silence_s,
        ifExists=if_exists,
        beep=beep,
        terminateOn=terminate_on,
    )


def get_variable(channel: str, variable: str) -> Request:
    """A variable that is not set is 404, as is a channel that has gone."""
    return make("GET", "channels", channel, "variable", variable=variable)


def set_variable(channel: str, variable: str, value: str) -> Request:
    return make("POST", "channels", channel, "variable", variable=variable, value=value)


def rtp_statistics(channel: str) -> Request:
    return make("GET", "channels", channel, "rtp_statistics")
