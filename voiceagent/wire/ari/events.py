"""What Asterisk tells over the event socket, as a closed union.

`parse_event` makes one of a message, `subjects` says about whom it is. Events of other types are kept as UnknownEvent.
This file is longer than most because the union is.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Final, TypeAlias, get_args

import attrs
from attrs import field, frozen

from voiceagent.wire.ari.models import Bridge, Channel, LiveRecording, Playback, ReferredBy, ReferTo
from voiceagent.wire.ari.structure import MessageError, structure


@frozen
class _Event:
    """`application` is whom it was sent to; `timestamp` is Asterisk's clock, ISO 8601 with milliseconds."""

    application: str = field(kw_only=True)
    timestamp: str = field(kw_only=True)


@frozen
class StasisStart(_Event):
    """A channel came to us, from the dialplan, by a request of ours or by a move. `args` follow the application's name.

    With `replace_channel` it takes that one's place (a transfer done by others).
    """

    channel: Channel
    args: tuple[str, ...]
    replace_channel: Channel | None = None


@frozen
class StasisEnd(_Event):
    """A channel left us. For one that came from the dialplan it is the last event, however it ended."""

    channel: Channel


@frozen
class ApplicationMoveFailed(_Event):
    channel: Channel
    destination: str
    args: tuple[str, ...]


@frozen
class ChannelCreated(_Event):
    channel: Channel


@frozen
class ChannelDestroyed(_Event):
    """The end of a channel that a request made. `cause` is Q.850, `tech_cause` the technology's own (SIP: 486)."""

    channel: Channel
    cause: int
    cause_txt: str
    tech_cause: int | None = None


@frozen
class ChannelStateChange(_Event):
    channel: Channel


@frozen
class ChannelHangupRequest(_Event):
    """Somebody hangs up; StasisEnd follows. There is no cause in a caller's BYE."""

    channel: Channel
    cause: int | None = None
    tech_cause: int | None = None
    soft: bool = False


@frozen
class ChannelDtmfReceived(_Event):
    """A key was released."""

    channel: Channel
    digit: str
    duration_ms: int


@frozen
class ChannelHold(_Event):
    channel: Channel
    musicclass: str = ""


@frozen
class ChannelUnhold(_Event):
    channel: Channel


@frozen
class ChannelEnteredBridge(_Event):
    bridge: Bridge
    channel: Channel | None = None


@frozen
class ChannelLeftBridge(_Event):
    bridge: Bridge
    channel: Channel


@frozen
class ChannelTalkingStarted(_Event):
    channel: Channel


@frozen
class ChannelTalkingFinished(_Event):
    """`duration` is in milliseconds."""

    channel: Channel
    duration: int


@frozen
class ChannelToneDetected(_Event):
    channel: Channel


@frozen
class ChannelVarset(_Event):
    """Without channel it is a global variable."""

    variable: str
    value: str
    channel: Channel | None = None


@frozen
class ChannelUserevent(_Event):
    eventname: str
    userevent: Mapping[str, object]
    channel: Channel | None = None
    bridge: Bridge | None = None


@frozen
class ChannelDialplan(_Event):
    channel: Channel
    dialplan_app: str
    dialplan_app_data: str


@frozen
class ChannelCallerId(_Event):
    channel: Channel
    caller_presentation: int
    caller_presentation_txt: str


@frozen
class ChannelConnectedLine(_Event):
    channel: Channel


@frozen
class ChannelTransfer(_Event):
    """A peer asks to be transferred (SIP: REFER), told when the channel's transfer handling is left to us."""

    refer_to: ReferTo
    referred_by: ReferredBy
    state: str = ""


@frozen
class Dial(_Event):
    """How dialling `peer` goes: `dialstatus` is "" at first, then RINGING, PROGRESS, ANSWER, BUSY, NOANSWER …"""

    peer: Channel
    dialstatus: str
    caller: Channel | None = None
    dialstring: str = ""
    forward: str = ""
    forwarded: Channel | None = None


@frozen
class BridgeCreated(_Event):
    bridge: Bridge


@frozen
class BridgeDestroyed(_Event):
    bridge: Bridge


@frozen
class BridgeMerged(_Event):
    """All of `bridge_from` is in `bridge` now."""

    bridge: Bridge
    bridge_from: Bridge


@frozen
class BridgeBlindTransfer(_Event):
    channel: Channel
    exten: str
    context: str
    result: str
    is_external: bool
    replace_channel: Channel | None = None
    transferee: Channel | None = None
    bridge: Bridge | None = None


