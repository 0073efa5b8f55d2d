"""The demo reaches its goal if, and only if, the agent understands from the caller's audio what is to be booked."""

from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from uuid import UUID, uuid4

import pytest
import trio
from attrs import evolve

from tests.serving import REAL_TIME
from voiceagent.app import open_service
from voiceagent.audio.pcm import Pcm, silence
from voiceagent.cli import main
from voiceagent.cli.demo import BOOKING, VOICE, Ears, converse, customer, demo_config, missing
from voiceagent.cli.voices import Speak, open_voice
from voiceagent.config import Config
from voiceagent.journal import CallEnded, CallerSaid, Event, ToolFinished
from voiceagent.lab.caller import open_caller
from voiceagent.lab.customer import Customer

pytestmark = REAL_TIME

CALL = UUID("0f5a3f5e-7c1e-4b7e-9d5f-0123456789ab")


def done(name: str, arguments: Mapping[str, str] | None = None, *, ok: bool = True) -> ToolFinished:
    return ToolFinished(0.0, str(CALL), name, arguments or {}, ok, "")


ENDED = CallEnded(0.0, str(CALL), "reception", "agent hung up", "", 60.0, 5, 3000, 3000, 0)
BOOKED = done("note", BOOKING)


def test_a_booking_and_then_a_goodbye_is_the_goal() -> None:
    assert missing([BOOKED, done("hang_up"), ENDED]) == ""


@pytest.mark.parametrize(
    "events",
    [
        [],
        [ENDED],
        [done("hang_up"), ENDED],
        [BOOKED, done("hang_up")],
        [BOOKED, ENDED],
        [BOOKED, done("transfer"), ENDED],
        [done("hang_up"), BOOKED, ENDED],
        [done("note", BOOKING, ok=False), done("hang_up"), ENDED],
        [done("note", {**BOOKING, "day": "friday"}), done("hang_up"), ENDED],
        [done("note", {**BOOKING, "day": "friday"}), BOOKED, done("hang_up"), ENDED],
    ],
)
def test_anything_else_is_not(events: list[Event]) -> None:
    assert missing(events)


def test_a_recording_that_cannot_be_written_is_told_before_the_call(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["demo", "--out", str(tmp_path)]) == 2
    assert capsys.readouterr().err == f"voiceagent demo: cannot write {tmp_path}\n"


class Swapped:
    """A customer's voice that says something else than he means: `swap` maps texts, "" to all others."""

    def __init__(self, speak: Speak, swap: Mapping[str, str]) -> None:
        self._speak = speak
        self._swap = swap

    async def __call__(self, text: str) -> Pcm:
        said = self._swap.get(text, self._swap.get("", text))
        return await self._speak(said) if said else silence(8000, 1.0)


def person_in_a_hurry() -> Customer:
    """The demo's customer, who only wants to book."""
    person = customer()
    return Customer(person.wishes[1:2], person.answers, person.farewell)


def hurried(config: Config) -> Config:
    """The agent speaks fast and does not wait long: the caller listens by machine."""
    agent = evolve(config.agents["reception"], no_input_s=1.0)
    voice = evolve(config.providers["embedded"], speed=400)
    return evolve(config, agents={"reception": agent}, providers={"embedded": voice})


async def test_only_the_right_words_in_the_callers_audio_reach_the_goal(tmp_path: Path) -> None:
    every = {"as meant": {}, "silence": {"": ""}, "another sentence": {"": "the weather is lovely today"}}
    every["another day"] = {
        "on wednesday": "on friday",
        "wednesday please": "friday please",
        "no that is wrong": "yes please",
        "no": "yes please",
    }
    calls = {name: Ears(uuid4(), lambda *_: None) for name in every}
    with trio.fail_after(60):
        async with (
            open_voice(VOICE) as speak,
            open_service(hurried(demo_config(tmp_path)), journals=[ears.write for ears in calls.values()]) as service,
            trio.open_nursery() as nursery,
        ):
            assert service.address is not None
            for name, swap in every.items():
                nursery.start_soon(hold_call, service.address, Swapped(speak, swap), calls[name])
    obstacles = {name: missing(ears.events) for name, ears in calls.items()}
    assert obstacles["as meant"] == ""
    assert "noted: nothing" in obstacles["silence"]
    assert not any(isinstance(event, CallerSaid) and event.text for event in calls["silence"].events)
    assert "noted: nothing" in obstacles["another sentence"]
    assert "friday" in obstacles["another day"]


async def hold_call(address: tuple[str, int], speak: Callable[[str], Awaitable[Pcm]], ears: Ears) -> None:
    async with open_caller(*address, uuid=ears.call, max_s=40.0) as caller:
        await converse(caller, person_in_a_hurry(), speak, ears, quiet=0.4)
