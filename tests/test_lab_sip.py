"""The test phone without Asterisk: SIP and SDP as text, a call's dialog, its audio as packets, its sockets."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from voiceagent.audio.pcm import Pcm, level_dbfs, silence
from voiceagent.audio.tones import tone
from voiceagent.lab.connect import LineError
from voiceagent.lab.sip import SipCall, SipPhone, open_sip_caller
from voiceagent.lab.sip.codecs import open_codec
from voiceagent.lab.sip.datagrams import Datagrams, open_pair
from voiceagent.lab.sip.dialog import Dialog, Ended
from voiceagent.lab.sip.media import Heard, Outgoing
from voiceagent.wire.rtp import RtpError, RtpPacket, TelephoneEvent, decode_event, decode_rtp, encode_event
from voiceagent.wire.sdp import AudioDescription, SdpError, decode_sdp, encode_sdp
from voiceagent.wire.sip import (
    Request,
    Response,
    SipError,
    SipMessage,
    decode_sip,
    encode_sip,
    header_of,
    sequence_of,
    tag_of,
    uri_of,
)

#: A test that takes longer has failed.
PATIENCE_S = 30.0
EVENTS = 101
OURS = AudioDescription("127.0.0.1", 4000, {0: "PCMU/8000", EVENTS: "telephone-event/8000"})
THEIRS = AudioDescription("127.0.0.1", 5000, {0: "PCMU/8000", EVENTS: "telephone-event/8000"}, "recvonly")
SDP = encode_sdp(THEIRS, session=1, version=1)
bounded = settings(derandomize=True, deadline=None, max_examples=200, database=None)

INVITE = b"""INVITE sip:1000@127.0.0.1 SIP/2.0\r
v: SIP/2.0/UDP 127.0.0.1:5061;branch=z9hG4bKx\r
f: "A \xc3\xa9" <sip:a@127.0.0.1>;tag=1\r
To:\r
  <sip:1000@127.0.0.1>\r
