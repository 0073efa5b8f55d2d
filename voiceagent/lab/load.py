"""Many Asterisk legs from one process, cheap enough to measure others with: `python -m voiceagent.lab.load`.

One thread, one epoll, non-blocking sockets. Time is cut into slots of 20 ms / calls; slot n belongs to call n mod calls
and is due at t0 + n * slot, absolutely. In its first slot a call connects and says its UUID, in each later one it sends
one audio frame in one `send`, as Asterisk does; like Asterisk, it gives up a call whose `send` falls short. Everything
that comes is read at once and its time noted.

Told what to do by a JSON line on standard input (`LoadSpec`), it reports JSON lines on standard output: `steady` and
`over` around the measured window, `progress` each second of it, at last `result` (`LoadResult`). It ends early when its
standard input does.
"""

import gc
import json
import select
import signal
import socket
import sys
import time
from collections import deque
from collections.abc import Callable
from typing import Final

from attrs import asdict

from voiceagent.audio.pcm import Pcm
from voiceagent.audio.tones import tone
from voiceagent.lab.legs import RATE, Leg, LoadResult, LoadSpec, Talk, frames_of, heard_by
from voiceagent.lab.measure import BUCKET_SECONDS, BUCKETS, Lateness
from voiceagent.wire.audiosocket import (
    FRAME_SECONDS,
    HEADER_BYTES,
    KINDS,
    Audio,
    Decoder,
    Identity,
    ProtocolError,
    encode_message,
    frame_bytes,
)

#: What nearly every read brings: this many bytes, of this kind.
USUAL_BYTES: Final = HEADER_BYTES + frame_bytes(RATE)
USUAL_KIND: Final = KINDS[RATE]
#: How often it looks what has come. It sleeps on the timer and not on its sockets: otherwise a server would pay for
#: waking it at each send when it happens to be asleep, but not when it happens to be awake, and servers that send at
#: different moments could not be compared.
TICK_S: Final = 0.0005
#: Calls go on for this long after the window, so that whoever reads other meters at its end reads them in time.
GRACE_S: Final = 0.3
#: Calls that are hung up one by one are so far apart, the rest so much after them.
HANG_UP_GAP_S: Final = 0.021
REST_S: Final = 0.1


class Line:
    """The open socket of one leg."""

    def __init__(self, leg: Leg, sock: socket.socket) -> None:
        self.leg = leg
        self.sock = sock
        #: Only while a frame is incomplete.
        self.decoder: Decoder | None = None

    def read(self, now: float) -> bool:
        """Take what has come. False: the call is over."""
        try:
            data = self.sock.recv(65536)
        except BlockingIOError:
            return True
        except OSError:  # reset, broken: ends like any other
            return False
        if len(data) == USUAL_BYTES and data[0] == USUAL_KIND and self.decoder is None:
            self.leg.heard(data[HEADER_BYTES:], now)
            return True
        decoder = self.decoder or Decoder()
        decoder.receive_data(data)
        try:
            while (message := decoder.next_message()) is not None:
                if isinstance(message, Audio):
                    self.leg.heard(message.data, now)
        except ProtocolError:
            return False
        self.decoder = decoder if decoder.is_mid_frame else None
        return bool(data)


