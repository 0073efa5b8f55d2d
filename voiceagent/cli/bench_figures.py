"""What a bench run saw, and the figures that follow from it. Pure; seconds and bytes unless the name says otherwise."""

from collections.abc import Mapping, Sequence
from statistics import mean
from typing import Final

from attrs import field, frozen

from voiceagent.lab.legs import LoadResult
from voiceagent.lab.measure import Lateness, Limits, Noise, percentile

#: Fewer cost mostly the waking up, which varies; what a call costs among many is compared with its cost among these.
FEW_CALLS: Final = 50
#: Who stands still for as long may lose calls, and nobody is to blame: a UUID is due within 2 s, 5 s end a connection.
STALL_S: Final = 2.0


@frozen
class Reading:
    """The service's own meters at one moment; everything counts from its start."""

    at: float
    due: int
    sent: int
    dropped: int
    lateness: Lateness
    loop_lag: Lateness
    gc_pauses: int
    gc_seconds: float
    gc_worst: float
    tasks: int
    live: int
    #: The highest any call's queue has stood, by queue, in that queue's unit.
    peaks: Mapping[str, float] = field(factory=dict)
    #: Journal events by name.
    events: Mapping[str, int] = field(factory=dict)
    #: Recognition lag of every turn, and the first thing the agent said after it, if he got to say it.
    lags: Sequence[float] = ()
    replies: Sequence[str] = ()
    #: Of the last thousand calls that ended: when the last of its tasks was gone.
    gone: Mapping[str, float] = field(factory=dict)


@frozen
class Segment:
    """One load against one server: what the generator saw, and what the server cost in the steady window."""

    load: LoadResult
    wall_s: float
    cpu_s: float
    worker_cpu_s: float = 0.0
    #: CPU seconds of all that was neither server nor workers nor generator.
    others_cpu_s: float = 0.0
    resident: int = 0

    @property
    def cpu_ms(self) -> float:
        """CPU-ms per call-second."""
        return self._per_call_second(self.cpu_s)

    @property
    def worker_cpu_ms(self) -> float:
        return self._per_call_second(self.worker_cpu_s)

    def _per_call_second(self, seconds: float) -> float:
        calls = self.load.call_seconds / self.wall_s if self.wall_s else 0.0
        return seconds * 1000 / (self.wall_s * calls) if calls else 0.0


