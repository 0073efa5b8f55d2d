"""Requests about the Asterisk itself."""

from voiceagent.wire.ari.commands.request import Request, make


def info() -> Request:
    return make("GET", "asterisk", "info")


def ping() -> Request:
    return make("GET", "asterisk", "ping")


def modules() -> Request:
    return make("GET", "asterisk", "modules")


def module(name: str) -> Request:
    """A module that is not loaded is 404 or 409."""
    return make("GET", "asterisk", "modules", name)


def get_variable(variable: str) -> Request:
    """Of a global variable or a function; one that is not set has the value ""."""
    return make("GET", "asterisk", "variable", variable=variable)


def set_variable(variable: str, value: str) -> Request:
    return make("POST", "asterisk", "variable", variable=variable, value=value)
