"""ARI as values: what Asterisk says becomes events, what it is asked becomes requests within its limits."""

import json
from collections.abc import Mapping
from typing import Any

import pytest

from voiceagent.wire.ari import events
from voiceagent.wire.ari.commands import applications, bridges, channels
from voiceagent.wire.ari.commands.request import MAX_BODY, Request, RequestTooLongError
from voiceagent.wire.ari.events import KNOWN, UnknownEvent, parse_event, subjects
from voiceagent.wire.ari.models import CallerId, Channel, DialplanPosition
from voiceagent.wire.ari.structure import MessageError

CHANNEL: Mapping[str, Any] = {
    "id": "1763863334.12",
    "name": "PJSIP/desk-00000001",
    "state": "Up",
    "protocol_id": "abc@127.0.0.1",
    "caller": {"name": "Ann", "number": "100"},
    "connected": {"name": "", "number": ""},
    "accountcode": "",
    "dialplan": {"context": "in", "exten": "1000", "priority": 3, "app_name": "Stasis", "app_data": "voiceagent,x"},
    "creationtime": "2026-11-23T02:06:55.908+0000",
    "language": "en",
}
BRIDGE = {"id": "b-1", "technology": "simple_bridge", "bridge_type": "mixing", "name": "", "channels": ["c-1", "c-2"]}
PLAYBACK = {"id": "p-1", "media_uri": "sound:beep", "target_uri": "channel:c-1", "language": "en", "state": "playing"}
RECORDING = {"name": "r-1", "format": "wav", "state": "recording", "target_uri": "bridge:b-1"}


def message(kind: str, **fields: object) -> str:
    return json.dumps({"type": kind, "application": "voiceagent", "timestamp": "2026", "asterisk_id": "x", **fields})


def test_a_channel_coming_to_us_is_told_with_its_arguments_and_who_calls() -> None:
    event = parse_event(message("StasisStart", channel=CHANNEL, args=["inbound", "100"]))
    assert event == events.StasisStart(
        Channel(
            id="1763863334.12",
            name="PJSIP/desk-00000001",
            state="Up",
            caller=CallerId("Ann", "100"),
            connected=CallerId("", ""),
            dialplan=DialplanPosition("in", "1000", 3, "Stasis", "voiceagent,x"),
            creationtime="2026-11-23T02:06:55.908+0000",
            language="en",
        ),
        ("inbound", "100"),
        application="voiceagent",
        timestamp="2026",
    )


@pytest.mark.parametrize(
    ("text", "ids"),
    [
        (message("ChannelEnteredBridge", channel={**CHANNEL, "id": "c-1"}, bridge=BRIDGE), ("b-1", "c-1")),
        (message("ChannelEnteredBridge", bridge=BRIDGE), ("b-1",)),
        (message("PlaybackFinished", playback=PLAYBACK), ("p-1", "c-1")),
        (message("RecordingStarted", recording=RECORDING), ("r-1", "b-1")),
        (message("Dial", peer=CHANNEL, dialstatus="", caller={**CHANNEL, "id": "c-1"}), ("1763863334.12", "c-1")),
        (message("ChannelVarset", variable="X", value="y"), ()),
        (message("ApplicationReplaced"), ()),
        (
            message(
                "ChannelTransfer",
                refer_to={"requested_destination": {"destination": "200"}, "bridge": BRIDGE},
                referred_by={"source_channel": CHANNEL},
            ),
            ("b-1", "1763863334.12"),
        ),
    ],
)
def test_an_event_is_about_all_it_names(text: str, ids: tuple[str, ...]) -> None:
    event = parse_event(text)
    assert subjects(event) == ids


def test_an_event_of_another_type_is_kept_with_the_ids_in_it() -> None:
    text = message("ChannelJuggled", channel=CHANNEL, height=3, nobody={"id": 7}, endpoint={"technology": "PJSIP"})
    event = parse_event(text)
    assert isinstance(event, UnknownEvent)
    assert (event.type, event.raw["height"]) == ("ChannelJuggled", 3)
    assert subjects(event) == ("1763863334.12",)


