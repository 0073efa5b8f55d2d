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


@pytest.mark.parametrize(
    ("module", "package", "error"),
    [
        ("espeakng_loader", "espeakng-loader", "ModuleNotFoundError"),
        ("pocketsphinx", "pocketsphinx", "ImportError"),
        ("soxr", "soxr", "ImportError"),
        ("webrtc_noise_gain", "webrtc-noise-gain", "ModuleNotFoundError"),
        ("webrtcvad", "webrtcvad-wheels", "ModuleNotFoundError"),
    ],
)
def test_a_library_that_is_missing_or_does_not_load_is_named_by_its_package(
    tmp_path: Path, module: str, package: str, error: str
) -> None:
    (tmp_path / f"{module}.py").write_text(f"raise {error}('it is not as it should be', name={module!r})")
    done = subprocess.run(
        [sys.executable, "-m", "voiceagent", "serve", "--set", "audiosocket.listen=127.0.0.1:0"],
        env={**os.environ, "PYTHONPATH": f"{tmp_path}:{SOURCE}"},
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.startswith("voiceagent cannot start: ")
    assert package in done.stderr
    assert "it is not as it should be" in done.stderr
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""


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
