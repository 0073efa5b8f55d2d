"""`check` and `dialplan` on a real Asterisk."""

import json

import pytest

from voiceagent.cli import main
from voiceagent.lab.asterisk import RunningAsterisk


def options(asterisk: RunningAsterisk, *more: str) -> list[str]:
    settings = ("audiosocket.listen=127.0.0.1:0", "agents.reception.kind=echo", f"ari.url={asterisk.ari_url}", *more)
    return [word for setting in settings for word in ("--set", setting)]


def test_a_good_set_up_is_well(asterisk: RunningAsterisk, capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["check", "--json", *options(asterisk, f"ari.password={asterisk.password}", "ari.app=checked")])
    found = {finding["check"]: finding["verdict"] for finding in json.loads(capsys.readouterr().out)}
    assert (code, set(found.values())) == (0, {"ok"})
    assert set(found) == {"config", "agents", "audiosocket", "ari", "modules", "application", "media"}


def test_a_wrong_password_is_named(asterisk: RunningAsterisk, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", *options(asterisk, "ari.password=wrong")]) == 1
    assert "Asterisk does not know 'voiceagent' with this password" in capsys.readouterr().out


def test_an_address_that_asterisk_does_not_reach_is_named(
    asterisk: RunningAsterisk, capsys: pytest.CaptureFixture[str]
) -> None:
    unreachable = ("audiosocket.advertise=127.0.0.1:1", f"ari.password={asterisk.password}", "ari.app=checked")
    assert main(["check", *options(asterisk, *unreachable)]) == 1
    assert "Asterisk cannot connect to 127.0.0.1:1" in capsys.readouterr().out


def test_the_dialplan_loads(asterisk: RunningAsterisk, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["dialplan", *options(asterisk, "ari.password=x", "dialplan.listen=127.0.0.1:9099")]) == 0
    extensions = asterisk.run / "etc" / "extensions.conf"
    before = extensions.read_text()
    try:
        extensions.write_text(f"{before}\n{capsys.readouterr().out}")
        asterisk.cli("dialplan reload")
        assert "Stasis(voiceagent)" in asterisk.cli("dialplan show voiceagent")
        assert "AudioSocket(${UUID()},127.0.0.1:9099)" in asterisk.cli("dialplan show voiceagent-audiosocket")
        assert "voiceagent-human" in asterisk.cli("dialplan show sales@voiceagent-transfer")
    finally:
        extensions.write_text(before)
        asterisk.cli("dialplan reload")
