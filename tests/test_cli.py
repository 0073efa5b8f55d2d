"""The command line by itself: which command runs, and what is said when it cannot."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.serving import PATIENCE_S, SOURCE
from voiceagent import cli
from voiceagent.cli.systemd import notify


def test_without_a_command_the_usage_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exited:
        cli.main([])
    assert exited.value.code == 2
    assert "serve" in capsys.readouterr().err


def test_an_unknown_command_is_an_error_of_usage(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exited:
        cli.main(["sreve"])
    assert exited.value.code == 2
    assert "sreve" in capsys.readouterr().err


def test_the_version_is_that_of_the_package(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exited:
        cli.main(["--version"])
    assert exited.value.code == 0
    assert capsys.readouterr().out.startswith("voiceagent 0.")


def with_a_bad(module: str, error: str, folder: Path) -> dict[str, str]:
    """An environment in which whoever imports `module` finds that it does not load."""
    (folder / f"{module}.py").write_text(f"raise {error}('it is not as it should be', name={module!r})")
    return {**os.environ, "PYTHONPATH": f"{folder}:{SOURCE}"}


def names_the_package(package: str, said: str) -> bool:
    return (
        said.startswith("voiceagent cannot start: ")
        and package in said
        and "it is not as it should be" in said
        and said.count("\n") == 1
    )


@pytest.mark.parametrize(
    ("module", "package", "error"),
    [("soxr", "soxr", "ImportError"), ("webrtcvad", "webrtcvad-wheels", "ModuleNotFoundError")],
)
def test_a_library_that_is_missing_or_does_not_load_is_named_by_its_package(
    tmp_path: Path, module: str, package: str, error: str
) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "voiceagent", "serve", "--set", "audiosocket.listen=127.0.0.1:0"],
        env=with_a_bad(module, error, tmp_path),
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert done.returncode == 1
    assert names_the_package(package, done.stderr), done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize(
    ("module", "package", "error"),
    [
        ("espeakng_loader", "espeakng-loader", "ModuleNotFoundError"),
        ("pocketsphinx", "pocketsphinx", "ImportError"),
        ("webrtc_noise_gain", "webrtc-noise-gain", "ModuleNotFoundError"),
    ],
)
def test_a_library_that_does_not_load_in_a_worker_is_named_by_its_package(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    module: str,
    package: str,
    error: str,
) -> None:
    monkeypatch.setenv("PYTHONPATH", with_a_bad(module, error, tmp_path)["PYTHONPATH"])
    assert cli.main(["serve", "--set", "audiosocket.listen=127.0.0.1:0"]) == 1
    said = capsys.readouterr()
    assert names_the_package(package, said.err), said.err
    assert said.out == ""


@pytest.mark.parametrize("abstract", [False, True])
def test_systemd_is_told_where_it_listens(tmp_path: Path, *, abstract: bool) -> None:
    address = f"@{tmp_path}/notify" if abstract else f"{tmp_path}/notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(address.replace("@", "\0"))
        systemd.settimeout(5)
        notify("READY=1", {"NOTIFY_SOCKET": address})
        assert systemd.recv(100) == b"READY=1"


@pytest.mark.parametrize("environ", [{}, {"NOTIFY_SOCKET": ""}, {"NOTIFY_SOCKET": "/nowhere/at/all"}])
def test_where_no_systemd_listens_nothing_happens(environ: dict[str, str]) -> None:
    notify("READY=1", environ)
