"""Call control: the connection to Asterisk and the calls that come through it, as configured."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import trio

from voiceagent.calls.call import Agent, CallLimits
from voiceagent.calls.entering import StasisSettings
from voiceagent.calls.router import Router
from voiceagent.calls.stasis import StasisCalls
from voiceagent.config import Config
from voiceagent.pbx.ari.connection import open_ari
from voiceagent.pbx.ari.stream import Snapshot, StreamState
from voiceagent.wire.ari.events import Event


@asynccontextmanager
async def open_stasis_calls(
    config: Config, agents: Mapping[str, Agent], router: Router, media_host: str
) -> AsyncIterator[StasisCalls]:
    """Calls of the application, their media legs coming in through `router`. Leaving ends them within 2 s.

    `media_host` is where Asterisk reaches us, unless the configuration says otherwise.
    """
    ari = config.ari
    calls: StasisCalls

    def take(event: Event) -> None:
        calls.take(event)

    async def synchronise(there: Snapshot) -> None:
        await calls.synchronise(there)

    async with (
        open_ari(
            ari.url,
            ari.user,
            ari.password,
            ari.app,
            instance=f"{config.service.instance}.{ari.app}",  # two services may share an Asterisk
            on_unclaimed=take,
            on_connected=synchronise,
            on_state=_ignore,
            journal=router.live.journal,
        ) as asterisk,
        trio.open_nursery() as nursery,
    ):
        calls = StasisCalls(
            ari=asterisk,
            nursery=nursery,
            live=router.live,
            admission=router.admission,
            announced=router.announced,
            agents=agents,
            limits={name: CallLimits(config.agents[name].max_call_s, float("inf")) for name in agents},
            run_tool=router.run_tool,
            refuse=router.refuse,
            settings=StasisSettings(
                default_agent=config.audiosocket.agent,
                media_host=config.audiosocket.advertise or media_host,
                media_format=config.media.format,
                at_end=ari.at_end,
                ringback=ari.ringback,
                variables=ari.variables,
            ),
        )
        nursery.start_soon(calls.settle)
        yield calls
        nursery.cancel_scope.cancel()


def _ignore(state: StreamState) -> None:
    """The journal tells of it, and who asks reads `Ari.state`."""