i: abc\r
cseq: 1 INVITE\r
l: 2\r
\r
hi and what is beyond the length"""


def test_compact_and_folded_headers_are_read() -> None:
    message = decode_sip(INVITE)
    assert isinstance(message, Request)
    assert (message.method, message.uri, message.body) == ("INVITE", "sip:1000@127.0.0.1", b"hi")
    assert header_of(message.headers, "to") == "<sip:1000@127.0.0.1>"
    assert header_of(message.headers, "call-id") == "abc"
    assert tag_of(header_of(message.headers, "from")) == "1"
    assert uri_of(header_of(message.headers, "from")) == "sip:a@127.0.0.1"
    assert sequence_of(message) == (1, "INVITE")


words = st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z")), min_size=1, max_size=8)
headers = st.lists(st.tuples(st.sampled_from(["Via", "X-Agent", "To"]), words), max_size=4).map(tuple)


@bounded
@given(
    st.one_of(
        st.builds(Request, st.sampled_from(["INVITE", "BYE"]), words, headers, st.binary(max_size=9)),
        st.builds(Response, st.integers(100, 699), words, headers, st.binary(max_size=9)),
    )
)
def test_what_is_encoded_is_decoded(message: SipMessage) -> None:
    told = decode_sip(encode_sip(message))
    assert told.headers[:-1] == message.headers  # the last is the length
    assert told.body == message.body
    assert type(told) is type(message)


@bounded
@given(st.one_of(st.binary(max_size=80), st.integers(0, len(INVITE)).map(lambda end: INVITE[:end])))
def test_garbage_is_a_message_or_an_error_of_its_own(data: bytes) -> None:
    try:
        sequence_of(decode_sip(data))
    except SipError:
        return


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"INVITE sip:x SIP/3.0\r\n\r\n",
        b"SIP/2.0 999 Strange\r\n\r\n",
        b"BYE sip:x SIP/2.0\r\nno colon\r\n\r\n",
        b"BYE sip:x SIP/2.0\r\nContent-Length: 9\r\n\r\nshort",
        b"BYE sip:x SIP/2.0\r\nContent-Length: -1\r\n\r\n",
        b"BYE sip:x\xff SIP/2.0\r\n\r\n",
    ],
)
def test_what_is_no_sip_is_refused(data: bytes) -> None:
    with pytest.raises(SipError):
        decode_sip(data)


def test_a_header_cannot_smuggle_in_another() -> None:
    with pytest.raises(ValueError, match="line break"):
        encode_sip(Request("BYE", "sip:x", (("X-Agent", "a\r\nTo: b"),)))


def test_a_description_comes_back_as_it_was() -> None:
    assert decode_sdp(SDP) == THEIRS
    assert THEIRS.payload_type("telephone-event") == EVENTS
    assert THEIRS.payload_type("G722") is None


def test_payload_types_that_are_not_named_have_their_static_names() -> None:
    told = decode_sdp(b"v=0\nc=IN IP4 10.0.0.1\nm=audio 9 RTP/AVP 9 0\nc=IN IP4 10.0.0.2\n")
    assert told == AudioDescription("10.0.0.2", 9, {9: "G722/8000", 0: "PCMU/8000"})


@bounded
@given(st.binary(max_size=80))
def test_a_description_without_audio_is_refused(body: bytes) -> None:
    with pytest.raises(SdpError):
        decode_sdp(b"v=0\r\n" + body)


def a_dialog() -> tuple[Dialog, Request]:
    dialog = Dialog("1000", "tester", ("127.0.0.1", 5060), ("127.0.0.1", 4001), OURS)
    return dialog, dialog.invite((("X-Agent", "echo"),))


def response(request: Request, status: int, body: bytes = b"") -> Response:
    kept = [(name, value) for name, value in request.headers if name in ("Via", "From", "Call-ID", "CSeq")]
    to = ("To", f"{header_of(request.headers, 'to')};tag=theirs")
    return Response(status, "So", (*kept, to, ("Contact", "<sip:here@127.0.0.1:5099>")), body)


def from_peer(dialog: Dialog, method: str, body: bytes = b"") -> Request:
    headers = (("Via", "v"), ("From", "<x>;tag=theirs"), ("To", f"<y>;tag={dialog.tag}"), ("CSeq", f"7 {method}"))
    return Request(method, "sip:tester@127.0.0.1", headers, body)


def test_an_invitation_says_who_calls_and_where_audio_goes() -> None:
    dialog, invite = a_dialog()
    assert invite.uri == "sip:1000@127.0.0.1:5060"
    assert header_of(invite.headers, "x-agent") == "echo"
    assert decode_sdp(invite.body) == OURS
    assert tag_of(header_of(invite.headers, "from")) == dialog.tag


def test_an_answer_is_acknowledged_each_time_it_comes_and_counts_once() -> None:
    dialog, invite = a_dialog()
    dialog.receive(response(invite, 180), 1.0)
    first = dialog.receive(response(invite, 200, SDP), 2.0)
    again = dialog.receive(response(invite, 200, SDP), 3.0)
    for replies in (first, again):
        (ack,) = replies
        assert isinstance(ack, Request)
        assert (ack.method, ack.uri, sequence_of(ack)) == ("ACK", "sip:here@127.0.0.1:5099", (1, "ACK"))
        assert header_of(ack.headers, "via") != header_of(invite.headers, "via")
    assert (dialog.ringing_at, dialog.answered_at, dialog.ended, dialog.remote) == (1.0, 2.0, None, THEIRS)


def test_a_refusal_is_acknowledged_in_its_own_transaction() -> None:
    dialog, invite = a_dialog()
    (ack,) = dialog.receive(response(invite, 486), 1.0)
    assert isinstance(ack, Request)
    assert (ack.method, ack.uri) == ("ACK", invite.uri)
    assert header_of(ack.headers, "via") == header_of(invite.headers, "via")
    assert tag_of(header_of(ack.headers, "to")) == "theirs"
    assert dialog.ended == Ended(1.0, "peer", 486, "So")


def test_giving_up_cancels_the_invitation_in_its_own_transaction() -> None:
    dialog, invite = a_dialog()
    dialog.receive(response(invite, 100), 1.0)
    cancel = dialog.cancel()
    assert (cancel.method, cancel.uri, sequence_of(cancel)) == ("CANCEL", invite.uri, (1, "CANCEL"))
    assert header_of(cancel.headers, "via") == header_of(invite.headers, "via")
    dialog.receive(response(cancel, 200), 2.0)
    assert dialog.ended is None
    dialog.receive(response(invite, 487), 3.0)
    assert dialog.ended == Ended(3.0, "caller", 487, "So")


def test_hold_tells_what_has_changed_in_the_same_dialog() -> None:
    dialog, invite = a_dialog()
    dialog.receive(response(invite, 200, SDP), 1.0)
    again = dialog.invite()
    assert sequence_of(again) == (2, "INVITE")
    assert again.uri == "sip:here@127.0.0.1:5099"
    assert tag_of(header_of(again.headers, "to")) == "theirs"
    assert b"o=- 1 2 " in again.body
    (ack,) = dialog.receive(response(again, 488), 2.0)
    assert sequence_of(ack) == (2, "ACK")
    assert dialog.ended is None  # the call goes on as it was


def test_the_other_side_hangs_up() -> None:
    dialog, invite = a_dialog()
    dialog.receive(response(invite, 200, SDP), 1.0)
    (reply,) = dialog.receive(from_peer(dialog, "BYE"), 2.0)
    assert isinstance(reply, Response)
    assert (reply.status, sequence_of(reply)) == (200, (7, "BYE"))
    assert dialog.ended == Ended(2.0, "peer")
    dialog.bye(3.0)
    assert dialog.ended == Ended(2.0, "peer")


def test_the_other_side_moves_its_audio() -> None:
    dialog, invite = a_dialog()
    dialog.receive(response(invite, 200, SDP), 1.0)
    moved = AudioDescription("127.0.0.1", 6000, {0: "PCMU/8000"})
    (reply,) = dialog.receive(from_peer(dialog, "INVITE", encode_sdp(moved, session=1, version=2)), 2.0)
    assert isinstance(reply, Response)
    assert decode_sdp(reply.body) == OURS
    assert dialog.remote == moved
    assert dialog.receive(from_peer(dialog, "ACK"), 3.0) == []
    (refused,) = dialog.receive(from_peer(dialog, "REFER"), 3.0)
    assert isinstance(refused, Response)
    assert refused.status == 501


def outgoing() -> Outgoing:
    return Outgoing(open_codec("PCMU"), 0, EVENTS, 1)


def sent(source: Outgoing, count: int) -> list[RtpPacket | None]:
    packets = [source.next_packet() for _ in range(count)]
    return [None if packet is None else decode_rtp(packet) for packet in packets]


def test_what_is_said_is_sent_in_packets_on_the_grid_and_then_silence() -> None:
    source = outgoing()
    source.say(tone(8000, 440, 0.05))
    packets = sent(source, 4)
    assert [packet and (packet.timestamp, packet.marker) for packet in packets] == [
        (0, True),
        (160, False),
        (320, False),
        (480, False),
    ]
    levels = [level_dbfs(open_codec("PCMU").decode(packet.payload)) for packet in packets if packet]
    assert min(levels[:3]) > -30
    assert levels[3] == level_dbfs(silence(8000, 0.02).data)
    assert source.is_idle


def test_a_key_has_one_timestamp_and_its_end_is_told_three_times() -> None:
    source = outgoing()
    sent(source, 2)
    source.press("5")
    packets = [packet for packet in sent(source, 12) if packet]
    keys = [packet for packet in packets if packet.payload_type == EVENTS]
    assert {packet.timestamp for packet in keys} == {320}
    assert [packet.marker for packet in keys] == [True] + [False] * 7
    assert [decode_event(packet.payload) for packet in keys] == [
        *(TelephoneEvent("5", 160 * count) for count in range(1, 6)),
        *[TelephoneEvent("5", 800, ended=True)] * 3,
    ]
    assert [packet.sequence for packet in packets] == list(range(3, 15))
    after = packets[8]
    assert (after.payload_type, after.timestamp, after.marker) == (0, 320 + 8 * 160, True)


def test_who_is_mute_sends_nothing_and_loses_nothing_of_what_is_to_be_said() -> None:
    source = outgoing()
    source.say(tone(8000, 440, 0.02))
    source.muted = True
    assert sent(source, 3) == [None] * 3
    source.muted = False
    (packet,) = sent(source, 1)
    assert packet is not None
    assert (packet.timestamp, packet.marker) == (480, True)
    assert level_dbfs(open_codec("PCMU").decode(packet.payload)) > -30


def test_keys_need_the_other_sides_consent() -> None:
    with pytest.raises(ValueError, match="no telephone events"):
        Outgoing(open_codec("PCMU"), 0, None, 1).press("1")


def heard(max_s: float = 10.0) -> Heard:
    return Heard(open_codec("PCMU"), EVENTS, max_s)


def audio(sequence: int, ssrc: int = 1) -> RtpPacket:
    return RtpPacket(0, sequence, 160 * sequence, ssrc, bytes(160))


def test_gaps_are_those_between_arrivals() -> None:
    ear = heard()
    for number, at in enumerate([1.0, 1.02, 1.12, 1.14]):
        ear.add(audio(number), at)
    assert ear.widest_gap() == pytest.approx(0.1)
    assert ear.widest_gap(since=1.12) == pytest.approx(0.02)
    assert ear.widest_gap(until=1.0) == 0.0
    assert ear.lost == 0


def test_lost_packets_are_counted_over_the_turn_of_the_numbers_and_late_ones_are_lost() -> None:
    ear = heard()
    for number in (0xFFFE, 0xFFFF, 1, 0, 2):
        ear.add(audio(number), 1.0)
    assert ear.lost == 1
    ear.add(audio(900, ssrc=2), 2.0)  # another source numbers anew
    assert ear.lost == 1


def test_a_key_that_is_told_eight_times_is_one_key() -> None:
    ear = heard()
    for pressed in (100, 900):
        for at in range(8):
            payload = encode_event(TelephoneEvent("1", 160 * at))
            ear.add(RtpPacket(EVENTS, at, pressed, 1, payload), pressed + at)
    assert ear.keys == [(100, "1"), (900, "1")]


def test_what_is_heard_is_joined_with_silence_where_nothing_came() -> None:
    ear = heard()
    ear.add(audio(0), 5.0)
    ear.add(audio(1), 6.0)
    assert ear.pcm() == Pcm(8000, ear.pcm().data)
    assert ear.pcm().seconds == pytest.approx(1.02)
    assert ear.pcm(since=5.5).seconds == pytest.approx(0.02)


def test_a_call_that_goes_on_for_ever_is_not_kept_for_ever() -> None:
    ear = heard(max_s=0.04)
    for number in range(5):
        ear.add(audio(number), 0.02 * number)
    assert len(ear.arrivals) == 2
    assert ear.dropped == 3


def test_a_format_that_was_not_agreed_on_is_an_error() -> None:
    with pytest.raises(RtpError, match="payload type 13"):
        heard().add(RtpPacket(13, 0, 0, 1, b""), 1.0)


def test_g722_keeps_what_pcmu_cannot_carry() -> None:
    codec = open_codec("G722")
    frames = tone(16000, 6000, 1.0).data
    packets = [codec.encode(frames[at : at + 640]) for at in range(0, len(frames), 640)]
    assert {len(packet) for packet in packets} == {160}
    assert level_dbfs(b"".join(map(codec.decode, packets))) == pytest.approx(level_dbfs(frames), abs=1.0)


class Peer:
    """The other side on a real socket: tells what it got, and answers as it is told."""

    def __init__(self) -> None:
        self.sip = Datagrams("127.0.0.1")
        self.phone: tuple[str, int] = ("", 0)

    async def next(self) -> Request:
        """The next request of the phone."""
        with trio.fail_after(PATIENCE_S):
            await trio.lowlevel.wait_readable(self.sip.socket)
            data, self.phone = self.sip.socket.recvfrom(8192)
        message = decode_sip(data)
        assert isinstance(message, Request)
        return message

    def send(self, message: SipMessage) -> None:
        self.sip.send(encode_sip(message), self.phone)


@asynccontextmanager
async def phone_and_peer() -> AsyncIterator[tuple[SipPhone, Peer]]:
    peer = Peer()
    try:
        async with open_sip_caller(*peer.sip.address, patience=PATIENCE_S) as phone:
            yield phone, peer
    finally:
        peer.sip.close()


async def hung_up(call: SipCall, peer: Peer) -> None:
    """The phone hangs up, and the peer has it so."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(call.hang_up)
        while (bye := await peer.next()).method != "BYE":
            pass
        peer.send(response(bye, 200))