def test_null_is_as_good_as_missing() -> None:
    event = parse_event(message("Dial", peer=CHANNEL, dialstatus="BUSY", caller=None, dialstring=None))
    assert isinstance(event, events.Dial)
    assert (event.caller, event.dialstring) == (None, "")


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("", "message"),
        ("nonsense", "message"),
        ("[" * 100_000, "message"),
        ("7" * 10_000, "message"),
        ("[]", "message"),
        ('{"type": 7}', "message"),
        ('{"type": "StasisEnd"}', "StasisEnd.application"),
        (message("StasisEnd"), "StasisEnd.channel"),
        (message("StasisEnd", channel="c-1"), "StasisEnd.channel"),
        (message("StasisEnd", channel={**CHANNEL, "id": 7}), "StasisEnd.channel.id"),
        (message("StasisEnd", channel={**CHANNEL, "channelvars": []}), "StasisEnd.channel.channelvars"),
        (message("StasisEnd", channel={**CHANNEL, "channelvars": {"a": 1}}), "StasisEnd.channel.channelvars.a"),
        (message("StasisStart", channel=CHANNEL, args="inbound"), "StasisStart.args"),
        (message("StasisStart", channel=CHANNEL, args=["inbound", 7]), "StasisStart.args[1]"),
        (
            message("ChannelDtmfReceived", channel=CHANNEL, digit="5", duration_ms=True),
            "ChannelDtmfReceived.duration_ms",
        ),
    ],
)
def test_a_bad_message_is_an_error_that_names_event_and_field(text: str, where: str) -> None:
    with pytest.raises(MessageError) as error:
        parse_event(text)
    assert error.value.where == where


@pytest.mark.parametrize("kind", sorted(KNOWN))
def test_no_event_is_made_of_nothing_but_its_type(kind: str) -> None:
    with pytest.raises(MessageError, match=f"^{kind}.application: is missing$"):
        parse_event(json.dumps({"type": kind}))


def test_ids_are_encoded_and_lists_are_joined() -> None:
    request = bridges.add("b/1", ["c;2", "Ünit"], mute=True)
    assert request.path == "/bridges/b%2F1/addChannel"
    assert request.target == "/bridges/b%2F1/addChannel?channel=c%3B2%2C%C3%9Cnit&mute=true"


def test_what_is_not_said_is_not_sent() -> None:
    request = channels.originate("c-1", "PJSIP/200", app="voiceagent", timeout_s=20)
    assert request == Request(
        "POST",
        "/channels",
        (("channelId", "c-1"), ("endpoint", "PJSIP/200"), ("app", "voiceagent"), ("timeout", "20")),
        None,
    )


def test_variables_travel_in_the_body() -> None:
    request = channels.originate("c-1", "PJSIP/200", app="voiceagent", values={"NAME": "Zoë"})
    assert json.loads(request.content or b"") == {"variables": {"NAME": "Zoë"}}
    shown = applications.filter_events("voiceagent", "disallowed", ["ChannelVarset"])
    assert json.loads(shown.content or b"") == {"disallowed": [{"type": "ChannelVarset"}]}


def test_an_empty_id_does_not_become_a_request_about_everything() -> None:
    with pytest.raises(ValueError, match="an id is empty"):
        channels.hangup("")


def test_an_item_with_a_comma_would_be_two() -> None:
    with pytest.raises(ValueError, match="media: an item of a list cannot hold a comma"):
        channels.play("c-1", "p-1", ["sound:a,b"])


def test_a_request_line_that_asterisk_would_not_read_is_refused() -> None:
    assert channels.set_variable("c-1", "X", "y" * 3900)
    with pytest.raises(RequestTooLongError, match="request line is longer"):
        channels.set_variable("c-1", "X", "ü" * 700)


def test_a_body_that_asterisk_would_not_read_is_refused() -> None:
    room = MAX_BODY - len('{"variables": {"X": ""}}')
    assert channels.originate("c-1", "PJSIP/200", app="voiceagent", values={"X": "y" * room})
    with pytest.raises(RequestTooLongError, match="body is longer"):
        channels.originate("c-1", "PJSIP/200", app="voiceagent", values={"X": "y" * (room + 1)})


def test_a_request_is_shown_without_what_may_be_private() -> None:
    assert str(channels.set_variable("c-1", "CARD", "4111")) == "POST /channels/c-1/variable"
