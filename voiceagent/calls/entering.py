"""How callers enter: what the dialplan asks for, and the ways to come that are not an event of nobody's."""

from collections.abc import Mapping
from contextlib import suppress
from typing import Final

import trio
from attrs import frozen

from voiceagent.calls.call import Agent
from voiceagent.journal import AgentUnknown, Journal
from voiceagent.pbx.ari.dispatch import Mailbox
from voiceagent.pbx.ari.errors import AriError, OverflowedError
from voiceagent.pbx.ari.handles import Channel
from voiceagent.wire.ari import models
from voiceagent.wire.ari.events import StasisEnd, StasisStart

#: The channel variable that names the agent.
_AGENT: Final = "VOICEAGENT_AGENT"


@frozen
class StasisSettings:
    """`media_host` (HOST:PORT) is where Asterisk connects media legs to; `variables` of the caller become facts."""

    default_agent: str
    media_host: str
    media_format: str
    at_end: str
    ringback: bool
    variables: tuple[str, ...]


async def who_answers(
    start: StasisStart, caller: Channel, agents: Mapping[str, Agent], settings: StasisSettings, journal: Journal
) -> tuple[Agent, dict[str, str]]:
    """The agent that the dialplan asks for, and what is known of the caller."""
    channel = start.channel
    facts = {
        "caller_number": channel.caller.number,
        "caller_name": channel.caller.name,
        "dialled": channel.dialplan.exten,
    }
    named = next((argument for argument in start.args if argument in agents), "")
    wanted = settings.variables if named else (_AGENT, *settings.variables)
    values = dict.fromkeys(wanted, "")

    async def read(name: str) -> None:
        with suppress(AriError):  # the caller has gone, or ARI: the call will find out
            values[name] = await caller.get_variable(name) or ""

    async with trio.open_nursery() as nursery:
        for name in wanted:
            nursery.start_soon(read, name)
    facts |= {name.lower(): values[name] for name in settings.variables}
    wished = named or values.get(_AGENT, "")
    if wished and wished not in agents:
        journal(AgentUnknown(trio.current_time(), channel.name, wished))
    return agents.get(wished, agents[settings.default_agent]), facts


def came_back(events: Mailbox, caller: str, *, has_left: bool) -> StasisStart | None:
    """Whether the caller entered anew, after he had left, among the events that nobody has read."""
    entered: StasisStart | None = None
    with suppress(trio.WouldBlock, OverflowedError):
        while True:
            match events.receive_nowait():
                case StasisEnd(channel=channel) if channel.id == caller:
                    has_left, entered = True, None
                case StasisStart(channel=channel) as event if channel.id == caller and has_left:
                    entered = event
    return entered


def entry_of(channel: models.Channel, app: str) -> StasisStart:
    """The event that was missed, or told to who was here before us."""
    arguments = tuple(channel.dialplan.app_data.split(",")[1:])
    return StasisStart(channel, arguments, application=app, timestamp="")