async def test_an_invitation_that_is_lost_is_sent_again() -> None:
    async with phone_and_peer() as (phone, peer), phone.call("1000") as call:
        first, second = await peer.next(), await peer.next()
        assert first == second
        peer.send(response(second, 200, SDP))
        await call.answered()
        assert (await peer.next()).method == "ACK"
        await hung_up(call, peer)
        assert (await call.over()).by == "caller"


async def test_audio_flows_from_the_answer_on_and_stops_with_the_call() -> None:
    rtp, rtcp = open_pair("127.0.0.1")
    theirs = AudioDescription(*rtp.address, {0: "PCMU/8000", EVENTS: "telephone-event/8000"})
    async with phone_and_peer() as (phone, peer), phone.call("1000", tone(8000, 440, 0.1)) as call:
        peer.send(response(await peer.next(), 200, encode_sdp(theirs, session=1, version=1)))
        ours = decode_sdp((call.dialog._invites[1]).body)
        with trio.fail_after(PATIENCE_S):
            packets: list[bytes] = []
            while len(packets) < 5:
                for data, at in await rtp.receive():
                    assert call.dialog.answered_at is not None
                    assert at >= call.dialog.answered_at
                    packets.append(data)
                    rtp.send(data, (ours.host, ours.port))
        await call.until(lambda: len(call.heard.arrivals) >= 5, "what was sent back")
        assert level_dbfs(call.heard.arrivals[0].data) > -30
        assert (await peer.next()).method == "ACK"
        await hung_up(call, peer)
    rtp.close()
    rtcp.close()


