"""Handles: subscribe, act, wait, as one block; ending what has ended is fine; own ids are recognised."""

import json
from collections.abc import AsyncIterator

import httpx
import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from tests.ari_peer import Pbx, bridge, channel, follower
from voiceagent.pbx.ari.dispatch import MAILBOX
from voiceagent.pbx.ari.errors import AriTimeoutError, BadRequestError, GoneError, NotFoundError, OverflowedError
from voiceagent.pbx.ari.handles import Ari
from voiceagent.wire.ari.events import BridgeDestroyed, ChannelDestroyed, PlaybackFinished, StasisEnd, StasisStart


@pytest.fixture
def pbx(nursery: trio.Nursery) -> Pbx:
    return Pbx(nursery)


@pytest.fixture
async def ari(pbx: Pbx) -> AsyncIterator[Ari]:
    async with follower(pbx) as following:
        await wait_all_tasks_blocked()
        yield Ari("voiceagent", "desk-1", following.client, following.dispatch, following.stream)


def destroyed(id_: str) -> dict[str, object]:
    return {"channel": channel(id_), "cause": 17, "cause_txt": "User busy"}


async def test_an_event_that_comes_before_the_answer_is_not_missed(pbx: Pbx, ari: Ari) -> None:
    media = ari.channel("media")
    async with media.wait_for(StasisStart, within=2.0) as waiting:
        await pbx.tell("StasisStart", channel=channel("media"), args=["uuid"])
        await wait_all_tasks_blocked()
        with pytest.raises(LookupError):
            _ = waiting.event
        await media.open_external_media("127.0.0.1:9092", "slin16", data="uuid")
    assert waiting.event.args == ("uuid",)


async def test_other_events_about_it_and_events_about_others_are_passed_over(pbx: Pbx, ari: Ari) -> None:
    caller = ari.channel("caller")
    async with caller.wait_for(StasisEnd, ChannelDestroyed, within=2.0) as waiting:
        await pbx.tell("StasisEnd", channel=channel("other"))
        await pbx.tell("StasisStart", channel=channel("caller"), args=[])
        await pbx.tell("ChannelDestroyed", **destroyed("caller"))
        await pbx.tell("StasisEnd", channel=channel("caller"))
    assert isinstance(waiting.event, ChannelDestroyed)


async def test_one_can_choose_among_events_of_a_kind(pbx: Pbx, ari: Ari) -> None:
    caller = ari.channel("caller")
    async with caller.wait_for(StasisStart, within=2.0, where=lambda event: event.args == ("b",)) as waiting:
        for argument in "abc":
            await pbx.tell("StasisStart", channel=channel("caller"), args=[argument])
    assert waiting.event.args == ("b",)


async def test_waiting_has_an_end(ari: Ari, autojump_clock: MockClock) -> None:
    started = trio.current_time()
    with pytest.raises(AriTimeoutError, match=r"^StasisStart or StasisEnd about caller: not within 2 s$"):
        async with ari.channel("caller").wait_for(StasisStart, StasisEnd, within=2.0):
            await trio.sleep(1.5)
    assert trio.current_time() - started == pytest.approx(2.0)
    assert not ari.dispatch._mailboxes


async def test_a_time_out_ends_the_block_too(ari: Ari, autojump_clock: MockClock) -> None:
    with pytest.raises(AriTimeoutError):
        async with ari.channel("caller").wait_for(StasisStart, within=2.0):
            await trio.sleep_forever()


async def test_an_error_in_the_block_leaves_as_it_is_and_leaves_nothing(ari: Ari) -> None:
    with pytest.raises(ZeroDivisionError):
        async with ari.channel("caller").wait_for(StasisStart, within=2.0):
            raise ZeroDivisionError
    assert not ari.dispatch._mailboxes


async def test_waiting_for_what_was_destroyed_ends_at_once(pbx: Pbx, ari: Ari) -> None:
    with pytest.raises(GoneError, match=r"^channel target: destroyed with cause 17 User busy$"):
        async with ari.channel("target").wait_for(StasisStart, within=30.0):
            await pbx.tell("ChannelDestroyed", **destroyed("target"))
    with pytest.raises(GoneError, match=r"^bridge b-1: destroyed$"):
        async with ari.bridge("b-1").wait_for(PlaybackFinished, within=30.0):
            await pbx.tell("BridgeDestroyed", bridge=bridge("b-1"))
    async with ari.bridge("b-1").wait_for(BridgeDestroyed, within=30.0) as waiting:
        await pbx.tell("BridgeDestroyed", bridge=bridge("b-1"))
    assert waiting.event.bridge.id == "b-1"


