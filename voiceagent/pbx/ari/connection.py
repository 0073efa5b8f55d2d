"""Where it all comes together: requests, events and handles of one application in one Asterisk."""

import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import trio

from voiceagent.groups import unwrapped
from voiceagent.journal import Journal
from voiceagent.pbx.ari.client import open_client
from voiceagent.pbx.ari.dispatch import Dispatch
from voiceagent.pbx.ari.handles import Ari
from voiceagent.pbx.ari.stream import EventStream, Snapshot, StreamState
from voiceagent.pbx.ari.websocket import open_websocket
from voiceagent.wire.ari.events import Event


@asynccontextmanager
async def open_ari(
    url: str,
    user: str,
    password: str,
    app: str,
    *,
    instance: str,
    on_unclaimed: Callable[[Event], None],
    on_connected: Callable[[Snapshot], Awaitable[None]],
    on_state: Callable[[StreamState], None],
    journal: Journal,
) -> AsyncIterator[Ari]:
    """Follow the application `app` of the Asterisk whose ARI is at `url` ("http://127.0.0.1:8088/ari").

    Entering does not wait for a connection, which is made, and made again, for ever in the background: `on_state`
    tells. `on_connected` is told what there is after each; until it has returned (10 s at most) `on_unclaimed` gets
    nothing. `on_unclaimed` gets the events nobody is subscribed to, such as a new call's StasisStart. Errors of these
    functions leave this context. None of them is called before the body has come to a checkpoint. Leaving closes all
    connections, and ends nothing in Asterisk.
    """
    async with open_client(url, user, password) as client:
        dispatch = Dispatch(on_unclaimed)
        stream = EventStream(
            app=app,
            client=client,
            dispatch=dispatch,
            connect=lambda: open_websocket(url, user, password, app),
            on_connected=on_connected,
            on_state=on_state,
            journal=journal,
            draw=random.random,
        )
        with unwrapped() as boundary:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(stream.run)
                with boundary.body():
                    yield Ari(app, instance, client, dispatch, stream)
                nursery.cancel_scope.cancel()
