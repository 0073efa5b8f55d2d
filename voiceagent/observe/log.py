"""The log: a line per event worth reading, `TIME INSTANCE EVENT key=value ...`, and one canonical line per call.

What callers say is not in it: a log is kept longer and read by more people than a conversation should be.
"""

import json
import re
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import TextIO

from voiceagent import journal
from voiceagent.journal import Event, Journal


def log_to(stream: TextIO, instance: str) -> Journal:
    """A journal subscriber that writes the lines of the service `instance` to `stream`, with the time in UTC."""

    def write(event: Event) -> None:
        line = line_of(event)
        if line is not None:
            with suppress(OSError):  # a full disk or a reader that has gone is no reason to drop calls
                stream.write(stamped(line, instance))
                stream.flush()

    return write


def stamped(line: str, instance: str) -> str:
    """A whole line of the log, as of now."""
    now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return f"{now} {instance} {line}\n"


def line_of(event: Event) -> str | None:
    """The line for an event, without time; None for what only matters while a call lasts, or is told elsewhere."""
    match event:
        case journal.ServiceStopping(live_calls=live, drain_s=drain_s):
            return _line("service-stopping", {"live_calls": live, "drain_s": drain_s})
        case journal.ConnectionRefused(peer=peer, reason=reason, detail=detail):
            return _line("connection-refused", {"peer": peer, "reason": reason, "detail": detail})
        case journal.CallStarted(call=call, peer=peer, agent=agent):
            return _line("call-started", {"call": call, "peer": peer, "agent": agent})
        case journal.ProviderFailed(call=call, provider=provider, message=message):
            return _line("provider-failed", {"call": call, "provider": provider, "message": message})
        case journal.WorkerRestarted(provider=provider, reason=reason):
            return _line("worker-restarted", {"provider": provider, "reason": reason})
        case journal.AriConnected(application=application, channels=channels):
            return _line("ari-connected", {"application": application, "channels": channels})
        case journal.AriLost(reason=reason, retry_s=retry_s):
            return _line("ari-lost", {"reason": reason, "retry_s": retry_s})
        case journal.AriReplaced(application=application):
            return _line("ari-replaced", {"application": application})
        case journal.AriEventBad(problem=problem):
            return _line("ari-event-bad", {"problem": problem})
        case journal.AgentUnknown(channel=channel, name=name):
            return _line("agent-unknown", {"channel": channel, "name": name})
        case journal.AriCleanUpFailed(call=call, detail=detail):
            return _line("ari-clean-up-failed", {"call": call, "detail": detail})
        case journal.CallCrashed(call=call, traceback=traceback):
            return _line("call-crashed", {"call": call, "traceback": traceback})
        case journal.CallEnded():
            return _line("call-ended", _call_fields(event))
        case _:
            return None


def _call_fields(ended: journal.CallEnded) -> Mapping[str, object]:
    return {
        "call": ended.call,
        "agent": ended.agent,
        "cause": ended.cause,
        "detail": ended.detail,
        "seconds": ended.seconds,
        "turns": ended.turns,
        "frames_received": ended.frames_received,
        "frames_sent": ended.frames_sent,
        "frames_dropped": ended.frames_dropped,
        **ended.counts,
    }


def _line(event: str, fields: Mapping[str, object]) -> str:
    """`event key=value ...`; empty texts are left out, texts with anything unusual in them are quoted."""
    return " ".join([event, *(f"{key}={_value(value)}" for key, value in fields.items() if value != "")])


def _value(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.3f}".rstrip("0").rstrip(".")
    text = str(value)
    return text if re.fullmatch(r"[\w.:/@+\[\]-]+", text, re.ASCII) else json.dumps(text)
