"""Calls as operators send them: Stasis in the dialplan of a real Asterisk, a SIP caller with RTP, the whole service."""

import re
from pathlib import Path
from typing import Literal

import pytest
import trio

from tests.rig.house import heard_speech, open_house, open_wire, recognised, speech
from voiceagent import journal as j
from voiceagent.lab.asterisk import RunningAsterisk, start_asterisk
from voiceagent.lab.sip import SipPhone, open_sip_caller

ANSWERS = (
    "we are open from monday to friday from eight in the morning until half past five and on saturday until noon",
    "you will find us at twelve station road right beside the river",
    "i am putting you through to the workshop",
    "which day would you like to come",
    "would you like sales the workshop or billing",
    "from the central station leave by the main door and turn left into station road",
    "sorry i did not understand that",
)


def words(text: str) -> str:
    return re.sub(r"[^a-z ]", "", text.lower())


@pytest.mark.parametrize(
    ("user", "codec", "media"), [("tester", "PCMU", "slin"), ("hd", "G722", "slin16")], ids=["narrow", "wide"]
)
async def test_a_caller_asks_and_hears_the_answer(
    asterisk: RunningAsterisk, tmp_path: Path, user: str, codec: Literal["PCMU", "G722"], media: str
) -> None:
    async with (
        open_house(asterisk, tmp_path, f"media.format={media}") as house,
        open_sip_caller(asterisk.sip_host, asterisk.sip_port, user=user) as phone,
        phone.call("1000", codec=codec) as call,
    ):
        await call.answered()
        await house.until_said("How can I help you?")
        asked = trio.current_time()
        call.say(await speech("where are you located"))
        await house.until_said("Station Road")
        await house.until_said("What else can I do for you?")
        await call.hang_up()
        await house.until_over()
        assert await house.left_in_asterisk() == []
    (heard,) = [event.text for event in house.events if isinstance(event, j.CallerSaid) and event.text]
    assert heard == "where are you located"
    assert house.ends == ["caller hung up"]
    began = next(event.at for event in house.events if isinstance(event, j.AgentStarted) and event.at > asked)
    answer = next(event for event in house.events if isinstance(event, j.AgentSaid) and event.at > began)
    assert recognised(call.heard.pcm(since=began - 0.2, until=answer.at + 0.2), *ANSWERS) == words(answer.text)


@pytest.mark.parametrize("how", ["rfc4733", "info"])
async def test_keys_arrive_each_exactly_once(asterisk: RunningAsterisk, tmp_path: Path, how: str) -> None:
    user = "info" if how == "info" else "tester"
    async with (
        open_house(asterisk, tmp_path) as house,
        open_sip_caller(asterisk.sip_host, asterisk.sip_port, user=user) as phone,
        phone.call("1000") as call,
    ):
        await house.until_said("How can I help you?")
        if how == "info":
            await call.send_info_dtmf("79")
        else:
            call.send_dtmf("79")
            await call.said()
        await house.until(lambda: len(house.keys) >= 2, "both keys")
        await trio.sleep(1)  # for those that would come twice
        assert house.keys == "79"


async def test_the_front_desk_is_the_dialplans(asterisk: RunningAsterisk, tmp_path: Path, phone: SipPhone) -> None:
    async with open_house(asterisk, tmp_path) as house, phone.call("1000") as call:
        await house.until_said("How can I help you?")
        call.send_dtmf("0")
        ended = await call.over()  # after a beep: see the lab's dialplan
        assert ended.by != "caller"
        await house.until_over()
        assert await house.left_in_asterisk() == []
    assert house.ends == ["transferred"]
    assert "VOICEAGENT_RESULT=TRANSFER" in asterisk.log.read_text()


async def test_an_agent_who_says_goodbye_hangs_up(asterisk: RunningAsterisk, tmp_path: Path, phone: SipPhone) -> None:
    async with open_house(asterisk, tmp_path) as house, phone.call("1001") as call:
        await house.until_said("How can I help you?")
        call.say(await speech("goodbye"))
        ended = await call.over()
        assert ended.by != "caller"
        await house.until_over()
        assert await house.left_in_asterisk() == []
    assert house.ends == ["agent hung up"]
    assert "VOICEAGENT_RESULT=DONE" in asterisk.log.read_text()


async def test_the_longest_call_ends(asterisk: RunningAsterisk, tmp_path: Path, phone: SipPhone) -> None:
    options = ("agents.echo.max_call_s=2", "ari.at_end=hang up")
    async with (
        open_house(asterisk, tmp_path, *options) as house,
        phone.call("1000", headers={"X-Agent": "echo"}) as call,
    ):
        await call.over()
        await house.until_over()
        assert await house.left_in_asterisk() == []
    assert house.ends == ["maximum duration"]


