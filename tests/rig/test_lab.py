"""The lab itself: an Asterisk that boots, two phones that are heard, and nothing left when it is stopped."""

import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import UUID, uuid4

import numpy as np
import pytest
import trio

from tests.serving import SOURCE
from voiceagent.audio.pcm import Pcm, level_dbfs, samples_of, silence
from voiceagent.audio.tones import tone
from voiceagent.lab.asterisk import LabError, Options, RunningAsterisk, open_asterisk, start_asterisk
from voiceagent.lab.baresip import call_by_baresip
from voiceagent.lab.connect import LineError
from voiceagent.lab.sip import SipPhone, open_sip_caller
from voiceagent.wire.audiosocket import FRAME_SECONDS, Decoder, Dtmf, Identity, encode_audio

PATIENCE_S = 60.0
BEEP = tone(8000, 440, 1.0)


def pitch(pcm: Pcm) -> float:
    """The strongest frequency, hertz."""
    spectrum = np.abs(np.fft.rfft(samples_of(pcm.data).astype(float)))
    return float(spectrum.argmax()) * pcm.rate / (len(pcm.data) // 2)


async def no_channels(asterisk: RunningAsterisk) -> None:
    with trio.fail_after(PATIENCE_S):
        while "0 active channels" not in await trio.to_thread.run_sync(asterisk.cli, "core show channels count"):
            await trio.sleep(0.05)


def test_it_is_new_enough_for_audiosocket_with_16_khz(asterisk: RunningAsterisk) -> None:
    major, minor = map(int, asterisk.version.split(".")[:2])
    assert (major, minor) >= (22, 7)
    assert asterisk.version in asterisk.cli("core show version")


def test_it_boots_without_complaints(asterisk: RunningAsterisk) -> None:
    booting = asterisk.log.read_text().partition("Asterisk Ready")[0]
    assert not re.findall(r".*(?:WARNING|ERROR)\[.*", booting)


@pytest.mark.parametrize(("user", "codec", "hertz"), [("tester", "PCMU", 440), ("hd", "G722", 6000)])
async def test_a_caller_of_the_echo_hears_himself_whole(
    asterisk: RunningAsterisk, user: str, codec: str, hertz: int
) -> None:
    async with (
        open_sip_caller(asterisk.sip_host, asterisk.sip_port, user=user) as phone,
        phone.call("1010", tone(16000, hertz, 1.0), codec=codec) as call,  # type: ignore[arg-type]
    ):
        answered = await call.answered()
        await call.said()
        await call.until(lambda: sum(1 for _ in call.heard.sounds()) >= 50, "the whole echo")
        sounds = list(call.heard.sounds())
        assert sounds[0].at > answered
        assert 50 <= len(sounds) <= 53  # G.722 rings a little
        assert call.heard.lost == 0
        assert pitch(call.heard.pcm(since=sounds[0].at)) == pytest.approx(hertz, rel=0.05)


async def test_keys_by_rfc_4733_come_back_each_once(phone: SipPhone) -> None:
    async with phone.call("1010") as call:
        await call.answered()
        call.send_dtmf("1207*D5")
        await call.said()
        await call.until(lambda: len(call.heard.keys) >= 7, "all keys")
        await call.hang_up()
        assert "".join(key for _, key in call.heard.keys) == "1207*D5"


@asynccontextmanager
async def audiosocket() -> AsyncIterator[tuple[str, trio.MemoryReceiveChannel[Identity | Dtmf]]]:
    """A peer for one AudioSocket call: its address, and what comes beside audio. It sends silence."""
    tell, told = trio.open_memory_channel[Identity | Dtmf](100)

    async def serve(stream: trio.SocketStream) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(send_silence, stream)
            decoder = Decoder()
            async for data in stream:
                decoder.receive_data(bytes(data))
                while (message := decoder.next_message()) is not None:
                    if isinstance(message, Identity | Dtmf):
                        tell.send_nowait(message)
            nursery.cancel_scope.cancel()

    async def send_silence(stream: trio.SocketStream) -> None:
        while True:
            try:
                await stream.send_all(encode_audio(8000, silence(8000, FRAME_SECONDS).data))
            except trio.BrokenResourceError:
                return
            await trio.sleep(FRAME_SECONDS)

    async with trio.open_nursery() as nursery:
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nursery.start_soon(trio.serve_listeners, serve, [listener])
        yield f"127.0.0.1:{listener.socket.getsockname()[1]}", told
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("user", ["tester", "info"])
async def test_a_call_says_itself_which_audiosocket_it_goes_to_and_each_key_arrives_once(
    asterisk: RunningAsterisk, user: str
) -> None:
    uuid = uuid4()
    async with audiosocket() as (address, told), open_sip_caller("127.0.0.1", asterisk.sip_port, user=user) as phone:
        headers = {"X-AudioSocket": address, "X-Call-UUID": str(uuid)}
        async with phone.call("1002", headers=headers) as call:
            with trio.fail_after(PATIENCE_S):
                assert await told.receive() == Identity(UUID(str(uuid)))
                if user == "info":
                    await call.send_info_dtmf("12")
                else:
                    call.send_dtmf("12")
                assert [await told.receive(), await told.receive()] == [Dtmf("1"), Dtmf("2")]
                await call.said()
        await no_channels(asterisk)
        assert told.statistics().current_buffer_used == 0


async def test_a_caller_who_hangs_up_leaves_no_channel(asterisk: RunningAsterisk, phone: SipPhone) -> None:
    async with phone.call("1010") as call:
        await call.answered()
        await call.hang_up()
        assert (await call.over()).by == "caller"
    await no_channels(asterisk)


async def test_the_other_side_hangs_up_when_its_second_is_over(phone: SipPhone) -> None:
    async with phone.call("15001") as call:
        answered = await call.answered()
        ended = await call.over()
    assert ended.by == "peer"
    assert ended.at - answered >= 0.99


async def test_a_caller_gives_up_before_anybody_answers(asterisk: RunningAsterisk, phone: SipPhone) -> None:
    async with phone.call("1020") as call:
        await call.ringing()
        await call.hang_up()
        assert (await call.over()).status == 487
    await no_channels(asterisk)


async def test_a_number_that_is_not_there_is_refused(phone: SipPhone) -> None:
    async with phone.call("9999") as call:
        with pytest.raises(LineError, match="404"):
            await call.answered()


async def test_a_caller_on_hold_sends_nothing_and_is_heard_again_after(phone: SipPhone) -> None:
    async with phone.call("1010") as call:
        await call.answered()
        await call.until(lambda: bool(call.heard.arrivals), "an echo")
        await call.hold()
        held = trio.current_time()
        await trio.sleep(0.5)
        back = trio.current_time()
        await call.unhold()
        call.say(BEEP)
        await call.until(lambda: any(call.heard.sounds(since=back)), "an echo of the beep")
        assert call.heard.widest_gap() >= back - held


async def test_a_caller_who_is_mute_sends_nothing(phone: SipPhone) -> None:
    async with phone.call("1010") as call:
        await call.answered()
        await call.until(lambda: bool(call.heard.arrivals), "an echo")
        call.mute()
        await trio.sleep(0.5)
        call.mute(on=False)
        call.say(BEEP)
        await call.until(lambda: any(call.heard.sounds()), "an echo of the beep")
        assert call.heard.widest_gap() >= 0.4


async def test_a_caller_without_an_agent_hears_that_nobody_is_there(phone: SipPhone) -> None:
    async with phone.call("1000") as call:
        await call.answered()
        assert (await call.over()).by == "peer"
        assert any(call.heard.sounds())


async def test_baresip_hears_itself(asterisk: RunningAsterisk, baresip_tree: Path, tmp_path: Path) -> None:
    said = Pcm(8000, BEEP.data + silence(8000, 2.0).data)
    server = (asterisk.sip_host, asterisk.sip_port)
    heard = await call_by_baresip(baresip_tree, tmp_path, server, "1010", said, codec="PCMU")
    assert level_dbfs(heard.data) > -40
    assert pitch(heard) == pytest.approx(440, rel=0.02)


async def test_two_run_side_by_side_and_one_is_restarted(
    asterisk: RunningAsterisk, asterisk_tree: Path, tmp_path: Path
) -> None:
    async with open_asterisk(asterisk_tree, tmp_path / "pbx", Options(app="other")) as other:
        assert {other.sip_port, other.ari_url} & {asterisk.sip_port, asterisk.ari_url} == set()
        first = other.process
        other.kill()
        assert not first.is_running
        await trio.to_thread.run_sync(other.restart)
        for each in (asterisk, other):
            async with open_sip_caller(each.sip_host, each.sip_port) as phone, phone.call("1010") as call:
                await call.answered()
        second = other.process
        assert second.pid != first.pid
    assert not second.is_running
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind((other.sip_host, other.sip_port))


async def test_a_port_that_is_taken_is_named_and_nothing_is_left_running(asterisk_tree: Path, tmp_path: Path) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        with pytest.raises(LabError, match=f"UDP port {port} "):
            async with open_asterisk(asterisk_tree, tmp_path / "pbx", Options(sip_port=port)):
                pass
    assert not [process for process in Path("/proc").glob("[0-9]*/cmdline") if str(tmp_path) in _text(process)]


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:  # ended meanwhile
        return ""


def lab(state: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "voiceagent", "lab", *arguments],
        env={**os.environ, "PYTHONPATH": str(SOURCE), "XDG_STATE_HOME": str(state)},
        cwd=state,
        capture_output=True,
        text=True,
        timeout=5 * PATIENCE_S,
        check=False,
    )


