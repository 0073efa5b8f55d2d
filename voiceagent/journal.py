"""What happened, as a closed union of small events.

Everything that watches a service (log, metrics, dashboard, tests) subscribes to the journal; nothing in a call depends
on who listens. `at` is the service clock's time in seconds; `call` is the call's UUID as text.
"""

from collections.abc import Callable, Mapping
from typing import TypeAlias

from attrs import field, frozen


@frozen
class ServiceReady:
    """The service listens. `where` is the bound address as HOST:PORT."""

    at: float
    where: str


@frozen
class ServiceStopping:
    """No further calls are taken; live ones may finish within `drain_s` seconds."""

    at: float
    live_calls: int
    drain_s: float


@frozen
class ConnectionRefused:
    """A connection, or a channel that came through Stasis, did not become a call.

    `peer` is its address or the channel's name, `reason` a short constant to count by.
    """

    at: float
    peer: str
    reason: str
    detail: str = ""


@frozen
class CallStarted:
    at: float
    call: str
    peer: str
    agent: str


@frozen
class SpeechStarted:
    """The caller began to speak (`at` is when it was noticed)."""

    at: float
    call: str


@frozen
class SpeechEnded:
    """The caller's turn is over: endpointing decided so at `at`; the voice itself stopped at `voice_ended`."""

    at: float
    call: str
    voice_ended: float


@frozen
class CallerSaid:
    """What the recogniser made of a turn; empty text: speech, but nothing it knows.

    `lag` is the time in seconds from the end of the turn to this text.
    """

    at: float
    call: str
    text: str
    lag: float


@frozen
class CallerKeyed:
    at: float
    call: str
    digit: str


@frozen
class CallerSilent:
    """The agent waited for the caller in vain."""

    at: float
    call: str


@frozen
class AgentStarted:
    """The first audio of a reply went to the line, `lag` seconds after the caller's voice (or key) had ended."""

    at: float
    call: str
    lag: float


@frozen
class AgentSaid:
    """A piece of the agent's speech is over. `heard` is the share (0 to 1) of its audio written to the line."""

    at: float
    call: str
    text: str
    heard: float


@frozen
class BargeIn:
    """The caller spoke over the agent, who stopped."""

    at: float
    call: str


@frozen
class ToolFinished:
    """The dialogue asked for something to be done and it was (`ok`) or was not; `result` says what came of it."""

    at: float
    call: str
    name: str
    arguments: Mapping[str, str]
    ok: bool
    result: str


@frozen
class ProviderFailed:
    """A speech or dialogue provider failed; the call goes on, or ends with this as its cause."""

    at: float
    call: str
    provider: str
    message: str


@frozen
class WorkerRestarted:
    """A worker process of a provider died or hung and was replaced."""

    at: float
    provider: str
    reason: str


@frozen
class AriConnected:
    """Asterisk tells us what happens, and has told what there is: `channels` of ours are live in it."""

    at: float
    application: str
    channels: int


@frozen
class AriLost:
    """Asterisk's events do not reach us; the next attempt is in `retry_s` seconds. Live calls go on."""

    at: float
    reason: str
    retry_s: float


@frozen
class AriReplaced:
    """Another client took our application's name: Asterisk tells it, and no longer us."""

    at: float
    application: str


@frozen
class AriEventBad:
    """Asterisk sent what we cannot read. Told once for each `problem`; the event is skipped."""

    at: float
    problem: str


@frozen
class AgentUnknown:
    """The dialplan asked for an agent (`name`) that is not configured; the default one answers `channel`."""

    at: float
    channel: str
    name: str


@frozen
class AriCleanUpFailed:
    """Something of a call is still in Asterisk (`detail`: ids); it is tried again each second."""

    at: float
    call: str
    detail: str


@frozen
class CallCrashed:
    """A call ended by an error of ours; other calls go on. CallEnded follows."""

    at: float
    call: str
    traceback: str


@frozen
class CallEnded:
    """The canonical record of a call. `cause` is a short constant; `detail` explains the unusual ones."""

    at: float
    call: str
    agent: str
    cause: str
    detail: str
    seconds: float
    turns: int
    frames_received: int
    frames_sent: int
    frames_dropped: int
    counts: Mapping[str, int] = field(factory=dict)


Event: TypeAlias = (
    ServiceReady
    | ServiceStopping
    | ConnectionRefused
    | CallStarted
    | SpeechStarted
    | SpeechEnded
    | CallerSaid
    | CallerKeyed
    | CallerSilent
    | AgentStarted
    | AgentSaid
    | BargeIn
    | ToolFinished
    | ProviderFailed
    | WorkerRestarted
    | AriConnected
    | AriLost
    | AriReplaced
    | AriEventBad
    | AgentUnknown
    | AriCleanUpFailed
    | CallCrashed
    | CallEnded
)

#: Subscribers are plain functions: they must not block, raise or keep the caller waiting.
Journal: TypeAlias = Callable[[Event], None]


def fan_out(*journals: Journal) -> Journal:
    """One journal that hands every event to each of `journals`, in order."""

    def write(event: Event) -> None:
        for journal in journals:
            journal(event)

    return write