async def test_a_caller_who_gives_up_before_the_answer_leaves_nothing(
    asterisk: RunningAsterisk, tmp_path: Path, phone: SipPhone
) -> None:
    silent = trio.socket.socket()
    await silent.bind(("127.0.0.1", 0))
    silent.listen(1)  # takes the media leg and says nothing: the set-up does not get further
    with silent:
        where = f"audiosocket.advertise=127.0.0.1:{silent.getsockname()[1]}"
        async with open_house(asterisk, tmp_path, where, "ari.ringback=true") as house, phone.call("1001") as call:
            await call.ringing()
            await call.hang_up()
            await house.until_over()
            assert await house.left_in_asterisk() == []
        assert house.ends == ["caller hung up"]
        assert call.dialog.answered_at is None


async def test_hold_and_mute_end_no_call(asterisk: RunningAsterisk, tmp_path: Path, phone: SipPhone) -> None:
    async with open_house(asterisk, tmp_path, "audiosocket.idle_s=1") as house, phone.call("1000") as call:
        await house.until_said("How can I help you?")
        await call.hold()
        await trio.sleep(2)
        await call.unhold()
        call.mute()
        await trio.sleep(2)  # with ARI a quiet call is a live call
        call.mute(on=False)
        call.say(await speech("where are you located"))
        await house.until_said("Station Road")
        assert len(house.service.calls) == 1
        await call.hang_up()
        await house.until_over()
    assert house.ends == ["caller hung up"]


async def test_a_hundred_calls_leave_nothing(asterisk: RunningAsterisk, tmp_path: Path, phone: SipPhone) -> None:
    async with open_house(asterisk, tmp_path) as house:

        async def one(number: int) -> None:
            async with phone.call("1001", headers={"X-Agent": "echo"}) as call:
                await call.answered()
                await trio.sleep(0.05 * (number % 7))
                await call.hang_up()

        for start in range(0, 100, 10):
            async with trio.open_nursery() as nursery:
                for number in range(start, start + 10):
                    nursery.start_soon(one, number)
        await house.until_over()
        assert await house.left_in_asterisk() == []
        assert house.service.clock.stats is not None
        assert not house.service._router.admission.connections
    assert len(house.ends) == 100
    details = {
        event.detail for event in house.events if isinstance(event, j.CallEnded) and event.cause == "set-up failed"
    }
    assert (set(house.ends), details) == ({"caller hung up"}, set())


async def test_a_call_outlives_the_loss_of_ari_and_what_happened_meanwhile_is_made_up_for(
    asterisk: RunningAsterisk, tmp_path: Path, phone: SipPhone
) -> None:
    echo = {"X-Agent": "echo"}
    async with open_wire(asterisk) as wire, open_house(asterisk, tmp_path, url=wire.url) as house:
        stasis = house.service.stasis
        assert stasis is not None
        async with phone.call("1001", headers=echo) as stays, phone.call("1001", headers=echo) as leaves:
            await stays.answered()
            await leaves.answered()
            for call in (stays, leaves):
                await call.until(lambda heard=call.heard: bool(heard.arrivals), "audio")  # type: ignore[misc]
            wire.sever()
            await house.until(lambda: not stasis.ari.state.ready, "the loss of ARI")
            stays.say(await speech("hello"))
            await heard_speech(stays)  # the audio goes on
            await leaves.hang_up()
            async with phone.call("1001") as refused:
                await refused.over()  # the dialplan says that nobody is there
            assert len(house.service.calls) == 2
            wire.cut = False
            await house.until(lambda: stasis.ari.state.ready, "the connection to ARI")
            await house.until(lambda: len(house.service.calls) == 1, "the end of the call whose caller has gone")
            await stays.hang_up()
        await house.until_over()
        assert await house.left_in_asterisk() == []
    assert house.ends == ["caller hung up", "caller hung up"]


async def test_when_asterisk_dies_calls_end_and_when_it_is_back_they_come_again(
    asterisk_tree: Path, tmp_path: Path
) -> None:
    asterisk = await trio.to_thread.run_sync(start_asterisk, asterisk_tree, tmp_path / "pbx")
    try:
        async with (
            open_house(asterisk, tmp_path) as house,
            open_sip_caller(asterisk.sip_host, asterisk.sip_port) as phone,
        ):
            async with phone.call("1000", headers={"X-Agent": "echo"}) as call:
                await call.answered()
                await house.until(lambda: len(house.service.calls) == 1, "a call")
                asterisk.kill()
                await house.until_over()
                await trio.to_thread.run_sync(asterisk.restart)
                stasis = house.service.stasis
                assert stasis is not None
                await house.until(lambda: stasis.ari.state.ready, "the connection to ARI")
                call.be_quiet()
            assert len(house.ends) == 1
            async with phone.call("1000") as call:
                await heard_speech(call)
                await call.hang_up()
            await house.until_over()
    finally:
        with trio.move_on_after(60, shield=True):
            await trio.to_thread.run_sync(asterisk.stop)
