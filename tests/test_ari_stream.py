"""The event socket: connected for ever, and after each connection the owner knows what there is, first of all."""

import httpx
import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from tests.ari_peer import Follower, Pbx, channel, follower, message
from voiceagent.journal import AriConnected, AriEventBad, AriLost, AriReplaced
from voiceagent.pbx.ari.dispatch import HELD, Mailbox
from voiceagent.pbx.ari.errors import AriUnavailableError, OverflowedError
from voiceagent.pbx.ari.stream import PING_S, PONG_S, SYNCHRONISE_S, Snapshot, StreamState, backoff_s
from voiceagent.pbx.ari.websocket import open_websocket
from voiceagent.wire.ari import events
from voiceagent.wire.ari.events import ApplicationReplaced, StasisEnd, StasisStart, UnknownEvent

UP = StreamState(connected=True)


def started(following: Follower) -> list[str]:
    return [event.channel.id for event in following.of(StasisStart)]


@pytest.fixture
def pbx(nursery: trio.Nursery) -> Pbx:
    return Pbx(nursery)


async def test_the_owner_is_told_what_there_is_and_then_that_all_is_well(pbx: Pbx) -> None:
    pbx.channel_ids, pbx.bridge_ids = ["c-1"], ["b-1"]
    async with follower(pbx) as following:
        await wait_all_tasks_blocked()
        assert [type(each) for each in following.told] == [Snapshot, StreamState, AriConnected]
        (snapshot,), (told,) = following.of(Snapshot), following.of(AriConnected)
        assert snapshot.application.channel_ids == ("c-1",)
        assert [each.id for each in snapshot.channels] == ["c-1"]
        assert [each.id for each in snapshot.bridges] == ["b-1"]
        assert following.of(StreamState) == [following.stream.state] == [UP]
        assert (told.application, told.channels) == ("voiceagent", 1)
        assert pbx.resources == ["/ari/events?app=voiceagent"]


async def test_an_event_goes_to_its_subscriber_or_to_the_owner(pbx: Pbx) -> None:
    async with follower(pbx) as following:
        await wait_all_tasks_blocked()
        with following.dispatch.subscribe("c-1") as call:
            await pbx.tell("StasisEnd", channel=channel("c-1"))
            await pbx.tell("StasisStart", channel=channel("c-2"), args=[])
            await wait_all_tasks_blocked()
            assert isinstance(call.receive_nowait(), StasisEnd)
        assert started(following) == ["c-2"]


async def test_new_calls_wait_until_the_owner_knows_what_there_is_and_live_ones_do_not(pbx: Pbx) -> None:
    async with follower(pbx) as following:
        pbx.answering = trio.Event()
        with following.dispatch.subscribe("live") as call:
            await wait_all_tasks_blocked()
            await pbx.tell("StasisStart", channel=channel("new"), args=[])
            await pbx.tell("StasisEnd", channel=channel("live"))
            await wait_all_tasks_blocked()
            assert isinstance(call.receive_nowait(), StasisEnd)
            assert following.told == []
            pbx.answering.set()
            await wait_all_tasks_blocked()
        assert [type(each) for each in following.told] == [Snapshot, StreamState, AriConnected, StasisStart]


async def test_a_call_taken_over_by_the_owner_gets_what_was_told_meanwhile(pbx: Pbx) -> None:
    adopted: list[Mailbox] = []
    pbx.channel_ids = ["c-1"]
    async with follower(pbx, lambda _: adopted.append(following.dispatch.subscribe("c-1"))) as following:
        pbx.answering = trio.Event()
        await wait_all_tasks_blocked()
        await pbx.tell("StasisEnd", channel=channel("c-1"))
        await wait_all_tasks_blocked()
        pbx.answering.set()
        await wait_all_tasks_blocked()
        assert isinstance(adopted[0].receive_nowait(), StasisEnd)


async def test_a_lost_connection_is_made_again_and_stock_is_taken_again(pbx: Pbx, autojump_clock: MockClock) -> None:
    async with follower(pbx) as following:
        await wait_all_tasks_blocked()
        pbx.channel_ids.append("c-1")
        await pbx.sockets[-1].aclose(1001)
        await trio.sleep(1.0)
        first, second = following.of(Snapshot)
        assert (first.application.channel_ids, second.application.channel_ids) == ((), ("c-1",))
        lost = StreamState(connected=False, last_error="event socket: closed, GOING_AWAY")
        assert following.of(StreamState) == [UP, lost, UP]
        (told,) = following.of(AriLost)
        assert (told.reason, told.retry_s) == ("event socket: closed, GOING_AWAY", 0.4)


