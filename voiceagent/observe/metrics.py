"""Metrics for Prometheus: a subscriber of the journal, and what the media clock counts, read when asked.

Labels are names of ours (agents, causes, providers, tools), never what callers say, key or are called. A dialogue might
make up tool names, so each label has a bounded number of values.
"""

from collections.abc import Iterator
from itertools import accumulate
from typing import Final

from attrs import define, field, frozen
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector
from prometheus_client.metrics_core import CounterMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from voiceagent import journal
from voiceagent.journal import Event
from voiceagent.pbx.clock import BUCKET_SECONDS, ClockStats

#: Values of one label, at most, of so many characters; every further one counts as "other".
_VALUES: Final = 100
_CHARACTERS: Final = 64
#: Seconds.
_LAGS: Final = (0.1, 0.2, 0.3, 0.5, 0.7, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0)
_DURATIONS: Final = (1.0, 5.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0)
_LATENESSES: Final = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.09)


class Metrics:
    """The metrics of one service, in a `registry` of its own; `write` is a journal."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        self._agents, self._causes, self._reasons = _Label(), _Label(), _Label()
        self._tools, self._providers = _Label(), _Label()
        self._live = Gauge("voiceagent_calls_live", "Calls at the moment.", ["agent"], registry=registry)
        self._started = Counter("voiceagent_calls_started", "Calls that began.", ["agent"], registry=registry)
        self._ended = Counter("voiceagent_calls", "Calls that ended, and why.", ["agent", "cause"], registry=registry)
        self._seconds = Histogram(
            "voiceagent_call_seconds", "How long calls lasted.", buckets=_DURATIONS, registry=registry
        )
        self._refused = Counter(
            "voiceagent_connections_refused",
            "Connections that were closed before they became calls.",
            ["reason"],
            registry=registry,
        )
        self._turn_lag = _lag(
            "turn", "From the end of the caller's voice until his turn was taken to be over.", registry
        )
        self._recognition_lag = _lag("recognition", "From the end of the caller's turn to its text.", registry)
        self._answer_lag = _lag("answer", "From the end of the caller's voice (or key) to the agent's.", registry)
        self._barge_ins = Counter(
            "voiceagent_barge_ins", "Times the caller spoke over the agent, who stopped.", registry=registry
        )
        self._tool_calls = Counter(
            "voiceagent_tools",
            "What dialogues had done: outcome is ok or failed.",
            ["tool", "outcome"],
            registry=registry,
        )
        self._failures = Counter(
            "voiceagent_provider_failures",
            "Failures of speech and dialogue providers that callers met.",
            ["provider"],
            registry=registry,
        )
        self._restarts = Counter(
            "voiceagent_worker_restarts", "Worker processes that were replaced.", ["provider"], registry=registry
        )

        self._ari_losses = Counter(
            "voiceagent_ari_losses", "Times that Asterisk's events ceased to reach us.", registry=registry
        )
        self._left_over = Counter(
            "voiceagent_ari_clean_ups_failed", "Calls of which something was left in Asterisk.", registry=registry
        )

    def watch(self, stats: ClockStats) -> None:
        """From now on the clock's counts are among the metrics."""
        self.registry.register(_Clock(stats))

    def write(self, event: Event) -> None:
        """Takes an event; a journal."""
        match event:
            case journal.CallStarted(agent=agent):
                self._started.labels(self._agents.value(agent)).inc()
                self._live.labels(self._agents.value(agent)).inc()
            case journal.CallEnded(agent=agent, cause=cause, seconds=seconds):
                self._ended.labels(self._agents.value(agent), self._causes.value(cause)).inc()
                self._live.labels(self._agents.value(agent)).dec()
                self._seconds.observe(seconds)
            case journal.ConnectionRefused(reason=reason):
                self._refused.labels(self._reasons.value(reason)).inc()
            case journal.SpeechEnded(at=at, voice_ended=voice_ended):
                self._turn_lag.observe(at - voice_ended)
            case journal.CallerSaid(lag=lag):
                self._recognition_lag.observe(lag)
            case journal.AgentStarted(lag=lag):
                self._answer_lag.observe(lag)
            case journal.BargeIn():
                self._barge_ins.inc()
            case journal.ToolFinished(name=name, ok=ok):
                self._tool_calls.labels(self._tools.value(name), "ok" if ok else "failed").inc()
            case journal.ProviderFailed(provider=provider):
                self._failures.labels(self._providers.value(provider)).inc()
            case journal.WorkerRestarted(provider=provider):
                self._restarts.labels(self._providers.value(provider)).inc()
            case journal.AriLost() | journal.AriReplaced():
                self._ari_losses.inc()
            case journal.AriCleanUpFailed():
                self._left_over.inc()
            case _:
                pass


def _lag(what: str, help_text: str, registry: CollectorRegistry) -> Histogram:
    return Histogram(f"voiceagent_{what}_lag_seconds", help_text, buckets=_LAGS, registry=registry)


@define
class _Label:
    """The values of one label; at most _VALUES, whatever comes."""

    _seen: set[str] = field(factory=set)

    def value(self, text: str) -> str:
        text = text[:_CHARACTERS]
        if text not in self._seen:
            if len(self._seen) >= _VALUES:
                return "other"
            self._seen.add(text)
        return text


@frozen(eq=False)
class _Clock(Collector):
    """The media clock's counts as they are at a scrape."""

    stats: ClockStats

    def collect(self) -> Iterator[Metric]:
        stats = self.stats
        yield _counter("due", "20 ms frames that should have gone to Asterisk.", stats.frames_due)
        yield _counter("sent", "Frames that went to Asterisk.", stats.frames_sent)
        yield _counter(
            "dropped", "Frames that did not: a stall of ours, or a peer who took none.", stats.frames_dropped
        )
        yield HistogramMetricFamily(
            "voiceagent_frame_lateness_seconds",
            "How late frames were written (the sum is good to 0.125 ms for each).",
            buckets=list(_lateness_buckets(stats.lateness)),
            sum_value=sum(sent * (at + 0.5) for at, sent in enumerate(stats.lateness)) * BUCKET_SECONDS,
        )


def _counter(what: str, help_text: str, value: int) -> CounterMetricFamily:
    return CounterMetricFamily(f"voiceagent_frames_{what}", help_text, value=value)


def _lateness_buckets(lateness: list[int]) -> Iterator[tuple[str, float]]:
    """(upper bound, frames up to it), with +Inf in the end."""
    up_to = list(accumulate(lateness))
    for bound in _LATENESSES:
        yield str(bound), up_to[round(bound / BUCKET_SECONDS) - 1]
    yield "+Inf", up_to[-1]