def test_up_and_down_by_command_leave_nothing(asterisk_tree: Path, tmp_path: Path) -> None:
    up = lab(tmp_path, "up", "--name", "one", "--set", "app=va-1", "--json")
    try:
        assert up.returncode == 0, up.stderr
        told = json.loads(up.stdout)
        assert told["app"] == "va-1"
        (listed,) = json.loads(lab(tmp_path, "status", "--json").stdout)
        assert listed == told | {"running": True}
        again = lab(tmp_path, "up", "--name", "one", "--set", "app=va-1", "--json")
        assert json.loads(again.stdout) == told
    finally:
        down = lab(tmp_path, "down", "--name", "one")
    assert down.returncode == 0, down.stderr
    assert not Path(told["run"]).exists()
    assert not _text(Path(f"/proc/{told['pid']}/cmdline"))  # a zombie has none: it is for whoever adopted it to bury
    late = lab(tmp_path, "down", "--name", "one")
    assert late.returncode == 1
    assert late.stderr == "voiceagent lab: there is no 'one': none is running\n"


def test_the_sample_configuration_is_understood(asterisk_tree: Path, tmp_path: Path) -> None:
    """What `asterisk/` offers to users, in an Asterisk of its own."""
    samples = SOURCE / "asterisk"
    asterisk = start_asterisk(asterisk_tree, tmp_path / "pbx")
    try:
        etc = asterisk.run / "etc"
        (etc / "ari.conf").write_text((samples / "ari.conf").read_text())
        with (etc / "extensions.conf").open("a") as extensions:
            extensions.write(f'#include "{samples}/extensions.conf"\n')
        before = len(asterisk.log.read_text())
        asterisk.cli("dialplan reload")
        asterisk.cli("module reload res_ari.so")
        assert "Stasis(voiceagent)" in asterisk.cli("dialplan show 1000@voiceagent")
        assert "AudioSocket(" in asterisk.cli("dialplan show 1000@voiceagent-plain")
        assert re.search(r"^No .*voiceagent$", asterisk.cli("ari show users"), re.MULTILINE)  # not read-only
        assert "WARNING" not in (said := asterisk.log.read_text()[before:]), said
        loaded = asterisk.cli("module show")
        asked = re.findall(r"^load = (\S+)", (samples / "modules.conf").read_text(), re.MULTILINE)
        assert [module for module in asked if module not in loaded] == []
    finally:
        asterisk.stop()
