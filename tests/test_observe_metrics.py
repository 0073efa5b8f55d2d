"""Metrics: what the journal and the clock say, as Prometheus reads it."""

from math import inf

import pytest
from prometheus_client.exposition import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from voiceagent import journal as j
from voiceagent.observe.lateness import LatenessWindow
from voiceagent.observe.metrics import Metrics
from voiceagent.pbx.clock import ClockStats

CALL = "0f5a3f5e-4b6c-4f6e-9d7e-0c2a8f1f3d11"


def ended(cause: str, agent: str = "reception", seconds: float = 3.0) -> j.CallEnded:
    return j.CallEnded(9.0, CALL, agent, cause, "", seconds, 1, 2, 3, 4)


def of(metrics: Metrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(name, labels)


def test_calls_are_counted_as_they_begin_last_and_end() -> None:
    metrics = Metrics()
    for agent in ("reception", "reception", "echo"):
        metrics.write(j.CallStarted(0.0, CALL, "127.0.0.1:1", agent))
    metrics.write(ended("caller hung up"))
    assert of(metrics, "voiceagent_calls_started_total", agent="reception") == 2
    assert of(metrics, "voiceagent_calls_live", agent="reception") == 1
    assert of(metrics, "voiceagent_calls_live", agent="echo") == 1
    assert of(metrics, "voiceagent_calls_total", agent="reception", cause="caller hung up") == 1
    assert of(metrics, "voiceagent_call_seconds_sum") == 3


@pytest.mark.parametrize(
    ("event", "name", "labels"),
    [
        (j.ConnectionRefused(0.0, "10.0.0.1:2", "too many calls"), "connections_refused", {"reason": "too many calls"}),
        (j.BargeIn(0.0, CALL), "barge_ins", {}),
        (j.ToolFinished(0.0, CALL, "transfer", {}, True, ""), "tools", {"tool": "transfer", "outcome": "ok"}),
        (j.ToolFinished(0.0, CALL, "take_note", {}, False, ""), "tools", {"tool": "take_note", "outcome": "failed"}),
        (j.ProviderFailed(0.0, CALL, "embedded", "hung"), "provider_failures", {"provider": "embedded"}),
        (j.WorkerRestarted(0.0, "embedded", "hung"), "worker_restarts", {"provider": "embedded"}),
    ],
)
def test_what_happens_is_counted_by_what_it_was(event: j.Event, name: str, labels: dict[str, str]) -> None:
    metrics = Metrics()
    for _ in range(2):
        metrics.write(event)
    assert of(metrics, f"voiceagent_{name}_total", **labels) == 2


@pytest.mark.parametrize(
    ("event", "what"),
    [
        (j.SpeechEnded(5.0, CALL, voice_ended=4.25), "turn"),
        (j.CallerSaid(0.0, CALL, "hello", 0.75), "recognition"),
        (j.AgentStarted(0.0, CALL, 0.75), "answer"),
    ],
)
def test_a_lag_goes_into_its_histogram(event: j.Event, what: str) -> None:
    metrics = Metrics()
    metrics.write(event)
    assert of(metrics, f"voiceagent_{what}_lag_seconds_sum") == 0.75
    assert of(metrics, f"voiceagent_{what}_lag_seconds_bucket", le="0.7") == 0
    assert of(metrics, f"voiceagent_{what}_lag_seconds_bucket", le="1.0") == 1


def test_the_clock_is_read_at_the_scrape() -> None:
    metrics, stats = Metrics(), ClockStats()
    metrics.watch(stats)
    assert of(metrics, "voiceagent_frames_due_total") == 0
    stats.frames_due, stats.frames_sent, stats.frames_dropped = 9, 6, 3
    for lateness in (0.0, 0.0009, 0.0011, 0.0199, 0.0201, 5.0):
        stats.add(lateness)
    assert of(metrics, "voiceagent_frames_due_total") == 9
    assert of(metrics, "voiceagent_frames_sent_total") == 6
    assert of(metrics, "voiceagent_frames_dropped_total") == 3
    bounds = ("0.001", "0.002", "0.005", "0.01", "0.02", "0.05", "0.09", "+Inf")
    counts = [of(metrics, "voiceagent_frame_lateness_seconds_bucket", le=bound) for bound in bounds]
    assert counts == [2, 3, 3, 3, 4, 5, 5, 6]
    assert of(metrics, "voiceagent_frame_lateness_seconds_count") == 6


def test_invented_names_make_no_more_than_a_hundred_labels() -> None:
    metrics = Metrics()
    for number in range(150):
        metrics.write(j.ToolFinished(0.0, CALL, f"tool {number} " + "x" * 1000, {}, True, ""))
    (tools,) = (family for family in metrics.registry.collect() if family.name == "voiceagent_tools")
    totals = {sample.labels["tool"]: sample.value for sample in tools.samples if sample.name.endswith("_total")}
    assert len(totals) == 101
    assert totals["other"] == 50
    assert max(map(len, totals)) == 64


def test_nothing_about_a_caller_is_among_the_metrics() -> None:
    metrics = Metrics()
    for event in (
        j.CallStarted(0.0, CALL, "192.0.2.7:4000", "echo"),
        j.CallerSaid(0.0, CALL, "my number is secret", 0.1),
        j.CallerKeyed(0.0, CALL, "7"),
        j.AgentSaid(0.0, CALL, "thank you secret", 1.0),
        j.ToolFinished(0.0, CALL, "note", {"text": "secret"}, True, "secret"),
        j.ProviderFailed(0.0, CALL, "embedded", "secret"),
        j.ConnectionRefused(0.0, "192.0.2.7:4000", "no UUID", "secret"),
        j.CallEnded(0.0, CALL, "echo", "caller hung up", "secret", 1.0, 1, 2, 3, 4),
    ):
        metrics.write(event)
    text = generate_latest(metrics.registry).decode()
    assert 'cause="caller hung up"' in text
    assert not [word for word in ("secret", "192.0.2.7", CALL) if word in text]


def test_several_services_count_apart_and_what_they_tell_can_be_parsed() -> None:
    one, other = Metrics(), Metrics()
    one.write(ended('crash "\n\\'))
    assert of(other, "voiceagent_calls_total", agent="reception", cause='crash "\n\\') is None
    families = text_string_to_metric_families(generate_latest(one.registry).decode())
    (calls,) = (family for family in families if family.name == "voiceagent_calls")
    assert calls.samples[0].labels["cause"] == 'crash "\n\\'


def test_lateness_is_that_of_the_last_two_windows() -> None:
    stats = ClockStats()
    window = LatenessWindow(stats)
    assert window.percentile(0.99) == (0.0, 0)
    for number in range(100):
        stats.add(0.0301 if number < 2 else 0.0)
    assert window.percentile(0.99) == (0.03025, 100)
    assert window.percentile(0.98) == (0.00025, 100)
    window.move_on()
    assert window.percentile(0.99) == (0.03025, 100)
    window.move_on()
    stats.add(0.001)
    assert window.percentile(0.99) == (0.00125, 1)
    stats.add(0.2)
    assert window.percentile(0.99) == (inf, 2)
