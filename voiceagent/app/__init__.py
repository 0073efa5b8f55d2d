"""The composition root: from a configuration to a running service."""

from voiceagent.app.agents import Provider, StartError
from voiceagent.app.service import Service, open_service

__all__ = ["Provider", "Service", "StartError", "open_service"]
