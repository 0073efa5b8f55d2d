"""What only a virtual clock can show: frames on their grid to the nanosecond, minutes of twenty calls in seconds."""

from pathlib import Path

import attrs
import pytest
import trio
from trio.testing import MockClock

from voiceagent import (
    CallCrashed,
    CallEnded,
    Event,
    LegibleSpeech,
    ProviderFailed,
    RigCaller,
    Service,
    ToolFinished,
    load_config,
    open_service,
)
from voiceagent.audio.pcm import Pcm
from voiceagent.config.places import DEFAULT_FILE
from voiceagent.lab.caller import call_over
from voiceagent.lab.emptiness import nothing_left_behind
from voiceagent.pbx.endpoint import Endpoint
from voiceagent.pbx.memory import memory_pair
from voiceagent.pbx.memory_stream import MemoryStream
from voiceagent.providers.legible import legible_text
from voiceagent.wire.audiosocket import Audio, Decoder, Identity, Message

#: Floating point puts an instant of virtual time this far from where it belongs, at most.
EXACTLY_S = 1e-9


@attrs.define(eq=False)
class Watched:
    """An endpoint that notes when what was sent and received."""

    endpoint: Endpoint
    sent: list[tuple[float, bytes]] = attrs.field(factory=list)
    received: list[tuple[float, bytes]] = attrs.field(factory=list)

    def send(self, data: bytes, /) -> int:
        self.sent.append((trio.current_time(), data))
        return self.endpoint.send(data)

    def recv_into(self, buffer: bytearray | memoryview, /) -> int:
        size = self.endpoint.recv_into(buffer)
        self.received.append((trio.current_time(), bytes(buffer[:size])))
        return size

    def fileno(self) -> int:
        return self.endpoint.fileno()

    def close(self) -> None:
        self.endpoint.close()

    def shut_down(self) -> None:
        self.endpoint.shut_down()

    def abort(self) -> None:
        self.endpoint.abort()


def messages(data: bytes) -> list[Message]:
    decoder = Decoder()
    decoder.receive_data(data)
    found = []
    while (message := decoder.next_message()) is not None:
        found.append(message)
    assert not decoder.is_mid_frame
    return found


def off_the_grid(times: list[float]) -> float:
    """How far the worst of `times` is from the first and a multiple of 20 ms, one for each multiple."""
    return max(abs(at - times[0] - number * 0.02) for number, at in enumerate(times))


@pytest.mark.parametrize("agent", ["echo", "reception"])
async def test_in_a_call_of_30_s_every_frame_of_either_side_is_on_its_grid(
    tmp_path: Path, autojump_clock: MockClock, agent: str
) -> None:
    config = load_config(DEFAULT_FILE, ["audiosocket.listen=", f"service.state_dir={tmp_path}"], {})
    numbered = Pcm(8000, b"".join(number.to_bytes(2, "little") * 160 for number in range(1, 1501)))
    async with open_service(config, agents=[agent], providers={"embedded": LegibleSpeech()}) as service:
        here, there = memory_pair()
        watched, stream = Watched(there), MemoryStream(here)
        await trio.sleep(0.0025)
        service.connect(watched, agent=agent)
        async with call_over(stream, stream.abort) as caller:
            await caller.pause(0.1)
            await caller.say(numbered)
            await caller.pause(0.1)

    sent = [(at, messages(data)) for at, data in watched.sent]
    assert len(sent) >= 1509
    assert all(len(frame) == 1 and isinstance(frame[0], Audio) for _, frame in sent)
    assert off_the_grid([at for at, _ in sent]) < EXACTLY_S

    (began, (identity, first)), *received = [(at, messages(data)) for at, data in watched.received if data]
    assert isinstance(identity, Identity)
    assert all(len(frame) == 1 and isinstance(frame[0], Audio) for _, frame in [(began, [first]), *received])
    assert off_the_grid([began, *(at for at, _ in received)]) < EXACTLY_S

    assert len(sent) - caller.frames_received in (0, 1)  # he may hang up before he has read the last one
    assert caller.worst_gap == pytest.approx(0.02, abs=EXACTLY_S)
    if agent == "echo":
        assert numbered.data in caller.heard.data
    assert service.frames.frames_dropped == 0


# Twenty calls ---------------------------------------------------------------------------------------------------------


