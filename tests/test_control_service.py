"""A whole service with call control configured, and no Asterisk there: who is let in, and what it says of itself."""

import trio

from tests.test_web_service import PATIENCE_S, watching
from voiceagent.lab.caller import open_caller

#: Nothing listens on port 1.
ARI = ("ari.url=http://127.0.0.1:1/ari", "ari.password=x")


async def test_without_asterisk_a_service_with_ari_is_not_ready_and_says_why() -> None:
    async with watching(*ARI) as watched:
        status, checks = await watched.readiness()
        assert (status, checks["ari"], checks["listener"]) == (503, False, True)
        while "127.0.0.1" not in (await watched.ask("/readyz")).json()["ari"]["detail"]:
            await trio.sleep(0.05)  # until it has tried
        assert (await watched.ask("/livez")).status_code == 200


async def test_with_ari_the_main_listener_takes_announced_legs_only_and_the_second_one_everybody() -> None:
    async with watching(*ARI, "dialplan.listen=127.0.0.1:0") as watched:
        async with open_caller(*watched.service.address) as stranger:
            assert not await stranger.pause(PATIENCE_S)  # it was hung up
        assert not watched.service.calls
        assert watched.service.refused == {"not announced": 1}
        assert watched.service.dialplan_address is not None
        async with open_caller(*watched.service.dialplan_address) as caller:
            await watched.has_begun()
            assert [call.agent for call in watched.service.calls.values()] == ["echo"]
            caller.hang_up("eof")
            while watched.service.calls:
                await trio.lowlevel.checkpoint()
