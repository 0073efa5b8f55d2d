"""Requests about recordings: live ones, and what became of them. One that is over is not live any more (404)."""

from voiceagent.wire.ari.commands.request import Request, make


def get(name: str) -> Request:
    return make("GET", "recordings", "live", name)


def stop(name: str) -> Request:
    """Stop and keep it."""
    return make("POST", "recordings", "live", name, "stop")


def discard(name: str) -> Request:
    """Stop and throw it away."""
    return make("DELETE", "recordings", "live", name)


def pause(name: str) -> Request:
    """Leave out what is said now."""
    return make("POST", "recordings", "live", name, "pause")


def resume(name: str) -> Request:
    return make("DELETE", "recordings", "live", name, "pause")


def mute(name: str) -> Request:
    """Put silence where something is said now."""
    return make("POST", "recordings", "live", name, "mute")


def unmute(name: str) -> Request:
    return make("DELETE", "recordings", "live", name, "mute")


def get_stored(name: str) -> Request:
    return make("GET", "recordings", "stored", name)


def delete_stored(name: str) -> Request:
    return make("DELETE", "recordings", "stored", name)
