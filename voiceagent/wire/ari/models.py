"""The things ARI speaks about, as they were when Asterisk spoke."""

from collections.abc import Mapping

from attrs import field, frozen


@frozen
class CallerId:
    name: str
    number: str


@frozen
class DialplanPosition:
    """Where a channel is in the dialplan. In Stasis `app_data` is "APP,ARGUMENT,…", from Asterisk 16 on."""

    context: str
    exten: str
    priority: int
    app_name: str = ""
    app_data: str = ""


@frozen
class Channel:
    """`state` is one of Down Rsrvd OffHook Dialing Ring Ringing Up Busy Dialing Offhook Pre-ring Unknown.

    `channelvars` are those that ari.conf's `channelvars` lists. `creationtime` is ISO 8601 with milliseconds.
    """

    id: str
    name: str
    state: str
    caller: CallerId
    connected: CallerId
    dialplan: DialplanPosition
    creationtime: str
    language: str
    channelvars: Mapping[str, str] = field(factory=dict)


@frozen
class Bridge:
    """`technology` changes with the members: simple_bridge, softmix, native_rtp, holding_bridge. `channels` are ids."""

    id: str
    technology: str
    bridge_type: str
    name: str
    channels: tuple[str, ...]


@frozen
class Playback:
    """`target_uri` is channel:ID or bridge:ID; `state` is queued, playing, continuing, done, failed or cancelled."""

    id: str
    media_uri: str
    target_uri: str
    state: str


@frozen
class LiveRecording:
    """`state` is queued, recording, paused, done, failed or canceled; durations are whole seconds."""

    name: str
    format: str
    target_uri: str
    state: str
    duration: int | None = None
    cause: str = ""


@frozen
class StoredRecording:
    name: str
    format: str


@frozen
class Application:
    """What an application is subscribed to: all channels in Stasis for it among them."""

    name: str
    channel_ids: tuple[str, ...]
    bridge_ids: tuple[str, ...]


@frozen
class SystemInfo:
    version: str


@frozen
class AsteriskInfo:
    """`system` is there unless other parts alone were asked for."""

    system: SystemInfo | None = None


@frozen
class Module:
    """`status` is "Running" when it is of use."""

    name: str
    status: str


@frozen
class Variable:
    value: str


@frozen
class RtpStatistics:
    """Of a channel whose audio is RTP: packets sent, received and lost."""

    txcount: int
    rxcount: int
    txploss: int
    rxploss: int


@frozen
class RequiredDestination:
    """Whom a peer wants to be transferred to: a name or number, or by `protocol_id` a call that exists."""

    protocol_id: str = ""
    destination: str = ""


@frozen
class ReferTo:
    requested_destination: RequiredDestination
    destination_channel: Channel | None = None
    connected_channel: Channel | None = None
    bridge: Bridge | None = None


@frozen
class ReferredBy:
    source_channel: Channel
    connected_channel: Channel | None = None
    bridge: Bridge | None = None
