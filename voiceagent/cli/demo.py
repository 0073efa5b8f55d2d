"""`voiceagent demo`: hear a scripted caller talk with the default receptionist.

The service runs in this process and is telephoned over a real AudioSocket connection on the loopback interface. The
caller knows what the agent says and reacts to it; the agent knows of the caller only what it recognises in his audio.

Exit codes: 0 the conversation reached its goal, 1 it did not or could not take place, 2 the arguments have errors,
130 interrupted from the keyboard.
"""

import argparse
import os
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final
from uuid import UUID, uuid4

import trio
from attrs import define, evolve, field

from voiceagent.app import StartError, open_service
from voiceagent.audio.wav import write_stereo_wav
from voiceagent.cli.voices import Speak, open_voice
from voiceagent.config import Config, ConfigErrors, load_config
from voiceagent.config.places import DEFAULT_FILE
from voiceagent.dialogue import FlowErrors
from voiceagent.journal import (
    AgentSaid,
    BargeIn,
    CallEnded,
    CallerSaid,
    CallStarted,
    Event,
    ProviderFailed,
    ToolFinished,
)
from voiceagent.lab.caller import Caller, open_caller
from voiceagent.lab.connect import LineError
from voiceagent.lab.customer import Answer, Customer, Wish
from voiceagent.ports import ProviderError
from voiceagent.providers.embedded import EmbeddedOptions

#: The longest a demonstration may take.
_MAX_CALL_S: Final = 110.0
#: Let the agent begin to be interrupted in the middle of something.
_INTERRUPT_AFTER_S: Final = 1.0
VOICE: Final = EmbeddedOptions(voice="en-us+f2", speed=150)

#: What must be noted for the call to have reached its goal.
BOOKING: Final = {"kind": "booking", "day": "wednesday", "hour": "15:30"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--out", type=Path, default=Path("demo.wav"), metavar="FILE", help="stereo recording (demo.wav)"
    )


def run(args: argparse.Namespace) -> int:
    if args.out.is_dir() or not os.access(args.out.absolute().parent, os.W_OK):
        print(f"voiceagent demo: cannot write {args.out}", file=sys.stderr)
        return 2
    try:
        # Bookings are noted where they are gone afterwards: a demonstration leaves its recording and nothing else.
        with tempfile.TemporaryDirectory(prefix="voiceagent-demo-") as state:
            obstacle = trio.run(_demonstrate, Path(state), args.out)
    except KeyboardInterrupt:
        return 130
    except (ConfigErrors, StartError, FlowErrors, LineError, ProviderError, OSError) as error:
        print(f"voiceagent demo: {error}", file=sys.stderr)
        return 1
    print(f"\nBoth sides of the call are in {args.out} (left: caller, right: agent).")
    print(f"The conversation did not reach its goal: {obstacle}." if obstacle else "The appointment is booked.")
    return 1 if obstacle else 0


async def _demonstrate(state: Path, out: Path) -> str:
    """One conversation, told live; what kept it from its goal, if anything."""
    ears = Ears(uuid4(), _print_line)
    async with open_voice(VOICE) as speak, open_service(demo_config(state), journals=[ears.write]) as service:
        if service.address is None:
            raise StartError("the service does not listen")
        host, port = service.address
        print(f"A caller telephones the receptionist over AudioSocket on {host}:{port}.\n", flush=True)
        async with open_caller(host, port, uuid=ears.call, max_s=_MAX_CALL_S) as caller:
            await converse(caller, customer(), speak, ears)
    out.write_bytes(write_stereo_wav(caller.said, caller.heard))
    return missing(ears.events)


def demo_config(state: Path) -> Config:
    """The default that comes with the package, on a free port of the loopback interface."""
    config = load_config(DEFAULT_FILE, [], {})
    return evolve(
        config,
        service=evolve(config.service, state_dir=str(state)),
        audiosocket=evolve(config.audiosocket, listen="127.0.0.1:0", agent="reception"),
    )


def _print_line(at: float, who: str, what: str) -> None:
    print(f"{at:6.1f} s  {who:11} {what}", flush=True)


def customer() -> Customer:
    """Wants to know the opening hours, to book for Wednesday at half past three, and to be told the way (in part)."""
    return Customer(
        wishes=(
            Wish(("what are your opening hours", "when are you open"), "we are open"),
            Wish(("i would like to book an appointment", "i need an appointment"), "is booked"),
            Wish(("how do i get to you", "can you give me directions"), "central station", enough=True),
        ),
        answers=(
            Answer("wednesday at half past three, is that right", ("yes please", "yes that is right")),
            Answer("is that right", ("no that is wrong", "no")),
            Answer("which day", ("on wednesday", "wednesday please")),
            Answer("at what time", ("half past three", "at half past three")),
        ),
        farewell=("that is all thank you", "thank you goodbye", "that is all"),
    )


def missing(events: Sequence[Event]) -> str:
    """What keeps a call from having reached its goal, "" if nothing: the booking, noted right, then hanging up."""
    done = [event for event in events if isinstance(event, ToolFinished) and event.ok]
    notes = [event.arguments for event in done if event.name == "note"]
    if notes != [BOOKING]:
        return f"the booking was not noted (noted: {notes or 'nothing'})"
    if done[-1].name != "hang_up" or not isinstance(events[-1], CallEnded):
        return "the agent did not end the call afterwards"
    return ""


@define
class Ears:
    """What one call's journal says; `show` gets it as time in the call, who, and what.

    `words` is what the agent has said since the customer replied.
    """

    call: UUID
    _show: Callable[[float, str, str], None]
    events: list[Event] = field(factory=list)  # some 10 per turn of one call
    words: str = ""
    _started: float = 0.0

    def show(self, at: float, who: str, what: str) -> None:
        self._show(at - self._started, who, what)

    def write(self, event: Event) -> None:
        if getattr(event, "call", "") != str(self.call):
            return
        self.events.append(event)
        match event:
            case CallStarted(at=at):
                self._started = at
            case AgentSaid(text=text, heard=heard):
                self.words += f" {text}"
                self.show(event.at, "agent", text if heard > 0.9 else f"{text} [only {heard:.0%} heard]")
            case CallerSaid(text=text):
                self.show(event.at, "understood", text or "(nothing)")
            case ToolFinished(name=name, arguments=arguments, ok=ok):
                details = ", ".join(f"{key} {value}" for key, value in arguments.items())
                self.show(event.at, "done" if ok else "failed", f"{name} {details}".strip())
            case BargeIn():
                self.show(event.at, "", "(the caller interrupts)")
            case ProviderFailed(provider=provider, message=message):
                self.show(event.at, "failed", f"{provider}: {message}")
            case _:
                pass


async def converse(caller: Caller, person: Customer, speak: Speak, ears: Ears, *, quiet: float = 0.7) -> None:
    """Lead the caller's side of a conversation until one side has hung up.

    The agent has finished when silent for `quiet` seconds; heard enough, the caller interrupts.
    """
    while True:
        await caller.wait_until(lambda: caller.agent_has_answered(quiet) or person.has_enough(ears.words), _MAX_CALL_S)
        if not caller.agent_has_answered(quiet):
            await caller.pause(_INTERRUPT_AFTER_S)
        if caller.over is not None:
            return
        text = person.reply(ears.words)
        if text is None:
            return
        ears.words = ""
        ears.show(trio.current_time(), "caller", text)
        await caller.say(await speak(text), text)
