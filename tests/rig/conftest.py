"""An Asterisk for the session, a phone for each test. They run only where `tests/rig` is asked for by name.

Where no Asterisk can be fetched the tests are skipped, and with CI in the environment they fail.
"""

import os
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from voiceagent.lab.asterisk import LabError, RunningAsterisk, default_cache, fetch, start_asterisk
from voiceagent.lab.baresip import fetch_baresip
from voiceagent.lab.sip import SipPhone, open_sip_caller

_HERE = Path(__file__).parent


def pytest_configure(config: pytest.Config) -> None:
    """Why a test was skipped is always said."""
    config.option.reportchars += "s"


def pytest_ignore_collect(config: pytest.Config) -> bool | None:
    """The tests of the whole repository need neither network nor Asterisk."""
    asked = (Path(argument.partition("::")[0]).absolute() for argument in config.args)
    return None if any(path.is_relative_to(_HERE) for path in asked) else True


def _fetched(fetcher: Callable[[Path, Callable[[str], None]], Path], what: str) -> Path:
    try:
        return fetcher(default_cache(), lambda text: print(f"{what}: {text}"))  # noqa: T201 - shown when it fails
    except LabError as error:
        reason = f"no {what} to test with: {error}"
        if os.environ.get("CI"):
            pytest.fail(reason, pytrace=False)
        pytest.skip(reason)


@pytest.fixture(scope="session")
def asterisk_tree() -> Path:
    """Fetched once, then from the user's cache."""
    return _fetched(fetch, "asterisk")


@pytest.fixture(scope="session")
def baresip_tree() -> Path:
    return _fetched(fetch_baresip, "baresip")


@pytest.fixture(scope="session")
def asterisk(asterisk_tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningAsterisk]:
    """One for all tests that leave it as it was."""
    asterisk = start_asterisk(asterisk_tree, tmp_path_factory.mktemp("pbx"))
    try:
        yield asterisk
    finally:
        asterisk.stop()


@pytest.fixture(autouse=True)
def _asterisk_log(request: pytest.FixtureRequest) -> Iterator[None]:
    """What Asterisk said during the test is shown with what failed."""
    if "asterisk" not in request.fixturenames:
        yield
        return
    asterisk: RunningAsterisk = request.getfixturevalue("asterisk")
    before = asterisk.log.stat().st_size
    yield
    with asterisk.log.open(errors="replace") as log:
        log.seek(before)
        print(log.read(200_000))  # noqa: T201


@pytest.fixture
async def phone(asterisk: RunningAsterisk) -> AsyncIterator[SipPhone]:
    """An anonymous caller with PCMU and keys by RFC 4733."""
    async with open_sip_caller(asterisk.sip_host, asterisk.sip_port) as phone:
        yield phone