async def test_the_end_of_another_channel_in_an_event_is_not_its_own(
    pbx: Pbx, ari: Ari, autojump_clock: MockClock
) -> None:
    with pytest.raises(AriTimeoutError):
        async with ari.bridge("b-1").wait_for(PlaybackFinished, within=3.0):
            await pbx.tell("ChannelDestroyed", **destroyed("caller"))


async def tell_often(pbx: Pbx, times: int) -> None:
    for _ in range(times):
        await pbx.tell("StasisStart", channel=channel("caller"), args=[])
    await wait_all_tasks_blocked()


async def test_events_that_were_missed_are_not_waited_for(pbx: Pbx, ari: Ari) -> None:
    with pytest.raises(OverflowedError):
        async with ari.channel("caller").wait_for(StasisEnd, within=30.0):
            await tell_often(pbx, MAILBOX + 1)


@pytest.mark.parametrize(("status", "fine"), [(204, True), (404, True), (400, False), (500, False)])
async def test_ending_what_has_ended_is_fine(pbx: Pbx, ari: Ari, status: int, fine: bool) -> None:
    pbx.rest = lambda _: httpx.Response(status)
    ends = [ari.channel("c").hang_up, ari.bridge("b").destroy, ari.playback("p").stop, ari.recording("r").discard]
    for end in ends:
        if fine:
            await end()
        else:
            with pytest.raises(Exception, match=str(status)):
                await end()


async def test_a_hang_up_for_an_unknown_reason_is_a_mistake(pbx: Pbx, ari: Ari) -> None:
    pbx.rest = lambda _: httpx.Response(400, json={"message": "Invalid Reason"})
    with pytest.raises(BadRequestError, match="Invalid Reason"):
        await ari.channel("c").hang_up("tired")


async def test_a_variable_that_is_not_set_is_none_and_a_channel_that_has_gone_an_error(pbx: Pbx, ari: Ari) -> None:
    caller = ari.channel("caller")
    pbx.rest = lambda _: httpx.Response(200, json={"value": "reception"})
    assert await caller.get_variable("VOICEAGENT_AGENT") == "reception"
    pbx.rest = lambda _: httpx.Response(404, json={"message": "Provided variable was not found"})
    assert await caller.get_variable("VOICEAGENT_AGENT") is None
    pbx.rest = lambda _: httpx.Response(404, json={"message": "Provided channel was not found"})
    with pytest.raises(NotFoundError):
        await caller.get_variable("VOICEAGENT_AGENT")


async def test_what_is_made_belongs_to_our_application(pbx: Pbx, ari: Ari) -> None:
    asked: list[httpx.Request] = []

    def take(request: httpx.Request) -> None:
        asked.append(request)

    pbx.rest = take
    target = ari.channel("target")
    await target.originate("PJSIP/200", app_args=("warm", "x"), originator=ari.channel("caller"), values={"A": "b"})
    await target.create("PJSIP/200")
    await target.dial(caller=ari.channel("caller"), timeout_s=20)
    await ari.bridge("b").add(ari.channel("caller"), target)
    await target.play(ari.playback("p"), "sound:a", "digits:1")
    assert [str(request.url).removeprefix("http://pbx:8088/ari") for request in asked] == [
        "/channels?channelId=target&endpoint=PJSIP%2F200&app=voiceagent&appArgs=warm%2Cx&originator=caller",
        "/channels/create?channelId=target&endpoint=PJSIP%2F200&app=voiceagent",
        "/channels/target/dial?caller=caller&timeout=20",
        "/bridges/b/addChannel?channel=caller%2Ctarget",
        "/channels/target/play/p?media=sound%3Aa%2Cdigits%3A1",
    ]
    assert json.loads(asked[0].content) == {"variables": {"A": "b"}}


async def test_own_ids_are_new_and_recognised_and_those_of_an_instance_with_a_similar_name_are_not(ari: Ari) -> None:
    assert ari.new_id("media") != ari.new_id("media")
    assert ari.owns(ari.new_id("media"))
    assert ari.owns("desk-1-bridge-7f2d5d5e-0000-4000-8000-000000000001")
    for other in (
        "desk-1-2-bridge-7f2d5d5e-0000-4000-8000-000000000001",
        "desk-2-bridge-7f2d5d5e-0000-4000-8000-000000000001",
        "desk-1-bridge",
        "1763863334.12",
    ):
        assert not ari.owns(other)


async def test_handles_on_the_same_thing_are_equal(ari: Ari) -> None:
    assert ari.channel("a") == ari.channel("a")
    assert ari.channel("a") != ari.channel("b")
    assert len({ari.channel("a"), ari.channel("a"), ari.bridge("a")}) == 2