@frozen
class Run:
    """One attempt: the service, before and after it the control.

    `fresh` are controls that no call has ended on yet, `warmed` the same when calls have; `few` loads of FEW_CALLS on
    the service, and none when the run is not one of many.
    """

    calls: int
    seconds: float
    agent: str
    service: Segment
    fresh: Sequence[Segment]
    warmed: Sequence[Segment]
    start: Reading
    steady: Reading
    over: Reading
    end: Reading
    few: Sequence[Segment] = ()
    #: What the idle ticker suffered in the service's window.
    ticker: Lateness = field(factory=lambda: Lateness([0]))
    #: What the service held before its first call.
    resident_empty: int = 0
    #: Everything the agent should have answered, as one text; empty for an agent that only echoes.
    answer: str = ""
    cpus: int = 1

    @property
    def control_cpu_ms(self) -> float:
        return mean(control.cpu_ms for control in self.fresh)

    @property
    def warmed_cpu_ms(self) -> float:
        return mean(control.cpu_ms for control in self.warmed)

    @property
    def few_cpu_ms(self) -> float:
        """CPU-ms per call-second with FEW_CALLS; 0 when that was not measured."""
        return mean(one.cpu_ms for one in self.few) if self.few else 0.0

    @property
    def ratio(self) -> float:
        """CPU of the service over that of the control as it starts."""
        return self.service.cpu_ms / self.control_cpu_ms if self.control_cpu_ms else 0.0

    @property
    def warmed_ratio(self) -> float:
        """CPU of the service over that of the control when calls have ended on it."""
        return self.service.cpu_ms / self.warmed_cpu_ms if self.warmed_cpu_ms else 0.0

    @property
    def control_lateness(self) -> Lateness:
        return merged([control.load.lateness for control in self.fresh])

    @property
    def lost(self) -> int:
        """Frames the service says it dropped, or the wire says never came, over whole calls; whichever is more."""
        return max(self.end.dropped - self.start.dropped, self.service.load.missing)

    @property
    def resident_per_call(self) -> float:
        """Bytes per live call, whatever the first call made the service load included."""
        return (self.service.resident - self.resident_empty) / self.calls

    @property
    def release_s(self) -> list[float]:
        """For each call hung up while others went on: until the service had nothing left of it."""
        return [gone - at for at, gone in self._releases() if at < self.service.load.rest_at]

    @property
    def release_all_s(self) -> float:
        """For the calls hung up at once: until the service had nothing left of any."""
        rest_at = self.service.load.rest_at
        return max((gone - rest_at for at, gone in self._releases() if at >= rest_at), default=0.0)

    def _releases(self) -> list[tuple[float, float]]:
        """When each call was hung up, and when it was gone."""
        return [(at, self.end.gone[call]) for call, at in self.service.load.closed.items() if call in self.end.gone]

    @property
    def understood_share(self) -> float:
        """Share of the turns answered that got the answer they asked for."""
        replies = self.end.replies
        return sum(reply.strip() in self.answer for reply in replies) / len(replies) if replies else 0.0

    @property
    def speech_share(self) -> float:
        """Share of the frames received in which the agent spoke."""
        return self.service.load.loud / self.service.load.received if self.service.load.received else 0.0

    @property
    def loads(self) -> list[tuple[str, Segment, int]]:
        """Every load: on what, what was seen, and how many calls were asked for."""
        controls = [*self.fresh, *self.warmed]
        return [
            ("service", self.service, self.calls),
            *(("control", one, self.calls) for one in controls),
            *(("service, few calls", one, FEW_CALLS) for one in self.few),
        ]

    def failures(self) -> list[str]:
        """Why this is no run at all."""
        found = []
        for name, segment, calls in self.loads:
            load = segment.load
            if load.opened < calls:
                found.append(f"{name}: only {load.opened} of {calls} calls could connect")
        found += [what for what, stall in self._early_ends() if stall < STALL_S]
        if self.end.live:
            found.append(f"service: {self.end.live} calls are still there {self.end.at - self.over.at:.0f} s later")
        return found

    def _early_ends(self) -> list[tuple[str, float]]:
        """Loads on which calls ended early that should not: which, and how long what is not under test stood still."""
        found = []
        for name, segment, _ in self.loads:
            load = segment.load
            # Whom a receptionist does not understand she hands over: that ends the call, and is told as such.
            if load.ended_early and (name == "control" or self.agent == "echo"):
                beside = load.lateness if name == "control" else self.ticker
                found.append((f"{name}: {load.ended_early} calls ended early", max(load.own_stall, beside.worst)))
        return found

    def noise(self, limits: Limits) -> list[str]:
        """Why the machine was too noisy to tell; nothing: it was not.

        With agents that recognise, their workers rightly keep the CPUs busy and the generator waits for them: then only
        the generator's lateness beside the control speaks of the machine.
        """
        loads = [control.load for control in self.fresh]
        if self.agent == "echo":
            loads.append(self.service.load)
        reasons = Noise(
            generator=merged([load.own_lateness for load in loads]),
            control=self.control_lateness,
            # Of few calls nearly all the cost is waking up, which varies too much to compare halves.
            control_cpu=[control.cpu_ms for control in self.fresh] if self.calls >= FEW_CALLS else [],
            lost=self.lost,
            others_share=self.service.others_cpu_s / self.service.wall_s / self.cpus,
        ).reasons(limits)
        if early := self.service.load.closed.keys() - self.end.gone.keys():
            reasons.append(f"{len(early)} calls were hung up before the service had read who they are")
        ends = [(what, stall) for what, stall in self._early_ends() if stall >= STALL_S]
        return reasons + [f"{what}, but the machine stood still for {stall:.1f} s as well" for what, stall in ends]


#: Shares a distribution is told by.
SHARES: Final = {"p50": 0.5, "p99": 0.99, "p99.9": 0.999, "max": 1.0}


def told_ms(lateness: Lateness) -> dict[str, float]:
    """A histogram by its percentiles, in milliseconds."""
    return {name: round(lateness.percentile(share) * 1000, 3) for name, share in SHARES.items()}


def listed_ms(values: Sequence[float]) -> dict[str, float]:
    """Values by their percentiles, in milliseconds."""
    shares = {"p50": 0.5, "p95": 0.95, "p99": 0.99, "max": 1.0}
    return {name: round(percentile(values, share) * 1000, 3) for name, share in shares.items()}


def merged(histograms: Sequence[Lateness]) -> Lateness:
    """All together; at least one."""
    whole = histograms[0]
    for one in histograms[1:]:
        whole = whole.merged(one)
    return whole