@attrs.frozen
class Script:
    """What a caller does, and what must come of it: the tools used, the end, and words he hears or does not hear.

    A step is a text to say once the agent has finished, or a key to press (`# 1`), words to say into his speech
    (`over TEXT`), or a hang-up in the midst of it (`hang up eof`).
    """

    steps: tuple[str, ...]
    tools: tuple[str, ...]
    cause: str
    hears: str = ""
    not_hears: str = "nothing like this"


SCRIPTS = (
    Script(("could i speak to sales please",), ("transfer sales",), "transferred", "putting you through to sales."),
    Script(("# 2",), ("transfer workshop",), "transferred", "putting you through to the workshop."),
    Script(("when are you open", "thank you goodbye"), ("hang_up",), "agent hung up", "open from Monday to Friday"),
    Script(("what is your address", "# 3"), ("transfer billing",), "transferred", "twelve Station Road"),
    Script(("purple", "monkey", "dishwasher"), ("transfer front_desk",), "transferred", "let somebody help you"),
    Script((), ("hang_up",), "agent hung up", "Please call again."),
    Script(
        ("how do i get to you", "over when are you open", "that is all"),
        ("hang_up",),
        "agent hung up",
        "open from Monday to Friday",
        not_hears="it costs nothing",
    ),
    Script(("hang up eof",), (), "caller hung up", "Riverside", not_hears="How can I help you?"),
    Script(("how do i get to you", "hang up reset"), (), "caller hung up", "From the central", not_hears="river"),
    Script(("over that is all thank you",), ("hang_up",), "agent hung up", "Goodbye.", not_hears="help you?"),
)


async def follow(script: Script, service: Service, calls: list[RigCaller]) -> None:
    async with service.lab.call() as caller:
        calls.append(caller)
        for step in script.steps:
            await perform(step, caller)
        await caller.expect(CallEnded, within=90)


async def perform(step: str, caller: RigCaller) -> None:
    match step.split():
        case ["#", digit]:
            await caller.wait_for_agent()
            await caller.press(digit)
        case ["over", *words]:
            await into_speech(caller)
            await caller.say(" ".join(words))
        case ["hang", "up", how]:
            await into_speech(caller)
            caller.hang_up("reset" if how == "reset" else "eof")
        case _:
            await caller.wait_for_agent()
            await caller.say(step)


async def into_speech(caller: RigCaller) -> None:
    await caller.line.wait_for_agent_to_begin()
    await caller.line.pause(1.0)


def check(script: Script, caller: RigCaller) -> None:
    tools = [event for event in caller.events if isinstance(event, ToolFinished)]
    ended = caller.events[-1]
    assert isinstance(ended, CallEnded)
    assert tuple(f"{tool.name} {tool.arguments.get('target', '')}".strip() for tool in tools) == script.tools
    assert ended.cause == script.cause
    heard = legible_text(caller.line.heard.data)
    assert script.hears in heard
    assert script.not_hears not in heard
    assert ended.frames_dropped == 0
    # A frame each 20 ms from the first moment to the last, of which one may be on its way when somebody hangs up.
    assert ended.frames_sent == pytest.approx(ended.seconds / 0.02, abs=1.01)
    assert ended.frames_sent - caller.line.frames_received in (0, 1)


@pytest.mark.parametrize(
    ("scripts", "apart_s"), [(SCRIPTS * 2, 0.13), (SCRIPTS, 30.0)], ids=["twenty at once", "ten, each half minute one"]
)
async def test_all_callers_get_what_they_called_for(
    tmp_path: Path, autojump_clock: MockClock, scripts: tuple[Script, ...], apart_s: float
) -> None:
    config = load_config(DEFAULT_FILE, ["audiosocket.listen=", f"service.state_dir={tmp_path}"], {})
    speech, events, calls = LegibleSpeech(), list[Event](), list[list[RigCaller]]()
    async with (
        nothing_left_behind(),
        open_service(config, journals=[events.append], providers={"embedded": speech}) as service,
    ):
        async with trio.open_nursery() as nursery:
            for script in scripts:
                calls.append([])
                nursery.start_soon(follow, script, service, calls[-1])
                await trio.sleep(apart_s)
        assert not service.calls
        assert (speech.open_turns, speech.open_texts) == (0, 0)
        assert service.frames.frames_dropped == 0
        assert service.frames.max_lateness < EXACTLY_S
    for script, (caller,) in zip(scripts, calls, strict=True):
        check(script, caller)
    assert sum(isinstance(event, CallEnded) for event in events) == len(scripts)
    assert not [event for event in events if isinstance(event, CallCrashed | ProviderFailed)]
    assert not list(tmp_path.iterdir())
