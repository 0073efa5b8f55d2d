"""Requests about Stasis applications: ours, and others that are registered."""

from collections.abc import Sequence
from typing import Literal

from voiceagent.wire.ari.commands.request import Request, make, variables


def get_all() -> Request:
    return make("GET", "applications")


def get(app: str) -> Request:
    """An application that is not registered is 404."""
    return make("GET", "applications", app)


def filter_events(app: str, which: Literal["allowed", "disallowed"], types: Sequence[str]) -> Request:
    """Tell it these types of events only, or all but these. Replaces what was said of `which` before."""
    return make("PUT", "applications", app, "eventFilter", body={str(which): [{"type": each} for each in types]})


def subscribe(app: str, sources: Sequence[str]) -> Request:
    """`sources`: channel:ID, bridge:ID, endpoint:TECH/NAME …"""
    return make("POST", "applications", app, "subscription", eventSource=sources)


def unsubscribe(app: str, sources: Sequence[str]) -> Request:
    return make("DELETE", "applications", app, "subscription", eventSource=sources)


def claim(app: str, channel: str) -> Request:
    """Take a channel that was broadcast. 204 to the first, 409 to all others, 404 when it is too late.

    Repeated by the winner it is 409: after a lost answer StasisStart alone tells.
    """
    return make("POST", "events", "claim", channelId=channel, application=app)


def tell(
    app: str, event: str, *, sources: Sequence[str] | None = None, values: dict[str, str] | None = None
) -> Request:
    """A ChannelUserevent for an application."""
    return make("POST", "events", "user", event, application=app, source=sources, body=variables(values))
