"""Requests about playbacks. One that is over is 404."""

from typing import Literal

from voiceagent.wire.ari.commands.request import Request, make

Operation = Literal["restart", "pause", "unpause", "reverse", "forward"]


def get(playback: str) -> Request:
    return make("GET", "playbacks", playback)


def stop(playback: str) -> Request:
    return make("DELETE", "playbacks", playback)


def control(playback: str, operation: Operation) -> Request:
    return make("POST", "playbacks", playback, "control", operation=operation)
