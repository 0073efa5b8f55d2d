"""What the machine does to the punctual: `python -m voiceagent.lab.ticker`, a process that only sleeps.

It sleeps to a 20 ms grid, absolutely, and notes how late it wakes: no socket, no other work. Whatever it suffers, a
service that sleeps to the same grid must expect too.

A JSON line at the start, then for each line on standard input a line with its `Lateness` since the one before. It ends
when its standard input does.
"""

import gc
import json
import select
import signal
import sys
import time
from collections.abc import Callable

from attrs import asdict

from voiceagent.lab.measure import BUCKETS, Lateness, bucket_of
from voiceagent.wire.audiosocket import FRAME_SECONDS


def tick(
    orders: Callable[[], str | None],
    tell: Callable[[object], None],
    *,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Tick until `orders` returns "". It never waits; it returns None for nothing, and a line for a question."""
    start, step = clock(), 0
    counts, worst = [0] * (BUCKETS + 1), 0.0
    while (order := orders()) != "":
        if order:
            tell(asdict(Lateness(counts, worst)))
            counts, worst = [0] * (BUCKETS + 1), 0.0
        step = max(step, int((clock() - start) / FRAME_SECONDS)) + 1
        due = start + step * FRAME_SECONDS
        sleep(max(0.0, due - clock()))
        late = clock() - due
        counts[bucket_of(late)] += 1
        worst = max(worst, late)


def main() -> None:
    """Tick, and answer on standard output."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # whoever started this ends it

    def orders() -> str | None:
        return sys.stdin.readline() if select.select([sys.stdin], [], [], 0)[0] else None

    def tell(message: object) -> None:
        sys.stdout.write(json.dumps(message) + "\n")
        sys.stdout.flush()

    gc.disable()
    tell({"ticking": True})
    tick(orders, tell)


if __name__ == "__main__":
    main()
