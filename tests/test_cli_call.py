"""`voiceagent call`: the plan it follows, the figures it gives, and its one-line errors."""

import json
import sys
from pathlib import Path

import pytest
import trio

from tests.lab_peer import BEEP, Peer, open_peer
from tests.serving import REAL_TIME
from voiceagent.audio.pcm import level_dbfs
from voiceagent.audio.tones import tone
from voiceagent.audio.wav import read_wav, write_wav
from voiceagent.cli import main
from voiceagent.cli.call import Plan, figures, place_call
from voiceagent.wire.audiosocket import Dtmf, Hangup, Message

pytestmark = REAL_TIME


async def answer_once(peer: Peer) -> None:
    """An agent that greets, answers the first speech it hears, and listens to the end."""
    await peer.beep()
    await peer.read_until_speech()
    await peer.read_until_silence()
    await peer.beep()
    await peer.read_to_end()


async def test_the_caller_speaks_when_the_agent_has_finished_and_then_hangs_up() -> None:
    async with open_peer(answer_once) as port:
        caller = await place_call("127.0.0.1", port, Plan([("hello", BEEP)]), max_s=10.0)
    assert [moment["what"] for moment in figures(caller)["timeline"]] == [
        "connected",
        "agent begins",
        "agent has finished",
        "caller begins: hello",
        "caller has finished",
        "agent begins",
        "agent has finished",
        "caller ends the call (eof)",
        "line closed",
    ]


async def test_an_interruption_does_not_wait_until_the_agent_has_finished() -> None:
    async def agent(peer: Peer) -> None:
        await peer.talk_until_interrupted()
        await peer.send(Hangup())
        await peer.read_to_end()

    async with open_peer(agent) as port:
        plan = Plan([("stop", tone(8000, 400, 5.0))], interrupt_after=0.1)
        caller = await place_call("127.0.0.1", port, plan, max_s=10.0)
    (turn,) = figures(caller)["turns"]
    assert (turn["said"], turn["finished_s"]) == ("stop", None)


async def test_keys_come_after_the_sayings() -> None:
    keys: list[Message] = []

    async def agent(peer: Peer) -> None:
        await peer.beep()
        await peer.read_until_speech()
        await peer.read_until_silence()
        await peer.beep()
        while message := await peer.read():
            if isinstance(message, Dtmf):
                keys.append(message)
            if keys == [Dtmf("4"), Dtmf("2")]:
                await peer.send(Hangup())
                await peer.read_to_end()

    async with open_peer(agent) as port:
        caller = await place_call("127.0.0.1", port, Plan([("hello", BEEP)], digits="42"), max_s=10.0)
    assert [moment["what"] for moment in figures(caller)["timeline"]][-4:] == [
        "caller presses 4",
        "caller presses 2",
        "agent ends the call (terminate)",
        "line closed",
    ]


async def test_an_agent_that_ends_the_call_ends_the_plan() -> None:
    async def agent(peer: Peer) -> None:
        await peer.read()
        await peer.send(Hangup())
        await peer.read_to_end()

    async with open_peer(agent) as port:
        caller = await place_call("127.0.0.1", port, Plan([("hello", BEEP)] * 3, digits="1"), max_s=10.0)
    data = figures(caller)
    assert (data["ended"]["by"], data["ended"]["how"]) == ("agent", "terminate")
    assert (data["turns"], data["connect_to_agent_s"]) == ([], None)


async def test_the_command_gives_json_and_the_recording(tmp_path: Path) -> None:
    out, said = tmp_path / "heard.wav", tmp_path / "say.wav"
    said.write_bytes(write_wav(tone(16000, 400, 0.3)))
    async with open_peer(answer_once) as port:
        result = await trio.run_process(
            [*command(port), "--wav", str(said), "--out", str(out), "--hangup", "reset", "--json"], capture_stdout=True
        )
    data = json.loads(result.stdout)
    assert data["turns"][0]["said"] == str(said)
    assert data["turns"][0]["answered_after_s"] >= 0
    assert data["frames_received"] == 20
    assert data["frames_sent"] > 20
    assert data["ended"]["how"] == "reset"
    assert level_dbfs(read_wav(out.read_bytes()).data) > -40


async def test_the_command_speaks_with_the_embedded_voice_and_tells_what_happened() -> None:
    async def agent(peer: Peer) -> None:
        await peer.beep()
        await peer.read_until_speech()
        await peer.read_until_silence()
        await peer.send(Hangup())
        await peer.read_to_end()

    async with open_peer(agent) as port:
        result = await trio.run_process([*command(port), "--say", "hello"], capture_stdout=True)
    told = result.stdout.decode()
    assert "caller begins: hello" in told
    assert "agent ends the call (terminate)" in told


async def test_a_recording_that_cannot_be_written_is_told_after_the_call(tmp_path: Path) -> None:
    async def agent(peer: Peer) -> None:
        await peer.send(Hangup())
        await peer.read_to_end()

    async with open_peer(agent) as port:
        result = await trio.run_process(
            [*command(port), "--out", str(tmp_path)], capture_stdout=True, capture_stderr=True, check=False
        )
    assert result.returncode == 1
    assert result.stderr.decode() == f"voiceagent call: {tmp_path}: Is a directory\n"


async def test_being_refused_by_the_service_is_told() -> None:
    async def agent(peer: Peer) -> None:
        await peer.send(Hangup())

    async with open_peer(agent) as port:
        result = await trio.run_process(command(port), capture_stdout=True, capture_stderr=True, check=False)
    assert result.returncode == 1
    assert result.stderr.decode() == f"voiceagent call: 127.0.0.1:{port}: closed before anything was said\n"


def test_nobody_listening_is_one_line_and_exit_code_1(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["call", "127.0.0.1:1"]) == 1
    assert capsys.readouterr().err == "voiceagent call: 127.0.0.1:1: connection refused\n"


@pytest.mark.parametrize("peer", ["nonsense", "127.0.0.1", "127.0.0.1:0", "127.0.0.1:99999"])
def test_a_bad_address_is_told(peer: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code(["call", peer]) == 2
    assert "is not HOST:PORT" in last_line(capsys)


def test_an_unreadable_recording_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code(["call", "127.0.0.1:1", "--wav", str(tmp_path / "none.wav")]) == 2
    assert "none.wav: No such file or directory" in last_line(capsys)
    (tmp_path / "text.wav").write_text("not audio")
    assert exit_code(["call", "127.0.0.1:1", "--wav", str(tmp_path / "text.wav")]) == 2
    assert "text.wav: not a RIFF/WAVE file" in last_line(capsys)


@pytest.mark.parametrize(
    "option", [["--dtmf", "12x"], ["--dtmf", ""], ["--timeout", "soon"], ["--interrupt-after", "-1"], ["--voice", "!"]]
)
def test_a_bad_option_is_told(option: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code(["call", "127.0.0.1:1", *option]) == 2
    assert option[0] in last_line(capsys)


def command(port: int) -> list[str]:
    return [sys.executable, "-m", "voiceagent", "call", f"127.0.0.1:{port}"]


def exit_code(arguments: list[str]) -> int | str | None:
    try:
        return main(arguments)
    except SystemExit as error:
        return error.code


def last_line(capsys: pytest.CaptureFixture[str]) -> str:
    return capsys.readouterr().err.splitlines()[-1]