async def test_a_call_that_was_answered_while_it_was_given_up_is_hung_up() -> None:
    async with phone_and_peer() as (phone, peer), phone.call("1000") as call:
        invite = await peer.next()
        peer.send(response(invite, 180))
        await call.ringing()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(call.hang_up)
            cancel = await peer.next()
            assert cancel.method == "CANCEL"
            peer.send(response(invite, 200, SDP))
            peer.send(response(cancel, 481))
            while (bye := await peer.next()).method != "BYE":
                assert bye.method in ("ACK", "CANCEL")
            peer.send(response(bye, 200))
        assert (await call.over()).by == "caller"


async def test_a_peer_that_talks_nonsense_is_named() -> None:
    async def converse() -> None:
        async with phone_and_peer() as (phone, peer), phone.call("1000") as call:
            await peer.next()
            peer.sip.send(b"hello\r\n\r\n", peer.phone)
            await call.answered()

    with pytest.raises(LineError, match=r"127\.0\.0\.1:\d+: neither request nor response"):
        await converse()


async def test_a_refusal_is_told_to_whoever_waits_for_an_answer() -> None:
    async with phone_and_peer() as (phone, peer), phone.call("1000") as call:
        peer.send(response(await peer.next(), 486))
        with pytest.raises(LineError, match="1000: ended by the peer: 486 So"):
            await call.answered()
        with pytest.raises(LineError, match="did not ring"):
            await call.ringing()
