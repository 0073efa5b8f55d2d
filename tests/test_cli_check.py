"""`check` and `dialplan`, without an Asterisk."""

import json
import socket

import pytest

from voiceagent.cli import main

ECHO = ("--set", "audiosocket.agent=echo", "--set", "agents.reception.kind=echo")
ARI = ("--set", "ari.url=http://127.0.0.1:1/ari", "--set", "ari.password=x")


def verdicts(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, dict[str, str]]:
    code = main(["check", "--json", *ECHO, *arguments])
    return code, {finding["check"]: finding["verdict"] for finding in json.loads(capsys.readouterr().out)}


def test_all_is_well_without_ari(capsys: pytest.CaptureFixture[str]) -> None:
    code, found = verdicts(capsys, "--set", "audiosocket.listen=127.0.0.1:0")
    assert code == 0
    assert found == {"config": "ok", "agents": "ok", "audiosocket": "ok", "ari": "ok"}


def test_an_asterisk_that_is_not_there_is_named_with_a_remedy(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", *ECHO, *ARI, "--set", "audiosocket.listen=127.0.0.1:0"]) == 1
    (failed, remedy) = capsys.readouterr().out.splitlines()[-2:]
    assert failed.startswith("failed   ari: http://127.0.0.1:1/ari: ")
    assert remedy.lstrip().startswith("-> see that Asterisk runs")


def test_taken_and_foreign_addresses_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        where = f"127.0.0.1:{taken.getsockname()[1]}"
        options = ("--set", f"http.listen={where}", "--set", "audiosocket.listen=127.0.0.1:0")
        code, found = verdicts(capsys, *options)
    assert (code, found["http"]) == (0, "warning")
    code, found = verdicts(capsys, "--set", "audiosocket.listen=192.0.2.1:9092")
    assert (code, found["audiosocket"]) == (1, "failed")


def test_errors_of_the_configuration_are_findings(capsys: pytest.CaptureFixture[str]) -> None:
    code, found = verdicts(capsys, "--set", "service.max_calls=0")
    assert (code, found) == (1, {"config": "failed"})


def test_the_dialplan_is_that_of_the_configuration(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["dialplan", "--exten", "100"]) == 0
    plain = capsys.readouterr().out
    assert "exten => 100,1,Answer()" in plain
    assert "AudioSocket(${UUID()},127.0.0.1:9092)" in plain
    assert "Stasis" not in plain
    assert main(["dialplan", *ARI, "--set", "ari.app=desk", "--set", "dialplan.listen=127.0.0.1:9"]) == 0
    controlled = capsys.readouterr().out
    assert "Stasis(desk)" in controlled
    assert "AudioSocket(${UUID()},127.0.0.1:9)" in controlled
    assert "voiceagent-human" in controlled


def test_a_bad_configuration_has_no_dialplan(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["dialplan", "--set", "ari.app=a b"]) == 2
    assert "ari.app" in capsys.readouterr().err