@frozen
class BridgeAttendedTransfer(_Event):
    """`destination_type` says which of the destinations is set: bridge, application, link, threeway, fail."""

    transferer_first_leg: Channel
    transferer_second_leg: Channel
    result: str
    is_external: bool
    destination_type: str
    replace_channel: Channel | None = None
    transferee: Channel | None = None
    transfer_target: Channel | None = None
    transferer_first_leg_bridge: Bridge | None = None
    transferer_second_leg_bridge: Bridge | None = None
    destination_bridge: str = ""
    destination_application: str = ""
    destination_link_first_leg: Channel | None = None
    destination_link_second_leg: Channel | None = None
    destination_threeway_channel: Channel | None = None
    destination_threeway_bridge: Bridge | None = None


@frozen
class PlaybackStarted(_Event):
    """Told for each medium of a list."""

    playback: Playback


@frozen
class PlaybackContinuing(_Event):
    """A medium of a list is over, another follows."""

    playback: Playback


@frozen
class PlaybackFinished(_Event):
    """The playback is over; `playback.state` is "failed" when there was nothing to play."""

    playback: Playback


@frozen
class RecordingStarted(_Event):
    recording: LiveRecording


@frozen
class RecordingFinished(_Event):
    recording: LiveRecording


@frozen
class RecordingFailed(_Event):
    recording: LiveRecording


@frozen
class ApplicationReplaced(_Event):
    """Another socket registered our application: this one stays open, and silent."""


@frozen
class ApplicationRegistered(_Event):
    pass


@frozen
class ApplicationUnregistered(_Event):
    pass


@frozen
class CallBroadcast(_Event):
    """StasisBroadcast offers a channel to whoever claims it first."""

    channel: Channel
    caller: str = ""
    called: str = ""


@frozen
class CallClaimed(_Event):
    channel: Channel
    winner_app: str


@frozen
class UnknownEvent:
    """A message of a type that is not in this union. `ids` are those of the things it names."""

    type: str
    ids: tuple[str, ...]
    raw: Mapping[str, object]


KnownEvent: TypeAlias = (
    StasisStart
    | StasisEnd
    | ApplicationMoveFailed
    | ChannelCreated
    | ChannelDestroyed
    | ChannelStateChange
    | ChannelHangupRequest
    | ChannelDtmfReceived
    | ChannelHold
    | ChannelUnhold
    | ChannelEnteredBridge
    | ChannelLeftBridge
    | ChannelTalkingStarted
    | ChannelTalkingFinished
    | ChannelToneDetected
    | ChannelVarset
    | ChannelUserevent
    | ChannelDialplan
    | ChannelCallerId
    | ChannelConnectedLine
    | ChannelTransfer
    | Dial
    | BridgeCreated
    | BridgeDestroyed
    | BridgeMerged
    | BridgeBlindTransfer
    | BridgeAttendedTransfer
    | PlaybackStarted
    | PlaybackContinuing
    | PlaybackFinished
    | RecordingStarted
    | RecordingFinished
    | RecordingFailed
    | ApplicationReplaced
    | ApplicationRegistered
    | ApplicationUnregistered
    | CallBroadcast
    | CallClaimed
)
Event: TypeAlias = KnownEvent | UnknownEvent

#: By the name Asterisk gives them.
KNOWN: Final[Mapping[str, type[KnownEvent]]] = {kind.__name__: kind for kind in get_args(KnownEvent)}


def parse_event(text: str | bytes) -> Event:
    """The event in one message. Raises MessageError, which names event and field."""
    try:
        message = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise MessageError("message", f"is not JSON: {error}") from None
    kind = message.get("type") if isinstance(message, dict) else None
    if not isinstance(kind, str):
        raise MessageError("message", "has no type")
    if (known := KNOWN.get(kind)) is not None:
        return structure(known, message, kind)
    return UnknownEvent(kind, tuple(_ids_in(message)), message)


def subjects(event: Event) -> tuple[str, ...]:
    """The ids an event is about: of channels and bridges, of playbacks and their targets, names of recordings.

    They share one name space: ours say what they are of, and Asterisk's own differ in shape.
    """
    if isinstance(event, UnknownEvent):
        return event.ids
    return tuple(_ids_of(event))


def _ids_of(thing: KnownEvent | ReferTo | ReferredBy) -> Iterator[str]:
    for each in attrs.fields(type(thing)):
        match getattr(thing, each.name):
            case Channel(id=id_) | Bridge(id=id_):
                yield id_
            case Playback(id=id_, target_uri=target) | LiveRecording(name=id_, target_uri=target):
                yield id_
                yield _target(target)
            case ReferTo() | ReferredBy() as nested:
                yield from _ids_of(nested)
            case _:
                pass


def _ids_in(message: Mapping[str, object]) -> Iterator[str]:
    for value in message.values():
        if isinstance(value, dict) and isinstance(id_ := value.get("id"), str):
            yield id_


def _target(uri: str) -> str:
    """channel:ID and bridge:ID to ID."""
    return uri.partition(":")[2]