class Generator:
    """Runs one spec. `report` gets the events named above; `lifeline` is a descriptor whose end ends everything."""

    def __init__(self, spec: LoadSpec, report: Callable[[dict[str, object]], None], lifeline: int) -> None:
        self._spec = spec
        self._report = report
        self._lifeline = lifeline
        endless = frames_of(tone(RATE, 440.0, 1.0))
        asked = [frames_of(Pcm(RATE, bytes.fromhex(audio))) for audio in spec.questions]
        # Callers begin with different questions, so that not all say the same at the same time.
        talks = [Talk(asked, spec.pause_s, spec.patience_s, turn=index) for index in range(spec.calls)] if asked else []
        self._legs = [Leg(endless, talks[index] if talks else None) for index in range(spec.calls)]
        #: Hung up one by one, each followed by another call in the same place.
        self._former: list[Leg] = []
        self._lines: list[Line | None] = [None] * spec.calls
        self._epoll = select.epoll()
        self._by_fd: dict[int, int] = {}
        self._own = [0] * (BUCKETS + 1)
        self._own_worst = self._own_worst_before = 0.0
        self._sent = self._opened = self._ended_early = 0
        every = spec.calls // max(1, spec.one_by_one)
        #: Which are hung up one by one, in which order: spread, so that they fall on all moments of the 20 ms.
        self._one_by_one = {index * every: index for index in range(spec.one_by_one)}
        self._closed: dict[str, float] = {}
        self._rest_at = 0.0

    def run(self) -> LoadResult | None:
        """Connect, settle, measure, hang up; None when the lifeline ended first. Takes as long as the spec says."""
        spec, legs = self._spec, self._legs
        slot = FRAME_SECONDS / spec.calls
        self._start = time.monotonic() + 0.05
        self._steady_at = self._start + spec.calls * spec.connect_gap_s + spec.settle_s
        self._over_at = self._steady_at + spec.seconds
        progress = [(self._steady_at + second, self._progress) for second in range(1, int(spec.seconds))]
        rest_at = self._over_at + GRACE_S + spec.one_by_one * HANG_UP_GAP_S + (REST_S if spec.one_by_one else 0.0)
        marks = deque([(self._steady_at, self._steady), *progress, (self._over_at, self._over), (rest_at, self._rest)])
        self._epoll.register(self._lifeline, select.EPOLLIN)
        turn, due, tick = 0, self._start, 0
        try:
            while marks or self._by_fd:
                now = time.monotonic()
                for _ in legs:  # at most one round when behind, so that what comes is read in between
                    if due > now:
                        break
                    self._serve_slot(turn % spec.calls, due, now)
                    turn += 1
                    due = self._start + turn * slot
                    now = time.monotonic()
                while marks and now >= marks[0][0]:
                    marks.popleft()[1]()
                if not self._read_all():
                    return None
                tick += 1
                if (pause := self._start + tick * TICK_S - time.monotonic()) > 0:
                    time.sleep(pause)
                else:
                    tick = int((time.monotonic() - self._start) / TICK_S)
        finally:
            self._epoll.close()
            for line in self._lines:
                if line:
                    line.sock.close()
        return self._result()

    def _serve_slot(self, index: int, due: float, now: float) -> None:
        line, leg = self._lines[index], self._legs[index]
        if line is None:
            if not leg.ended and not self._rest_at and now >= self._start + index * self._spec.connect_gap_s:
                self._connect(index, leg, now)
            return
        order = self._one_by_one.get(index)
        if order is not None and now >= self._over_at + GRACE_S + order * HANG_UP_GAP_S:
            del self._one_by_one[index]
            self._hang_up(index, line)
            self._former.append(leg)
            talk = leg.talk and Talk(leg.talk.questions, leg.talk.pause_s, leg.talk.patience_s, turn=index)
            self._legs[index] = Leg(leg.frames, talk)
            return
        late = now - due
        self._own[min(int(late / BUCKET_SECONDS), BUCKETS)] += 1
        if late > self._own_worst:
            self._own_worst = late
        frame = leg.frame(now)
        try:
            whole = line.sock.send(frame) == len(frame)
        except OSError:  # full, reset or broken: all one to Asterisk
            whole = False
        if whole:
            self._sent += 1
        else:
            self._lose(index, line)

    def _connect(self, index: int, leg: Leg, now: float) -> None:
        try:
            sock = socket.create_connection((self._spec.host, self._spec.port), timeout=2.0)
        except OSError:
            leg.ended = now
            self._ended_early += 1
            return
        sock.settimeout(0.0)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._opened += 1
        leg.opened = time.monotonic()
        self._lines[index] = line = Line(leg, sock)
        self._by_fd[sock.fileno()] = index
        self._epoll.register(sock.fileno(), select.EPOLLIN)
        if leg.talk:
            leg.talk.connected(now)
        try:
            sock.send(encode_message(Identity(leg.uuid)))
        except OSError:  # refused as soon as accepted
            self._lose(index, line)

    def _hang_up(self, index: int, line: Line) -> None:
        line.read(time.monotonic())  # a socket closed with something unread in it would send a reset instead of EOF
        self._end(index, line)
        self._closed[str(line.leg.uuid)] = line.leg.ended

    def _lose(self, index: int, line: Line) -> None:
        """The call ended, and not by us."""
        self._ended_early += 1
        self._end(index, line)

    def _end(self, index: int, line: Line) -> None:
        del self._by_fd[line.sock.fileno()]
        self._lines[index] = None
        line.leg.ended = time.monotonic()
        line.sock.close()  # which takes it out of the epoll

    def _read_all(self) -> bool:
        """Read all that has come. False: the lifeline ended."""
        events = self._epoll.poll(0)
        now = time.monotonic()
        for fd, _ in events:
            if fd == self._lifeline:
                return False
            index = self._by_fd[fd]
            line = self._lines[index]
            if line and not line.read(now):
                self._lose(index, line)
        return True

    def _steady(self) -> None:
        self._own_worst_before = self._own_worst
        self._own, self._own_worst = [0] * (BUCKETS + 1), 0.0
        self._before = self._sent, self._loud()
        self._report({"event": "steady", "open": len(self._by_fd)})

    def _progress(self) -> None:
        self._report({"event": "progress", "open": len(self._by_fd)})

    def _over(self) -> None:
        self._own_lateness = Lateness(self._own, self._own_worst)
        self._own = [0] * (BUCKETS + 1)
        sent, loud = self._before
        self._window = self._sent - sent, self._loud() - loud
        self._report({"event": "over", "open": len(self._by_fd)})

    def _rest(self) -> None:
        """Hang up all that are left, at once."""
        self._rest_at = time.monotonic()
        for index, line in enumerate(self._lines):
            if line:
                self._hang_up(index, line)

    def _loud(self) -> int:
        return sum(leg.loud for leg in self._legs)

    def _result(self) -> LoadResult:
        legs = [*self._former, *self._legs]
        heard = heard_by(legs, self._steady_at, self._over_at)
        talks = [leg.talk for leg in legs if leg.talk]
        return LoadResult(
            opened=self._opened,
            ended_early=self._ended_early,
            sent=self._window[0],
            loud=self._window[1],
            own_lateness=self._own_lateness,
            own_stall=max(self._own_worst_before, self._own_worst),
            asked=sum(talk.asked for talk in talks),
            answer_delays=[delay for talk in talks for delay in talk.delays],
            closed=self._closed,
            rest_at=self._rest_at,
            refused_after=[leg.ended - leg.opened for leg in legs if leg.opened and not leg.arrivals],
            **asdict(heard, recurse=False),
        )


def main() -> None:
    """Read the spec, run it, report."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # whoever started this ends it
    spec = LoadSpec(**json.loads(sys.stdin.readline()))

    def report(event: dict[str, object]) -> None:
        sys.stdout.write(json.dumps(event) + "\n")
        sys.stdout.flush()

    generator = Generator(spec, report, sys.stdin.fileno())
    gc.collect()
    gc.freeze()
    gc.disable()  # a pause here would look like lateness there; nothing made from here on forms cycles
    result = generator.run()
    if result is not None:
        report({"event": "result", **asdict(result)})


if __name__ == "__main__":
    main()
