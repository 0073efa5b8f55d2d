"""A service inside another program: what it gives, what it raises, what it leaves, and that the documentation runs."""

import re
import subprocess
import sys
from collections.abc import Mapping
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
import trio
from attrs import evolve
from trio.testing import MockClock

import voiceagent
from tests.serving import PATIENCE_S, SOURCE
from voiceagent import (
    AgentSaid,
    BargeIn,
    CallEnded,
    CallStarted,
    Config,
    EventsLostError,
    LegibleSpeech,
    Service,
    StartError,
    ToolFinished,
    UnmetError,
    load_config,
    open_service,
    say_with,
)
from voiceagent.audio.pcm import Pcm
from voiceagent.config.places import DEFAULT_FILE
from voiceagent.journal import Event
from voiceagent.lab.caller import open_caller
from voiceagent.ports import TextToSpeech
from voiceagent.providers.legible import legible_text

pytest_plugins = ["voiceagent.testing"]

SALES = "could I speak to sales please"


class BodyError(Exception):
    """Raised by a body."""


def configured(*overrides: str) -> Config:
    return load_config(DEFAULT_FILE, ["audiosocket.listen=", "audiosocket.agent=echo", *overrides], {})


# The rig --------------------------------------------------------------------------------------------------------------


async def test_a_caller_asks_for_sales_and_is_transferred(
    voiceagent_service: Service, autojump_clock: MockClock
) -> None:
    async with voiceagent_service.lab.call() as caller:
        await caller.wait_for_agent()
        await caller.say(SALES)
        await caller.expect(AgentSaid, lambda said: "sales" in said.text, within=5.0)
        transfer = await caller.expect(ToolFinished, within=1.0)
    assert (transfer.name, transfer.arguments) == ("transfer", {"target": "sales"})
    assert legible_text(caller.line.heard.data).endswith("putting you through to sales.")
    assert legible_text(caller.line.said.data) == SALES


async def test_a_caller_who_does_not_wait_interrupts(voiceagent_service: Service, autojump_clock: MockClock) -> None:
    async with voiceagent_service.lab.call() as caller:
        await caller.say(SALES)
        await caller.expect(BargeIn, within=1.0)
        await caller.expect(ToolFinished, within=5.0)


async def test_keys_reach_the_agent(voiceagent_service: Service, autojump_clock: MockClock) -> None:
    async with voiceagent_service.lab.call() as caller:
        await caller.press("2")
        transfer = await caller.expect(ToolFinished, within=5.0)
    assert transfer.arguments == {"target": "workshop"}


async def test_the_agent_is_chosen_by_name(voiceagent_service: Service, autojump_clock: MockClock) -> None:
    async with voiceagent_service.lab.call("echo", voice=say_with(LegibleSpeech())) as caller:
        started = await caller.expect(CallStarted, within=1.0)
        await caller.say(SALES)
        await caller.line.pause(0.1)
    assert started.agent == "echo"
    assert legible_text(caller.line.heard.data) == SALES


async def test_calls_are_listed_while_they_last_and_over_when_the_caller_is_left(
    voiceagent_service: Service, autojump_clock: MockClock
) -> None:
    async with voiceagent_service.lab.call("echo") as caller, voiceagent_service.lab.call("reception") as other:
        await other.expect(CallStarted, within=1.0)
        calls = voiceagent_service.calls
        assert {uuid: call.agent for uuid, call in calls.items()} == {
            str(caller.line.uuid): "echo",
            str(other.line.uuid): "reception",
        }
    assert not voiceagent_service.calls
    assert isinstance(caller.events[-1], CallEnded)


async def test_an_expectation_that_is_not_met_tells_what_happened(
    voiceagent_service: Service, autojump_clock: MockClock
) -> None:
    async with voiceagent_service.lab.call() as caller:
        with pytest.raises(UnmetError, match=r"(?s)no such ToolFinished within 2 s;.*CallStarted.*'Riverside Bicycles"):
            await caller.expect(ToolFinished, within=2.0)


async def test_an_expectation_ends_with_the_call(voiceagent_service: Service, autojump_clock: MockClock) -> None:
    async with voiceagent_service.lab.call() as caller:
        caller.hang_up()
        with pytest.raises(UnmetError, match="before the call was over"):
            await caller.expect(ToolFinished, within=1000.0)
        assert trio.current_time() < 1.0


async def test_expectations_go_through_the_events_in_order(
    voiceagent_service: Service, autojump_clock: MockClock
) -> None:
    async with voiceagent_service.lab.call() as caller:
        first = await caller.expect(AgentSaid, within=10.0)
        second = await caller.expect(AgentSaid, within=10.0)
        assert (first.text, second.text) == ("Riverside Bicycles, good day.", "How can I help you?")
        with pytest.raises(UnmetError):
            await caller.expect(AgentSaid, lambda said: said == first, within=1.0)


async def test_an_agent_without_a_voice_lends_none(voiceagent_service: Service, autojump_clock: MockClock) -> None:
    async with voiceagent_service.lab.call("echo") as caller:
        with pytest.raises(RuntimeError, match="no voice"):
            await caller.say(SALES)
        assert await caller.say(Pcm(8000, bytes(1600)))


# Opening --------------------------------------------------------------------------------------------------------------


async def test_two_services_in_one_process_know_nothing_of_each_other() -> None:
    port = "audiosocket.listen=127.0.0.1:0"
    async with open_service(configured(port)) as one, open_service(configured(port)) as other:
        assert one.address != other.address
        async with one.events() as events, open_caller(*one.address) as caller:
            assert isinstance(await anext(events), CallStarted)
            assert list(one.calls) == [str(caller.uuid)]
            assert not other.calls


