"""`serve` as a process: what it says, how it ends."""

import signal
import socket
from pathlib import Path

import pytest
import trio

from tests.serving import PATIENCE_S, REAL_TIME, calling, serving
from voiceagent.cli import main
from voiceagent.wire.audiosocket import Audio, Hangup

pytestmark = REAL_TIME

ECHO = ("--set", "audiosocket.agent=echo", "--set", "audiosocket.listen=127.0.0.1:0")


async def test_it_says_where_it_listens_and_ends_with_0_when_told(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        systemd.settimeout(PATIENCE_S)
        async with serving(*ECHO, cwd=tmp_path, NOTIFY_SOCKET=str(tmp_path / "notify")) as service:
            assert service.ready == f"voiceagent ready: AudioSocket on 127.0.0.1:{service.port}, agent echo"
            assert systemd.recv(100) == b"READY=1"
            async with calling(service):
                pass
            await service.wait_logged("call-ended")
            service.stop()
            assert await service.wait_stopped() == 0
            assert systemd.recv(100) == b"STOPPING=1"
    events = [line.split()[2] for line in service.log.splitlines()]
    assert events == ["call-started", "call-ended", "service-stopping"]


async def test_a_live_call_may_finish_but_no_other_begins(tmp_path: Path) -> None:
    async with serving(*ECHO, cwd=tmp_path) as service:
        async with calling(service) as leg:
            service.process.send_signal(signal.SIGINT)
            await service.wait_logged("service-stopping")
            with pytest.raises((OSError, trio.BrokenResourceError)):
                async with calling(service):
                    pass
            for _ in range(5):
                assert isinstance(await leg.next(), Audio)
        assert await service.wait_stopped() == 0
    assert 'cause="caller hung up"' in service.log


@pytest.mark.parametrize("signals", [1, 2])
async def test_calls_are_hung_up_when_the_time_to_drain_is_over_or_a_second_signal_comes(
    tmp_path: Path, signals: int
) -> None:
    drain_s = 0 if signals == 1 else 3600
    async with serving(*ECHO, "--set", f"service.drain_s={drain_s}", cwd=tmp_path) as service:
        async with calling(service) as leg:
            for _ in range(signals):
                service.stop()
                await service.wait_logged("service-stopping")
            assert isinstance((await leg.rest())[-1], Hangup)
        assert await service.wait_stopped() == 0
    assert 'cause="service stopped"' in service.log


def test_a_service_that_would_listen_nowhere_is_an_error_of_the_configuration(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["serve", "--set", "audiosocket.listen="]) == 2
    assert capsys.readouterr().err.startswith("audiosocket.listen: expected HOST:PORT")


def test_errors_of_the_configuration_end_it_with_2_and_are_told_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config.toml").write_text("service.max_calls = 0\n")
    assert main(["serve", "--set", "audiosocket.listn=127.0.0.1:0"]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err == (
        "config.toml: service.max_calls: expected between 1 and 10000, got 0\n"
        "--set audiosocket.listn: expected one of the keys listen, advertise, accept, agent, idle_s, max_pending, "
        "allow, got an unknown key; did you mean 'listen'?\n"
    )


def test_errors_of_a_flow_end_it_with_2_and_name_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "shop.toml").write_text("start = 'nowhere'\ncolour = 'red'\n")
    assert main(["serve", "--set", "agents.reception.flow=shop.toml"]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert len(said.err.splitlines()) >= 2
    assert all(line.startswith(f"{tmp_path / 'shop.toml'}: ") for line in said.err.splitlines())


@pytest.mark.parametrize("listen", ["taken", "192.0.2.1:0"])
def test_an_address_it_cannot_have_ends_it_with_1_and_is_named(listen: str, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        if listen == "taken":
            listen = f"127.0.0.1:{other.getsockname()[1]}"
        arguments = ["--set", "audiosocket.agent=echo", "--set", f"audiosocket.listen={listen}"]
        assert main(["serve", *arguments]) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith(f"voiceagent cannot start: cannot listen for AudioSocket on {listen}: ")
    assert said.err.count("\n") == 1
