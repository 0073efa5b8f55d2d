"""An AI voice on an Asterisk telephone line.

What is named here is what a program that embeds the service needs; it is imported on first use, so that a command or a
worker process imports only what it runs.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from voiceagent.app import StartError
    from voiceagent.config import Config, ConfigErrors, load_config
    from voiceagent.embedding import Service, open_service, say_with
    from voiceagent.journal import (
        AgentSaid,
        AgentStarted,
        BargeIn,
        CallCrashed,
        CallEnded,
        CallerKeyed,
        CallerSaid,
        CallerSilent,
        CallStarted,
        ConnectionRefused,
        Event,
        Journal,
        ProviderFailed,
        ServiceReady,
        ServiceStopping,
        SpeechEnded,
        SpeechStarted,
        ToolFinished,
        WorkerRestarted,
    )
    from voiceagent.lab.rig import Lab, RigCaller, UnmetError
    from voiceagent.observe.stream import EventsLostError, EventStream
    from voiceagent.providers.legible import LegibleSpeech

__all__ = [
    "AgentSaid",
    "AgentStarted",
    "BargeIn",
    "CallCrashed",
    "CallEnded",
    "CallStarted",
    "CallerKeyed",
    "CallerSaid",
    "CallerSilent",
    "Config",
    "ConfigErrors",
    "ConnectionRefused",
    "Event",
    "EventStream",
    "EventsLostError",
    "Journal",
    "Lab",
    "LegibleSpeech",
    "ProviderFailed",
    "RigCaller",
    "Service",
    "ServiceReady",
    "ServiceStopping",
    "SpeechEnded",
    "SpeechStarted",
    "StartError",
    "ToolFinished",
    "UnmetError",
    "WorkerRestarted",
    "load_config",
    "open_service",
    "say_with",
]

#: Where things are that are no events of the journal.
_HOMES: Final = {
    "Config": "config",
    "ConfigErrors": "config",
    "EventStream": "observe.stream",
    "EventsLostError": "observe.stream",
    "Lab": "lab.rig",
    "LegibleSpeech": "providers.legible",
    "RigCaller": "lab.rig",
    "Service": "embedding",
    "StartError": "app",
    "UnmetError": "lab.rig",
    "load_config": "config",
    "open_service": "embedding",
    "say_with": "embedding",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'voiceagent' has no attribute {name!r}")
    return getattr(import_module(f"voiceagent.{_HOMES.get(name, 'journal')}"), name)