async def test_without_a_port_there_is_no_address() -> None:
    async with open_service(configured()) as service:
        with pytest.raises(RuntimeError, match="no listener"):
            _ = service.address


async def test_a_single_error_of_the_body_comes_out_as_itself() -> None:
    error, cause = BodyError("the body's own"), ValueError("its cause")
    with pytest.raises(BodyError) as raised:
        async with open_service(configured()) as service, service.lab.call():
            raise error from cause
    assert raised.value is error
    assert (error.__cause__, error.__context__) == (cause, None)


async def test_a_group_of_the_body_stays_a_group() -> None:
    group = ExceptionGroup("the body's own", [BodyError()])
    with pytest.RaisesGroup(BodyError) as raised:
        async with open_service(configured()) as service, service.lab.call():
            raise group
    assert raised.value is group


async def test_errors_of_the_body_and_of_the_service_come_out_together() -> None:
    def fail(event: Event) -> None:
        if isinstance(event, CallStarted):
            raise OSError("a journal that must not raise")

    async def embed() -> None:
        async with open_service(configured(), journals=[fail]) as service, service.lab.call():
            try:
                await trio.sleep(PATIENCE_S)
            finally:
                raise BodyError("on the way out")

    with pytest.RaisesGroup(OSError, BodyError, flatten_subgroups=True):
        await embed()


async def test_an_agent_that_is_not_configured_is_named() -> None:
    with pytest.raises(StartError, match="there is no agent 'nobody'"):
        async with open_service(configured(), agents=["nobody"]):
            pytest.fail("it started")


async def test_a_provider_that_is_neither_configured_nor_handed_in_is_named() -> None:
    config = evolve(configured("audiosocket.agent=reception"), providers={})
    with pytest.raises(StartError, match="agent reception: embedded: there is no such provider"):
        async with open_service(config):
            pytest.fail("it started")


async def test_an_agent_that_is_not_ready_is_an_error_of_whoever_calls_it() -> None:
    async with open_service(configured()) as service:
        with pytest.raises(KeyError, match="reception"):
            async with service.lab.call("reception"):
                pytest.fail("it was called")


async def test_what_is_handed_in_does_its_part_and_the_rest_is_opened(tmp_path: Path) -> None:
    class Voice:
        """Speaks, and does not listen."""

        open_speech = LegibleSpeech().open_speech

    voice: TextToSpeech = Voice()
    config = configured("audiosocket.agent=reception", "providers.embedded.recognisers=1")
    with trio.fail_after(PATIENCE_S):
        async with open_service(config, providers={"embedded": voice}) as service, service.lab.call() as caller:
            said = await caller.expect(AgentSaid, within=PATIENCE_S)
    assert said.text in legible_text(caller.line.heard.data)


def test_everything_named_is_there_and_nothing_of_it_is_imported_before() -> None:
    for name in voiceagent.__all__:
        assert getattr(voiceagent, name)
    with pytest.raises(AttributeError):
        _ = voiceagent.nothing_like_it
    script = "import sys, voiceagent; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], cwd=SOURCE, capture_output=True, text=True, check=True)
    assert not {"trio", "numpy", "attrs", "voiceagent.app"} & set(done.stdout.split())


# The journal ----------------------------------------------------------------------------------------------------------


async def test_the_journal_can_be_iterated_over_until_the_service_ends(
    voiceagent_config: Config, voiceagent_providers: Mapping[str, LegibleSpeech], autojump_clock: MockClock
) -> None:
    async with AsyncExitStack() as reading:
        async with open_service(voiceagent_config, providers=voiceagent_providers) as service:
            events = await reading.enter_async_context(service.events())
            async with service.lab.call() as caller:
                await caller.expect(AgentSaid, within=5.0)
        assert [event async for event in events] == list(caller.events)


async def test_a_reader_who_is_too_slow_gets_what_was_kept_and_is_told(
    voiceagent_service: Service, autojump_clock: MockClock
) -> None:
    async with voiceagent_service.events(capacity=2) as events:
        async with voiceagent_service.lab.call() as caller:
            await caller.wait_for_agent()
        kept = [await anext(events), await anext(events)]
        with pytest.raises(EventsLostError, match="more than 2 events behind"):
            await anext(events)
    assert kept == list(caller.events[:2])


# The documentation ----------------------------------------------------------------------------------------------------


def documented(marker: str) -> str:
    """The Python code in docs/embedding.md that follows this comment."""
    text = (SOURCE / "docs" / "embedding.md").read_text()
    found = re.search(rf"<!-- {re.escape(marker)} -->\n```python\n(.*?)```", text, re.DOTALL)
    assert found, marker
    return found[1]


def run(*arguments: str, cwd: Path) -> str:
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=cwd,
        env={"PYTHONPATH": str(SOURCE)},
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_documented_rig_runs(tmp_path: Path) -> None:
    (tmp_path / "rig.py").write_text(documented("runs: tests/test_embedding.py"))
    assert re.fullmatch(r"transfer to workshop after \d\.\d s\n", run("rig.py", cwd=tmp_path))


def test_the_documented_fixture_works_in_another_project(tmp_path: Path) -> None:
    for name in ("conftest.py", "test_reception.py"):
        (tmp_path / name).write_text(documented(name))
    assert "1 passed" in run("-m", "pytest", "-q", "-W", "error", "-p", "no:cacheprovider", cwd=tmp_path)
