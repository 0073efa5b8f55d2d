"""pytest fixtures for programs that embed voiceagent: `pytest_plugins = ["voiceagent.testing"]` in a conftest.py.

`voiceagent_service` is a running service without a port, whose calls are made with `voiceagent_service.lab.call()`.
Override `voiceagent_config` or `voiceagent_providers` to have it otherwise. With pytest-trio's `autojump_clock` as an
argument of the test everything runs on virtual time.

Needs pytest and pytest-trio (the extra `testing`).
"""

from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import pytest

from voiceagent.app import Provider
from voiceagent.config import Config, load_config
from voiceagent.config.places import DEFAULT_FILE
from voiceagent.embedding import Service, open_service
from voiceagent.providers.legible import LegibleSpeech


@pytest.fixture
def voiceagent_config(tmp_path: Path) -> Config:
    """The default configuration, without a port; what it records goes to the test's folder."""
    return load_config(DEFAULT_FILE, ["audiosocket.listen=", f"service.state_dir={tmp_path / 'voiceagent'}"], {})


@pytest.fixture
def voiceagent_providers() -> Mapping[str, Provider]:
    """Speech in process whose words come through exactly; an empty mapping has the configured ones opened.

    Those may run in processes of their own, which virtual time cannot wait for.
    """
    return {"embedded": LegibleSpeech()}


@pytest.fixture
async def voiceagent_service(
    voiceagent_config: Config, voiceagent_providers: Mapping[str, Provider]
) -> AsyncIterator[Service]:
    """A running service, in which every configured agent is ready."""
    async with open_service(
        voiceagent_config, agents=list(voiceagent_config.agents), providers=voiceagent_providers
    ) as service:
        yield service