async def test_it_is_tried_for_ever_and_ever_less_often(pbx: Pbx, autojump_clock: MockClock) -> None:
    pbx.unavailable = 100
    async with follower(pbx) as following:
        await trio.sleep(1000.0)
        assert following.stream.state == UP
        waits = [told.retry_s for told in following.of(AriLost)]
        assert waits[:6] == [0.4, 0.8, 1.6, 3.2, 6.4, 10.0]
        assert waits[6:] == [10.0] * 94
        pbx.unavailable = 1
        await pbx.sockets[-1].aclose()
        await trio.sleep(2.0)
        retries = [told.retry_s for told in following.of(AriLost)]
        assert retries[100:] == [0.4, 0.8]


def test_back_off_grows_within_its_bounds_and_never_overflows() -> None:
    assert [backoff_s(failures, 0.0) for failures in range(6)] == [0.2, 0.4, 0.8, 1.6, 3.2, 5.0]
    assert [backoff_s(failures, 1.0) for failures in range(6)] == [0.4, 0.8, 1.6, 3.2, 6.4, 10.0]
    assert backoff_s(10**9, 0.5) == 7.5


async def test_a_peer_that_answers_no_ping_is_given_up(pbx: Pbx, autojump_clock: MockClock) -> None:
    async with follower(pbx) as following:
        await wait_all_tasks_blocked()
        await trio.sleep(3 * PING_S)
        assert following.of(AriLost) == []
        pbx.sockets[-1]._reader_running = False  # it is there, and reads no more
        await pbx.sockets[-1].send_message(message("ApplicationRegistered"))
        await trio.sleep(PING_S)
        pbx.deaf = True
        await trio.sleep(PING_S + PONG_S + 0.1)
        lost = following.of(AriLost)[0]
        assert lost.reason == "ping: no answer within 5 s"


async def test_a_peer_that_accepts_and_says_nothing_is_given_up(pbx: Pbx, autojump_clock: MockClock) -> None:
    pbx.deaf = True
    async with follower(pbx) as following:
        await trio.sleep(5.1)
        assert following.stream.state.last_error == "event socket: no handshake within 5 s"
        pbx.deaf = False
        await trio.sleep(1.0)
        assert following.stream.state == UP


async def test_stock_that_cannot_be_taken_is_a_lost_connection(pbx: Pbx, autojump_clock: MockClock) -> None:
    pbx.rest = lambda _: httpx.Response(500, json={"message": "no"})
    async with follower(pbx) as following:
        await trio.sleep(0.1)
        assert following.stream.state.last_error == "GET /applications/voiceagent: 500 no"
        assert following.of(Snapshot) == []
        pbx.rest = lambda _: None
        await trio.sleep(1.0)
        assert following.stream.state == UP


async def test_an_owner_that_does_not_come_back_is_a_lost_connection(pbx: Pbx, autojump_clock: MockClock) -> None:
    async with follower(pbx) as following:
        waits = 1

        async def on_connected(snapshot: Snapshot) -> None:
            nonlocal waits
            waits -= 1
            if waits >= 0:
                await trio.sleep_forever()

        following.stream._on_connected = on_connected
        await trio.sleep(SYNCHRONISE_S - 0.1)
        assert following.of(AriLost) == []
        await trio.sleep(1.0)
        assert following.stream.state == UP
        (lost,) = following.of(AriLost)
        assert lost.reason == "taking stock: not done within 10 s"


async def test_an_error_of_the_owner_is_not_hidden(pbx: Pbx) -> None:
    def fail(_: Snapshot) -> None:
        raise ZeroDivisionError

    with pytest.RaisesGroup(ZeroDivisionError, flatten_subgroups=True):
        async with follower(pbx, fail):
            await trio.sleep_forever()


async def test_events_that_cannot_be_read_are_skipped_and_told_once(pbx: Pbx) -> None:
    async with follower(pbx) as following:
        await wait_all_tasks_blocked()
        for text in ("nonsense", message("StasisEnd"), "nonsense", message("StasisEnd", channel=channel("c-1"))):
            await pbx.sockets[-1].send_message(text)
        await wait_all_tasks_blocked()
        assert [event.channel.id for event in following.of(StasisEnd)] == ["c-1"]
        assert following.stream.bad_events == 3
        told = [each.problem for each in following.of(AriEventBad)]
        assert told == [
            "message: is not JSON: Expecting value: line 1 column 1 (char 0)",
            "StasisEnd.channel: is missing",
        ]


