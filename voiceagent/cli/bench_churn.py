"""`bench --churn N`: many short calls, and what the service keeps of them."""

from collections.abc import Sequence
from typing import Any, Final

from attrs import asdict, frozen
from cattrs import Converter

from voiceagent.cli.bench_child import BenchError, Child, open_child
from voiceagent.cli.bench_figures import Reading, listed_ms
from voiceagent.cli.bench_load import HANG_S, open_service_child, progress, read, released
from voiceagent.cli.bench_outcome import Outcome, Verdict, line, spread
from voiceagent.lab import meters
from voiceagent.lab.churn import ChurnResult, ChurnSpec
from voiceagent.lab.processes import process_stock

#: Calls at a time, unless told otherwise.
AT_ONCE: Final = 100
#: Calls before the first look: from then on whatever grows does so for ever.
WARM_UP_CALLS: Final = 1000
_CALL_BYTES: Final = 1024
_CONVERTER: Final = Converter()


@frozen
class Look:
    """The service when it has no calls."""

    reading: Reading
    resident: int
    cpu_s: float


@frozen
class Churned:
    """What was seen. `left` names each descriptor, thread and child that has come since `before`."""

    calls: int
    at_once: int
    result: ChurnResult
    before: Look
    after: Look
    left: Sequence[str]

    @property
    def growth(self) -> float:
        """Bytes of memory per completed call."""
        return (self.after.resident - self.before.resident) / self.calls

    @property
    def ended(self) -> int:
        """Calls that ended, as the service counts them."""
        count = [look.reading.events.get("CallEnded", 0) for look in (self.before, self.after)]
        return count[1] - count[0]

    @property
    def seconds(self) -> float:
        return self.after.reading.at - self.before.reading.at

    def failures(self) -> list[str]:
        """Why this is no run at all."""
        found = []
        if self.result.completed < self.calls:
            found.append(f"only {self.result.completed} of {self.calls} calls went well: {dict(self.result.failures)}")
        if self.ended != self.calls:
            found.append(f"the service says that {self.ended} of {self.calls} calls ended")
        return found

    def verdicts(self) -> list[Verdict]:
        """Whether anything is kept."""
        tasks = self.after.reading.tasks - self.before.reading.tasks
        live, seen = self.after.reading.live, "; ".join(self.left) or "nothing"
        return [
            Verdict(
                f"memory grows at most {_CALL_BYTES} bytes per completed call",
                self.growth <= _CALL_BYTES,
                f"{self.growth:.0f} bytes",
            ),
            Verdict(
                "no task, call, descriptor, thread or child is left",
                not (self.left or tasks or live),
                f"{tasks} tasks, {live} calls; {seen}",
            ),
        ]

    def outcome(self) -> Outcome:
        """All that is to be told. The machine's noise does not matter here."""
        data = self._data()
        memory = data["resident_mb"]
        lines = [
            f"{self.calls} short calls, {self.at_once} at a time, after {WARM_UP_CALLS} to warm up",
            "",
            line("memory", f"{memory['before']:.2f} MB before, {memory['after']:.2f} MB after"),
            line("  per completed call", f"{self.growth:+.0f} bytes"),
            line("tasks", f"{data['tasks']['before']} before, {data['tasks']['after']} after"),
            line("left", "; ".join(self.left) or "nothing"),
            line("took", f"{self.seconds:.1f} s, {data['cpu_ms_per_call']:.2f} CPU-ms of the service per call"),
            line("hang-up to closed", spread(data["hang_up_to_closed_ms"])),
        ]
        return Outcome(self.failures(), [], data, lines, self.verdicts())

    def _data(self) -> dict[str, Any]:
        before, after = self.before, self.after
        return {
            "calls": self.calls,
            "at_once": self.at_once,
            "seconds": round(self.seconds, 1),
            "resident_mb": {"before": round(before.resident / 1e6, 3), "after": round(after.resident / 1e6, 3)},
            "growth_bytes_per_call": round(self.growth, 1),
            "tasks": {"before": before.reading.tasks, "after": after.reading.tasks},
            "left": list(self.left),
            "cpu_ms_per_call": round((after.cpu_s - before.cpu_s) * 1000 / self.calls, 3),
            "hang_up_to_closed_ms": listed_ms(self.result.close_s),
        }


async def attempt(
    calls: int, at_once: int, overrides: Sequence[str], title: str, *, warm_up_calls: int = WARM_UP_CALLS
) -> Outcome:
    """Make the calls. Raises BenchError when that cannot be done."""
    settings = [
        *overrides,
        "audiosocket.agent=echo",
        f"service.max_calls={at_once + 10}",
        # A service that was stalled for a moment must not refuse those that have come meanwhile.
        f"audiosocket.max_pending={at_once + 10}",
    ]
    async with open_service_child(settings) as (service, where):
        warm_up = await _put(ChurnSpec(**where, calls=warm_up_calls, at_once=at_once), f"{title}: warm-up")
        if warm_up.failures:
            raise BenchError(f"calls failed: {dict(warm_up.failures)}")
        before, stock = await _look(service), process_stock(service.pid)
        result = await _put(ChurnSpec(**where, calls=calls, at_once=at_once), title)
        after = await _look(service)
        left = process_stock(service.pid).since(stock)
    return Churned(calls, at_once, result, before, after, left).outcome()


async def _look(service: Child) -> Look:
    await released(service)  # the last are closed on the wire a moment before their tasks are gone
    return Look(await read(service), meters.resident_bytes(service.pid), meters.cpu_seconds(service.pid))


async def _put(spec: ChurnSpec, title: str) -> ChurnResult:
    async with open_child("the caller of short calls", "voiceagent.lab.churn") as generator:
        await generator.tell(asdict(spec))
        while True:
            message = await generator.hear(HANG_S)
            if message.pop("event") == "result":
                return _CONVERTER.structure(message, ChurnResult)
            progress(f"{title}: {message['done']} of {spec.calls} calls")
