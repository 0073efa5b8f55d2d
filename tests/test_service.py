"""The whole service with its real workers over real sockets: what a hang-up leaves behind, what refuses to start."""

import os
import socket
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import UUID, uuid4

import pytest
import trio
import trio.testing

from tests.serving import REAL_TIME
from voiceagent import journal as j
from voiceagent.app import Service, StartError, open_service
from voiceagent.audio.pcm import Pcm
from voiceagent.config import load_config
from voiceagent.lab.caller import open_caller
from voiceagent.lab.timeline import HangUp
from voiceagent.providers.embedded import EmbeddedOptions, open_text_to_speech
from voiceagent.wire.audiosocket import Identity, encode_message, silence_frame

pytestmark = REAL_TIME

#: A test that takes longer has failed.
PATIENCE_S = 60.0
ASKING = "how do i get to you"


class Events(list[j.Event]):
    """A journal that can be waited on."""

    def __init__(self) -> None:
        self._more = trio.Event()

    def write(self, event: j.Event) -> None:
        self.append(event)
        self._more.set()
        self._more = trio.Event()

    async def wait(self, kind: type[j.Event], call: UUID) -> None:
        while not any(isinstance(event, kind) and getattr(event, "call", "") == str(call) for event in self):
            await self._more.wait()


@asynccontextmanager
async def running(events: Events, tmp_path: Path, *overrides: str) -> AsyncIterator[Service]:
    settings = ["audiosocket.listen=127.0.0.1:0", f"service.state_dir={tmp_path}", *overrides]
    async with open_service(load_config(None, settings, {}), journals=[events.write]) as service:
        yield service


async def speech_of(text: str) -> Pcm:
    async with (
        open_text_to_speech("caller", EmbeddedOptions(voice="en-gb"), journal=lambda _: None) as tts,
        tts.open_speech(text) as chunks,
    ):
        audio = [chunk async for chunk in chunks]
    return Pcm(audio[0].rate, b"".join(chunk.data for chunk in audio))


def descriptors() -> dict[str, str]:
    found: dict[str, str] = {}
    for entry in Path("/proc/self/fd").iterdir():
        try:
            found[entry.name] = str(entry.readlink())
        except FileNotFoundError:
            continue  # the one that lists the folder
    return found


def children() -> set[str]:
    return {child for task in Path("/proc/self/task").iterdir() for child in (task / "children").read_text().split()}


async def hang_up_at(moment: str, how: HangUp, service: Service, events: Events, asking: Pcm) -> None:
    """A call that ends at `moment`."""
    uuid = uuid4()
    async with open_caller(*service.address, uuid=uuid) as caller:
        await caller.wait_for_agent_to_begin()
        if moment != "greeting":
            await caller.wait_for_agent()
        match moment:
            case "speech":
                async with trio.open_nursery() as talking:
                    talking.start_soon(caller.say, asking)
                    await events.wait(j.SpeechStarted, uuid)
                    caller.hang_up(how)
            case "recognition":
                await caller.say(asking)
                await events.wait(j.SpeechEnded, uuid)
            case "answer":
                await caller.say(asking)
                await caller.wait_for_agent_to_begin()
        caller.hang_up(how)
        await events.wait(j.CallEnded, uuid)


async def hang_up_in_a_frame(service: Service) -> None:
    stream = await trio.open_tcp_stream(*service.address)
    await stream.send_all(encode_message(Identity(uuid4())) + silence_frame(8000)[:100])
    stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    await stream.aclose()


async def test_a_hang_up_at_any_moment_leaves_no_task_socket_process_or_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    temporary, state = tmp_path / "tmp", tmp_path / "state"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    children_before, events = children(), Events()
    asking = await speech_of(ASKING)
    ways: list[HangUp] = ["eof", "reset", "terminate"]
    with trio.fail_after(PATIENCE_S):
        async with running(events, state) as service:
            idle, tasks = descriptors(), trio.lowlevel.current_statistics().tasks_living
            async with trio.open_nursery() as calls:
                for number, moment in enumerate(["greeting", "speech", "recognition", "answer"]):
                    calls.start_soon(hang_up_at, moment, ways[number % 3], service, events, asking)
                calls.start_soon(hang_up_in_a_frame, service)
            await service.drain()
            await trio.testing.wait_all_tasks_blocked()
            assert not service.calls
            assert trio.lowlevel.current_statistics().tasks_living < tasks  # the listener's has ended, too
            assert descriptors().items() < idle.items()
    ends = [event for event in events if isinstance(event, j.CallEnded)]
    assert {end.cause for end in ends} == {"caller hung up"}
    assert len(ends) >= 4
    assert not [event for event in events if isinstance(event, j.CallCrashed | j.ProviderFailed | j.WorkerRestarted)]
    assert children() == children_before
    assert not list(temporary.iterdir())
    assert not state.exists()


async def test_a_port_in_use_is_named_with_its_reason(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(StartError, match=f"AudioSocket on 127.0.0.1:{port}: Address already in use"):
            async with running(Events(), tmp_path, f"audiosocket.listen=127.0.0.1:{port}", "audiosocket.agent=echo"):
                pytest.fail("it started")


async def test_a_worker_that_is_killed_in_a_call_is_replaced_and_the_call_goes_on(tmp_path: Path) -> None:
    events = Events()
    asking = await speech_of("when are you open")
    with trio.fail_after(PATIENCE_S):
        async with running(events, tmp_path) as service, open_caller(*service.address) as caller:
            await caller.wait_for_agent()
            for child in children():
                if b"listen_worker" in Path(f"/proc/{child}/cmdline").read_bytes():
                    os.kill(int(child), 9)
            while not any(isinstance(event, j.AgentSaid) and "We are open" in event.text for event in events):
                await caller.say(asking)  # again, where he got an apology
                await caller.wait_for_agent()
            assert len(service.calls) == 1
    assert [event for event in events if isinstance(event, j.WorkerRestarted)]