async def test_there_is_an_end_to_telling_of_bad_events(pbx: Pbx) -> None:
    async with follower(pbx) as following:
        await wait_all_tasks_blocked()
        for number in range(120):
            await pbx.sockets[-1].send_message(f"{' ' * number}x")
        await wait_all_tasks_blocked()
        assert following.stream.bad_events == 120
        assert len(following.of(AriEventBad)) == 100


async def test_being_replaced_is_told_and_stays_until_the_next_connection(pbx: Pbx, autojump_clock: MockClock) -> None:
    async with follower(pbx) as following:
        await wait_all_tasks_blocked()
        await pbx.tell("ApplicationReplaced")
        await trio.sleep(65.0)
        assert following.stream.state == StreamState(connected=True, replaced=True)
        assert not following.stream.state.ready
        assert [type(each) for each in following.told[3:]] == [StreamState, AriReplaced, ApplicationReplaced]
        await pbx.sockets[-1].aclose()
        await trio.sleep(1.0)
        assert following.stream.state == UP


async def test_more_new_events_than_can_be_held_while_stock_is_taken_are_a_lost_connection(
    pbx: Pbx, autojump_clock: MockClock
) -> None:
    async with follower(pbx) as following:
        pbx.answering = trio.Event()
        await wait_all_tasks_blocked()
        following.dispatch._held = [UnknownEvent("Test", (), {})] * (HELD - 1)
        await pbx.tell("StasisStart", channel=channel("c-1"), args=[])
        await pbx.tell("StasisStart", channel=channel("c-2"), args=[])
        await wait_all_tasks_blocked()
        pbx.answering.set()
        await trio.sleep(1.0)
        (lost,) = following.of(AriLost)
        assert lost.reason == f"events while the state was asked for: more than {HELD} were waiting"
        assert following.stream.state == UP
        assert started(following) == []


async def test_a_flood_of_events_reaches_its_calls_in_order_and_one_that_sleeps_harms_only_itself(pbx: Pbx) -> None:
    calls, each_of = 20, 30
    got: dict[str, list[str]] = {}

    async def follow(mailbox: Mailbox, id_: str) -> None:
        got[id_] = []
        while len(got[id_]) < each_of:
            event = await mailbox.receive()
            assert isinstance(event, events.ChannelDtmfReceived)
            got[id_].append(event.digit)

    async with follower(pbx) as following, trio.open_nursery() as nursery:
        await wait_all_tasks_blocked()
        for number in range(calls):
            nursery.start_soon(follow, following.dispatch.subscribe(f"c-{number}"), f"c-{number}")
        asleep = following.dispatch.subscribe(*(f"c-{number}" for number in range(calls)))
        for number in range(calls * each_of):
            await pbx.tell(
                "ChannelDtmfReceived",
                channel=channel(f"c-{number % calls}"),
                digit=str(number // calls),
                duration_ms=80,
            )
    assert got == {f"c-{number}": [str(digit) for digit in range(each_of)] for number in range(calls)}
    assert following.dispatch.overflows == 1
    with pytest.raises(OverflowedError):
        asleep.receive_nowait()


async def test_cancelling_closes_the_socket(pbx: Pbx) -> None:
    async with follower(pbx):
        await wait_all_tasks_blocked()
    await wait_all_tasks_blocked()
    assert pbx.sockets[0].closed is not None


async def rejecting(stream: trio.SocketStream, answer: bytes) -> None:
    async with stream:
        await stream.receive_some()
        await stream.send_all(answer)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (
            b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\n\r\nno",
            "refused with 401: ari.user or ari.password is wrong",
        ),
        (b"garbage\r\n\r\n", "the peer speaks another protocol: .*"),
    ],
)
async def test_a_peer_that_refuses_or_speaks_something_else_is_an_ari_error(answer: bytes, reason: str) -> None:
    async with trio.open_nursery() as nursery:
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nursery.start_soon(trio.serve_listeners, lambda stream: rejecting(stream, answer), [listener])
        port = listener.socket.getsockname()[1]
        with pytest.raises(AriUnavailableError, match=f"^event socket: {reason}$"):
            async with open_websocket(f"http://127.0.0.1:{port}/ari", "u", "p", "voiceagent"):
                pass
        nursery.cancel_scope.cancel()


async def test_no_peer_is_an_ari_error() -> None:
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port = listener.socket.getsockname()[1]
    await listener.aclose()
    with pytest.raises(AriUnavailableError, match=r"^event socket: all attempts to connect"):
        async with open_websocket(f"http://127.0.0.1:{port}/ari", "u", "p", "voiceagent"):
            pass
