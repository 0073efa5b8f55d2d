"""The lab's Asterisk as far as it needs no Asterisk: where it comes from, its configuration, its process."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from voiceagent import cli
from voiceagent.lab.asterisk import LabError, Options, instances, read_options
from voiceagent.lab.asterisk.conf import Ports, choose_ports, write_configuration
from voiceagent.lab.asterisk.process import ProcessId, spawn
from voiceagent.lab.asterisk.recipe import asterisk_recipe
from voiceagent.lab.debian import Recipe, apt, fetch_tree, output_of
from voiceagent.lab.locked import locked

RECIPE = Recipe(name="thing", packages=("thing",), programs=("usr/bin/thing",))


def silent(text: str) -> None:
    """Progress that nobody reads."""


def test_the_mirror_is_the_one_with_the_hosts_own_release() -> None:
    targets = (
        "https://packages.example/apt Example bookworm\n"
        "http://mirror.example/security Debian bookworm-security\n"
        "http://mirror.example/debian Debian bookworm\n"
    )
    assert apt.choose_mirror(targets, "bookworm") == "http://mirror.example/debian"


def test_before_the_hosts_first_update_the_release_alone_tells_the_mirror() -> None:
    assert apt.choose_mirror("http://mirror.example/debian $(ORIGIN) trixie\n", "trixie") == (
        "http://mirror.example/debian"
    )


@pytest.mark.parametrize(("targets", "codename"), [("", "trixie"), ("http://u.example Ubuntu noble\n", "noble")])
def test_a_host_without_a_debian_mirror_is_told_so(targets: str, codename: str) -> None:
    with pytest.raises(LabError, match=f"no Debian mirror for {codename}: add one"):
        apt.choose_mirror(targets, codename)


def test_without_apt_the_error_says_what_is_needed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keyring = tmp_path / "keyring"
    keyring.touch()
    monkeypatch.setattr(apt, "_KEYRINGS", (keyring,))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(LabError, match=r"apt-get is missing .*needs a Debian host"):
        fetch_tree(RECIPE, tmp_path / "cache", silent)


def test_without_a_keyring_the_error_names_its_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apt, "_KEYRINGS", (tmp_path / "none.gpg",))
    with pytest.raises(LabError, match="install the package debian-archive-keyring"):
        fetch_tree(RECIPE, tmp_path / "cache", silent)
    assert not list((tmp_path / "cache").glob("*/"))


def test_a_cache_that_cannot_be_is_named(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file")
    with pytest.raises(LabError, match=r"cache: .* \(choose another folder with --cache\)"):
        fetch_tree(RECIPE, tmp_path / "cache", silent)


def test_what_is_there_is_not_fetched_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    (tmp_path / RECIPE.folder).mkdir()
    assert fetch_tree(RECIPE, tmp_path, silent) == tmp_path / RECIPE.folder


def test_apt_is_kept_away_from_the_host(tmp_path: Path) -> None:
    conf = apt._CONF.format(work=tmp_path, keyring="/k", architecture="amd64")
    places = re.findall(r'^Dir::\S+ "(.*)";$', conf, re.MULTILINE)
    assert {place for place in places if not place.startswith(str(tmp_path))} == {"/dev/null", "/k"}
    assert "#clear DPkg;" in conf
    assert "#clear APT::Update;" in conf


def test_every_module_that_is_loaded_is_kept_and_named_once() -> None:
    modules = [Path(path).name for path in asterisk_recipe().programs]
    assert len(set(modules)) == len(modules) > 80
    assert {"chan_pjsip.so", "app_audiosocket.so", "res_ari_channels.so", "asterisk"} <= set(modules)


@pytest.mark.parametrize(
    ("command", "told"),
    [
        (["/nonexistent/program"], "program is missing (try this)"),
        (["sh", "-c", "echo W: x >&2; echo E: broken >&2; echo E: more >&2; exit 1"], "sh: E: broken (try this)"),
        (["sh", "-c", "echo first; echo last; exit 3"], "sh: last (try this)"),
        (["sh", "-c", "exit 3"], "sh: exit code 3 (try this)"),
        (["sleep", "60"], "sleep took longer than 0.01 s (try this)"),
    ],
)
def test_a_program_that_fails_is_told_in_one_line(command: list[str], told: str) -> None:
    with pytest.raises(LabError) as raised:
        output_of(command, within=0.01 if command[0] == "sleep" else 60, remedy="try this")
    assert str(raised.value) == told


def test_settings_are_read_by_name() -> None:
    assert read_options({"app": "va-1", "sip_port": "5070"}) == Options(app="va-1", sip_port=5070)


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"nonsense": "1"}, "no setting 'nonsense': there are app, audiosocket"),
        ({"sip_port": "many"}, "sip_port: 'many' is no port"),
        ({"sip_port": "65536"}, "sip_port: '65536' is no port"),
        ({"app": "a,b)\n"}, "app: .* characters"),
    ],
)
def test_a_wrong_setting_is_named(settings: dict[str, str], told: str) -> None:
    with pytest.raises(LabError, match=told):
        read_options(settings)


def test_the_configuration_is_complete_and_for_its_owner_only(tmp_path: Path) -> None:
    (tmp_path / "tree/usr/lib/some-linux-gnu/asterisk/modules").mkdir(parents=True)
    run = tmp_path / "run"
    write_configuration(run, tmp_path / "tree", Options(app="va-7"), Ports(1, 2, 3, 4000), "hidden")
    written = {path.name: path.read_text() for path in (run / "etc").iterdir()}
    assert not [name for name, text in written.items() if re.search(r"@[A-Z_]+@", text)]
    assert "\nAPP = va-7\n" in written["extensions.conf"]
    assert "bind = 127.0.0.1:2\n" in written["pjsip.conf"]
    assert "rtpend = 4999\n" in written["rtp.conf"]
    assert run.stat().st_mode & 0o777 == 0o700


def test_a_run_directory_too_deep_for_a_socket_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    deep = tmp_path / ("x" * 100)
    with pytest.raises(LabError, match="too long for a Unix socket"):
        write_configuration(deep, tmp_path, Options(), Ports(1, 2, 3, 4), "p")
    assert not deep.exists()


def test_ports_differ_and_those_that_were_asked_for_are_taken() -> None:
    ports = choose_ports(Options(ari_port=4711))
    assert ports.ari == 4711
    assert len({ports.ari, ports.sip, ports.agent, ports.rtp}) == 4


def test_a_process_ends_when_it_is_asked_to(tmp_path: Path) -> None:
    process = spawn(["/bin/sh", "-c", "echo here; exec sleep 600"], {}, tmp_path / "log")
    assert process.is_running
    process.end(patience=60)
    assert not process.is_running


def test_a_process_that_will_not_end_is_killed(tmp_path: Path) -> None:
    process = spawn(["/bin/sh", "-c", "trap '' TERM; echo deaf; while :; do sleep 1; done"], {}, tmp_path / "log")
    while not (tmp_path / "log").read_text():
        assert process.is_running
    process.end(patience=0.01)
    assert not process.is_running


def test_a_number_that_now_is_another_process_is_left_alone() -> None:
    other = subprocess.Popen(["sleep", "600"])
    try:
        stranger = ProcessId(other.pid, started=1)
        assert not stranger.is_running
        stranger.end(patience=0)
        stranger.kill()
        assert other.poll() is None
    finally:
        other.send_signal(signal.SIGKILL)
        other.wait()


def test_the_second_waits_for_the_first_and_gives_up_in_time(tmp_path: Path) -> None:
    waited = []
    with (
        locked(tmp_path / "lock", within=0, waiting=lambda: None),
        pytest.raises(LabError, match="held by another process"),
        locked(tmp_path / "lock", within=0, waiting=lambda: waited.append("told")),
    ):
        pass
    assert waited == ["told"]
    with locked(tmp_path / "lock", within=0, waiting=lambda: None):
        pass


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "state"


def test_what_is_not_up_cannot_be_stopped(state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["lab", "down", "--name", "x"]) == 1
    assert capsys.readouterr().err == "voiceagent lab: there is no 'x': none is running\n"


def test_a_name_is_no_path(state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["lab", "down", "--name", "../x"]) == 1
    assert "'../x' is no name" in capsys.readouterr().err


def test_nothing_runs_where_nothing_was_started(state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["lab", "status", "--json"]) == 0
    assert capsys.readouterr().out == "[]\n"


def test_one_that_died_is_listed_as_dead_and_its_files_are_removed(
    state: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = instances.instances_folder() / "gone"
    run.mkdir(parents=True)
    site = {"tree": "/t", "run": str(run), "options": {}, "ports": {"ari": 1, "sip": 2, "agent": 3, "rtp": 4}}
    process = {"pid": os.getpid(), "started": 1}
    note = {"site": site | {"password": "p"}, "process": process, "version": "22"}
    (run / "lab.json").write_text(json.dumps(note))
    assert cli.main(["lab", "status"]) == 0
    assert re.search(r"^running +False$", capsys.readouterr().out, re.MULTILINE)
    assert cli.main(["lab", "down", "--name", "gone"]) == 0
    assert capsys.readouterr().out == "gone: had ended already\n"
    assert not run.exists()


def test_a_note_that_cannot_be_read_is_named(state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = instances.instances_folder() / "odd"
    run.mkdir(parents=True)
    (run / "lab.json").write_text("{")
    assert cli.main(["lab", "down", "--name", "odd"]) == 1
    assert f"{run}/lab.json is not as it was written" in capsys.readouterr().err


def test_without_apt_the_command_says_why_in_one_line(state: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "voiceagent", "lab", "up"],
        env={"PATH": str(tmp_path), "HOME": str(tmp_path), "PYTHONPATH": str(Path(__file__).parent.parent)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.startswith("voiceagent lab: ")
    assert done.stderr.count("\n") == 1
