"""What happened on a simulated call, and the latencies that follow from it. Pure: times come in as values.

Every `at` is in seconds since the connection was made. Agent sound is told apart by level, in stretches: a pause of
less than 0.4 s does not end one (see hearing.py).
"""

from collections.abc import Sequence
from typing import Literal, TypeAlias

from attrs import frozen

#: How a call ends on the wire: end of stream, connection reset, or a 0x00 frame.
HangUp: TypeAlias = Literal["eof", "reset", "terminate"]
By: TypeAlias = Literal["caller", "agent"]


@frozen
class Connected:
    at: float


@frozen
class CallerBegan:
    """The first audible frame of a saying was sent. `text` is what the caller meant to say, if known."""

    at: float
    text: str


@frozen
class CallerFinished:
    """The end of the last audible frame of a saying."""

    at: float


@frozen
class CallerPressed:
    """A key was released."""

    at: float
    digit: str


@frozen
class AgentBegan:
    """The first audible frame after silence arrived."""

    at: float


@frozen
class AgentFinished:
    """The end of the last audible frame before silence; noticed later than `at`."""

    at: float


@frozen
class CallOver:
    """The call is over for the caller. `why` says more where `how` does not explain itself."""

    at: float
    by: By
    how: HangUp
    why: str = ""


@frozen
class LineClosed:
    """The agent's side of the connection is closed too."""

    at: float


Moment: TypeAlias = (
    Connected | CallerBegan | CallerFinished | CallerPressed | AgentBegan | AgentFinished | CallOver | LineClosed
)


@frozen
class Turn:
    """One saying of the caller. All in seconds; None: it did not happen.

    `finished` is None when the call ended in the middle of it. `answered_after`: end of the saying to the first sound
    of the agent; None also when the agent was already speaking then. `stopped_after`: for a saying that began over
    the agent's speech, its onset to the agent's last sound.
    """

    text: str
    began: float
    finished: float | None
    answered_after: float | None
    stopped_after: float | None


@frozen
class Latencies:
    """`first_sound`: connection to the agent's first sound. `release`: end of the call to the agent's side closed."""

    first_sound: float | None
    turns: tuple[Turn, ...]
    release: float | None


@frozen
class _Stretch:
    began: float
    finished: float | None


def latencies(moments: Sequence[Moment]) -> Latencies:
    """What a rig wants to know about a call, from its moments in any order."""
    ordered = sorted(moments, key=lambda moment: moment.at)
    agent = _stretches(ordered, AgentBegan, AgentFinished)
    sayings = _stretches(ordered, CallerBegan, CallerFinished)
    texts = [moment.text for moment in ordered if isinstance(moment, CallerBegan)]
    nexts = [*(saying.began for saying in sayings), float("inf")][1:]
    over = next((moment.at for moment in ordered if isinstance(moment, CallOver)), None)
    closed = next((moment.at for moment in ordered if isinstance(moment, LineClosed)), None)
    return Latencies(
        first_sound=agent[0].began if agent else None,
        turns=tuple(_turn(*each, agent) for each in zip(texts, sayings, nexts, strict=True)),
        release=closed - over if over is not None and closed is not None else None,
    )


def _turn(text: str, saying: _Stretch, next_began: float, agent: Sequence[_Stretch]) -> Turn:
    answered = stopped = None
    for stretch in agent:
        if saying.finished is not None and saying.finished <= stretch.began < next_began and answered is None:
            answered = stretch.began - saying.finished
        if stretch.finished is not None and stretch.began < saying.began < stretch.finished:
            stopped = stretch.finished - saying.began
    return Turn(text, saying.began, saying.finished, answered, stopped)


def _stretches(
    ordered: Sequence[Moment], opening: type[AgentBegan | CallerBegan], closing: type[AgentFinished | CallerFinished]
) -> list[_Stretch]:
    found: list[_Stretch] = []
    for moment in ordered:
        if isinstance(moment, opening):
            found.append(_Stretch(moment.at, None))
        elif isinstance(moment, closing) and found:
            found[-1] = _Stretch(found[-1].began, moment.at)
    return found


def describe(moment: Moment) -> str:
    """One line for people, without the time."""
    match moment:
        case Connected():
            return "connected"
        case CallerBegan(_, text):
            return f"caller begins: {text}" if text else "caller begins"
        case CallerFinished():
            return "caller has finished"
        case CallerPressed(_, digit):
            return f"caller presses {digit}"
        case AgentBegan():
            return "agent begins"
        case AgentFinished():
            return "agent has finished"
        case CallOver(_, by, how, why):
            return f"{by} ends the call ({why or how})"
        case LineClosed():
            return "line closed"
