"""open_ari as a context: it begins without Asterisk, ends at once, and lets errors out as they were raised."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio

from voiceagent.journal import AriLost, Event, Journal
from voiceagent.pbx.ari.connection import open_ari
from voiceagent.pbx.ari.errors import AriUnavailableError
from voiceagent.pbx.ari.handles import Ari
from voiceagent.pbx.ari.stream import Snapshot, StreamState


class StateError(Exception):
    """Of the owner."""


async def free_port() -> int:
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    async with listener:
        return int(listener.socket.getsockname()[1])


@asynccontextmanager
async def opened(journal: Journal, *, fail: bool = False) -> AsyncIterator[Ari]:
    async def on_connected(_: Snapshot) -> None:
        raise AssertionError("there is nobody to connect to")

    def on_state(_: StreamState) -> None:
        if fail:
            raise StateError

    async with open_ari(
        f"http://127.0.0.1:{await free_port()}/ari",
        "voiceagent",
        "secret",
        "voiceagent",
        instance="desk-1",
        on_unclaimed=lambda _: None,
        on_connected=on_connected,
        on_state=on_state,
        journal=journal,
    ) as ari:
        yield ari


async def test_it_begins_without_asterisk_and_says_so() -> None:
    lost = trio.Event()

    def journal(event: Event) -> None:
        assert isinstance(event, AriLost)
        lost.set()

    async with opened(journal) as ari:
        assert ari.state == StreamState()
        with pytest.raises(AriUnavailableError, match=r"^POST /channels/c-1/answer: "):
            await ari.channel("c-1").answer()
        with trio.fail_after(60.0):
            await lost.wait()
        assert ari.state.last_error.startswith("event socket: ")
        assert not ari.state.ready


async def test_an_error_of_the_body_leaves_as_it_was_raised() -> None:
    with pytest.raises(StateError):
        async with opened(lambda _: None):
            raise StateError


async def test_an_error_of_the_owner_leaves_as_it_was_raised() -> None:
    with pytest.raises(StateError):
        async with opened(lambda _: None, fail=True):
            await trio.sleep_forever()
