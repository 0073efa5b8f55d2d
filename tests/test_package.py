"""What is installed from a wheel works in an empty folder: nothing but Python files was needed from the checkout."""

import os
import shutil
import signal
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import trio

from tests.serving import PATIENCE_S, REAL_TIME, SOURCE, calling, serving

pytestmark = REAL_TIME


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder a wheel of this checkout was unpacked to. Needs no network: its dependencies are there already."""
    folder = tmp_path_factory.mktemp("package")
    checkout = folder / "checkout"  # a copy: building leaves files behind, and picks up those of the last time
    checkout.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(SOURCE / name, checkout)
    shutil.copytree(SOURCE / "voiceagent", checkout / "voiceagent", ignore=shutil.ignore_patterns("__pycache__"))
    # The build backend that pyproject.toml names, called as pip calls it, without pip.
    build = "import sys; from setuptools.build_meta import build_wheel; build_wheel(sys.argv[1])"
    subprocess.run(
        [sys.executable, "-c", build, str(folder)], cwd=checkout, capture_output=True, check=True, timeout=PATIENCE_S
    )
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "installed")  # all that pip does with a wheel of Python files
    return folder / "installed"


def test_it_is_imported_from_where_it_was_installed(installed: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", "import voiceagent; print(voiceagent.__file__)"],
        env={**os.environ, "PYTHONPATH": str(installed)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=True,
    )
    assert Path(done.stdout.strip()).is_relative_to(installed)


async def test_it_serves_with_the_default_configuration(installed: Path, tmp_path: Path) -> None:
    async with serving("--set", "audiosocket.listen=127.0.0.1:0", cwd=tmp_path, source=installed) as service:
        assert service.ready.endswith(", agent reception")
        async with calling(service):
            pass
        service.stop()
        assert await service.wait_stopped() == 0
    assert not list(tmp_path.iterdir())


async def test_it_demonstrates_itself_until_the_caller_was_heard(installed: Path, tmp_path: Path) -> None:
    """The first turn takes everything that must be in the package; `.ci/run` runs the whole demonstration."""
    demo = await trio.lowlevel.open_process(
        [sys.executable, "-m", "voiceagent", "demo"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(installed), "PYTHONUNBUFFERED": "1"},
        cwd=tmp_path,
    )
    assert demo.stdout is not None
    transcript = ""
    try:
        with trio.fail_after(PATIENCE_S):
            async for more in demo.stdout:
                transcript += more.decode()
                if "understood" in transcript:
                    break
            demo.send_signal(signal.SIGINT)
            assert await demo.wait() == 130
    finally:
        demo.kill()
    assert "  agent  " in transcript
    assert "  caller  " in transcript
