"""The HTTP side of a service: what it knows of itself, put together and served."""

import socket
from collections.abc import Mapping
from functools import partial
from typing import Final

import trio

from voiceagent.observe.lateness import LatenessWindow
from voiceagent.observe.metrics import Metrics
from voiceagent.pbx.clock import MediaClock
from voiceagent.web.health import Check, CheckResult, health_app
from voiceagent.web.server import serve_http

#: The clock has to turn at least this often while there are lines. It is past what a busy machine takes away at a time.
_STUCK_S: Final = 2.0
#: 99 of 100 frames have to be less late than this: a frame's length, beyond which callers hear gaps.
_LATE_S: Final = 0.02


async def serve_health(
    listener: socket.socket, *, clock: MediaClock, ready: Mapping[str, Check], metrics: Metrics, token: str
) -> None:
    """Answer on `listener` until cancelled, then at once be gone. Closes it.

    The service is ready when all of `ready` are ok, which may change meanwhile, and its frames go out in time.
    """
    metrics.watch(clock.stats)
    window = LatenessWindow(clock.stats)

    def checks() -> Mapping[str, Check]:
        return {**ready, "frames": partial(frames_are_in_time, window)}

    app = health_app(alive=partial(clock_turns, clock), ready=checks, registry=metrics.registry, token=token)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(window.run)
        nursery.start_soon(serve_http, listener, app)


def clock_turns(clock: MediaClock) -> CheckResult:
    """Whether the media clock serves its lines at all."""
    overdue = clock.overdue()
    return CheckResult(overdue < _STUCK_S, f"media clock {overdue:.3f} s behind")


def frames_are_in_time(window: LatenessWindow) -> CheckResult:
    """Whether callers hear an unbroken voice. Without calls they do."""
    late, frames = window.percentile(0.99)
    return CheckResult(late < _LATE_S, f"99 % of {frames} frames at most {late * 1000:.2f} ms late")
