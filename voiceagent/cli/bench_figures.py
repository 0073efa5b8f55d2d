"""What a bench run saw, and the figures that follow from it. Pure; seconds and bytes unless the name says otherwise."""

from collections.abc import Mapping, Sequence
from statistics import mean
from typing import Final

from attrs import field, frozen

from voiceagent.lab.legs import LoadResult
from voiceagent.lab.measure import Lateness, Limits, Noise, percentile

#: From here on the cost of the control is that of its work.
MANY_CALLS: Final = 50


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
    #: Call to when the last of its tasks was gone.
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
    resident_before: int = 0
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
    """One attempt: the service between two halves of the control."""

    calls: int
    seconds: float
    agent: str
    service: Segment
    controls: Sequence[Segment]
    start: Reading
    steady: Reading
    over: Reading
    end: Reading
    #: Everything the agent should have answered, as one text; empty for an agent that only echoes.
    answer: str = ""
    cpus: int = 1

    @property
    def control_cpu_ms(self) -> float:
        return mean(control.cpu_ms for control in self.controls)

    @property
    def ratio(self) -> float:
        """CPU of the service over that of the control."""
        return self.service.cpu_ms / self.control_cpu_ms if self.control_cpu_ms else 0.0

    @property
    def control_lateness(self) -> Lateness:
        return _merged([control.load.lateness for control in self.controls])

    @property
    def lost(self) -> int:
        """Frames the service says it dropped, or the wire says never came, over whole calls; whichever is more."""
        return max(self.end.dropped - self.start.dropped, self.service.load.missing)

    @property
    def release_s(self) -> list[float]:
        """For each call hung up by the caller: until the service had nothing left of it."""
        closed = self.service.load.closed
        return [gone - closed[call] for call, gone in self.end.gone.items() if call in closed]

    @property
    def understood_share(self) -> float:
        """Share of the turns answered that got the answer they asked for."""
        replies = self.end.replies
        return sum(reply.strip() in self.answer for reply in replies) / len(replies) if replies else 0.0

    @property
    def speech_share(self) -> float:
        """Share of the frames received in which the agent spoke."""
        return self.service.load.loud / self.service.load.received if self.service.load.received else 0.0

    def failures(self) -> list[str]:
        """Why this is no run at all."""
        found = []
        for name, load in [("service", self.service.load), *(("control", one.load) for one in self.controls)]:
            if load.opened < self.calls:
                found.append(f"{name}: only {load.opened} of {self.calls} calls could connect")
            # Whom a receptionist does not understand she hands over: that ends the call, and is told as such.
            if load.ended_early and (name == "control" or self.agent == "echo"):
                found.append(f"{name}: {load.ended_early} calls ended early")
        if self.end.live:
            found.append(f"service: {self.end.live} calls are still there {self.end.at - self.over.at:.0f} s later")
        return found

    def noise(self, limits: Limits) -> list[str]:
        """Why the machine was too noisy to tell; nothing: it was not.

        With agents that recognise, their workers rightly keep the CPUs busy and the generator waits for them: then only
        the generator's lateness beside the control speaks of the machine.
        """
        loads = [control.load for control in self.controls]
        if self.agent == "echo":
            loads.append(self.service.load)
        return Noise(
            generator=_merged([load.own_lateness for load in loads]),
            control=self.control_lateness,
            # Of few calls nearly all the cost is waking up, which varies too much to compare halves.
            control_cpu=[control.cpu_ms for control in self.controls] if self.calls >= MANY_CALLS else [],
            lost=self.lost,
            others_share=self.service.others_cpu_s / self.service.wall_s / self.cpus,
        ).reasons(limits)

    def verdicts(self) -> list["Verdict"]:
        """The quality bars that speak of this very load."""
        dropped = Verdict("no frame dropped", self.lost == 0, f"{self.lost} dropped")
        match self.agent, self.calls:
            case "echo", 200:
                cost = Verdict("CPU at most 1.0 x control", self.ratio <= 1.0, f"{self.ratio:.2f} x")
            case "reception", 20:
                spent = self.service.cpu_ms
                cost = Verdict("CPU at most 4 ms per call-second", spent <= 4.0, f"{spent:.2f} ms")
            case _:
                return []
        return [dropped, cost]


@frozen
class Verdict:
    bar: str
    met: bool
    seen: str


#: Shares a distribution is told by.
SHARES: Final = {"p50": 0.5, "p99": 0.99, "p99.9": 0.999, "max": 1.0}


def told_ms(lateness: Lateness) -> dict[str, float]:
    """A histogram by its percentiles, in milliseconds."""
    return {name: round(lateness.percentile(share) * 1000, 3) for name, share in SHARES.items()}


def listed_ms(values: Sequence[float]) -> dict[str, float]:
    """Values by their percentiles, in milliseconds."""
    shares = {"p50": 0.5, "p95": 0.95, "max": 1.0}
    return {name: round(percentile(values, share) * 1000, 3) for name, share in shares.items()}


def _merged(histograms: Sequence[Lateness]) -> Lateness:
    whole = histograms[0]
    for one in histograms[1:]:
        whole = whole.merged(one)
    return whole
