"""The line under the media clock, in virtual time over the in-memory twin."""

import fcntl
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import uuid4

import pytest
import trio
from trio.testing import MockClock

from tests.peer import Peer
from voiceagent.pbx.clock import MediaClock
from voiceagent.pbx.inbox import INBOX_SECONDS
from voiceagent.pbx.line import Line
from voiceagent.pbx.listener import SocketEndpoint
from voiceagent.wire.audiosocket import (
    Audio,
    Dtmf,
    Hangup,
    Identity,
    PeerError,
    encode_audio,
    encode_frame,
    encode_message,
    silence_frame,
)


@asynccontextmanager
async def connected(number: int = 0) -> AsyncIterator[tuple[Peer, Line, MediaClock]]:
    """A line on a running clock, its peer already identified."""
    clock, peer = MediaClock(), Peer()
    line = Line(peer.endpoint, peer="memory:0", number=number)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(clock.run)
        clock.attach(line)
        peer.identify()
        assert await line.wait_identity() is not None
        yield peer, line, clock
        clock.detach(line)
        line.close()
        nursery.cancel_scope.cancel()


async def test_silence_goes_out_every_20_ms_from_accept_on(autojump_clock: MockClock) -> None:
    async with connected() as (peer, line, _):
        start = trio.current_time()
        await peer.talk(" " * 1500)
        times = [at for at, _ in peer.audio]
        assert len(times) == pytest.approx(1500, abs=1)
        assert times[0] - start <= 0.021
        assert {audio.data for _, audio in peer.audio} == {bytes(320)}
        assert line.frames_dropped == 0


async def test_each_frame_is_written_on_the_grid_exactly(autojump_clock: MockClock) -> None:
    async with connected() as (peer, _, clock):
        times: list[float] = []
        original = peer.endpoint.send

        def send(data: bytes, /) -> int:
            times.append(trio.current_time())
            return original(data)

        peer.endpoint.send = send  # type: ignore[method-assign]
        await peer.talk("." * 1500)
        assert max(abs(at - times[0] - k * 0.02) for k, at in enumerate(times)) < 1e-9
        assert clock.stats.max_lateness < 1e-9


async def test_what_is_to_be_played_replaces_silence_frame_by_frame(autojump_clock: MockClock) -> None:
    async with connected() as (peer, line, _):
        line.playout.push(8000, b"\1" * 320 + b"\2" * 320)
        await peer.talk(" " * 5)
        assert [audio.data[0] for _, audio in peer.speech] == [1, 2]


async def test_batches_come_in_order_with_keys_at_their_place(autojump_clock: MockClock) -> None:
    async with connected() as (peer, line, _):
        peer.send(encode_audio(8000, b"\1\0" * 160) + encode_message(Dtmf("5")) + encode_audio(8000, b"\2\0" * 160))
        batch = await line.receive()
        assert batch == [Audio(8000, b"\1\0" * 160), Dtmf("5"), Audio(8000, b"\2\0" * 160)]


async def test_the_oldest_audio_goes_when_nobody_takes_it_and_keys_stay(autojump_clock: MockClock) -> None:
    async with connected() as (peer, line, _):
        await peer.talk("7" + "." * 150)
        batch = await line.receive()
        assert batch[0] == Dtmf("7")
        assert batch[1:] == [Audio(8000, bytes(int(INBOX_SECONDS * 16000)))]
        assert line.counts["audio dropped unheard"] == 150 - INBOX_SECONDS / 0.02


async def test_a_partly_sent_frame_is_finished_before_anything_else(autojump_clock: MockClock) -> None:
    async with connected() as (peer, line, _):
        await peer.talk("  ")
        peer.end.limit(323 + 100)
        await trio.sleep(0.08)  # two frames fit in part, later ones not at all
        dropped = line.frames_dropped
        assert dropped >= 2
        peer.end.limit(65536)
        line.playout.push(8000, b"\7" * 320)
        await peer.talk("    ")
        assert all(len(audio.data) == 320 for _, audio in peer.audio)
        assert [audio.data for _, audio in peer.speech] == [b"\7" * 320]
        assert line.frames_dropped == dropped


async def test_hanging_up_mid_frame_finishes_the_frame_then_sends_0x00(autojump_clock: MockClock) -> None:
    async with connected() as (peer, line, _):
        await peer.talk("  ")
        peer.end.limit(100)
        await trio.sleep(0.04)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(line.hang_up)
            await trio.sleep(0.02)
            peer.end.limit(65536)
            await peer.talk("     ")
            assert isinstance(peer.received[-1][1], Hangup)
            assert all(len(audio.data) == 320 for _, audio in peer.audio)
            peer.end.close()
        assert line.ended is not None


@pytest.mark.parametrize(
    ("frame", "cause", "detail"),
    [
        (encode_message(Hangup()), "caller hung up", ""),
        (encode_message(PeerError(2)), "peer error", "code 2"),
        (encode_frame(0x01, bytes(16)), "protocol error", "a second UUID"),
        (encode_frame(0x01, b"x"), "protocol error", "a UUID frame carries 16 bytes, not 1"),
    ],
)
async def test_frames_that_end_a_line(frame: bytes, cause: str, detail: str, autojump_clock: MockClock) -> None:
    async with connected() as (peer, line, _):
        peer.send(frame)
        assert await line.receive() == []
        assert line.ended is not None
        assert (line.ended.cause, line.ended.detail) == (cause, detail)


async def test_useless_frames_are_counted_and_forgotten(autojump_clock: MockClock) -> None:
    async with connected() as (peer, line, _):
        peer.send(encode_frame(0x10, b"abc") + encode_frame(0x10, b"") + encode_frame(0x44, b"") + silence_frame(8000))
        await peer.talk("...")
        assert line.ended is None
        assert line.counts == {"odd audio": 1, "empty audio": 1, "unknown kind": 1}


@pytest.mark.parametrize("how", ["eof", "reset"])
async def test_a_peer_that_goes_ends_the_line_within_a_frame(how: str, autojump_clock: MockClock) -> None:
    async with connected() as (peer, line, _):
        await peer.talk("...")
        gone = trio.current_time()
        if how == "eof":
            peer.end.close()
        else:
            peer.end.abort()
        while await line.receive():
            pass
        assert line.ended is not None
        assert line.ended.cause == "caller hung up"
        assert trio.current_time() - gone <= 0.0201


async def test_an_error_in_one_line_ends_that_line_and_no_other(autojump_clock: MockClock) -> None:
    async with connected() as (peer, line, clock):
        other_peer = Peer()
        other = Line(other_peer.endpoint, peer="memory:1")
        clock.attach(other)
        other_peer.identify()

        def explode(_rate: int, _data: bytes) -> None:
            raise RuntimeError("a bug")

        other.on_audio = explode
        await other_peer.talk("..")
        await peer.talk("...")
        assert other.ended is not None
        assert isinstance(other.ended.error, RuntimeError)
        assert line.ended is None
        clock.detach(other)
        other.close()


async def test_a_stall_is_caught_up_by_two_frames_and_the_rest_is_counted(mock_clock: MockClock) -> None:
    clock, peer = MediaClock(), Peer()
    line = Line(peer.endpoint, peer="memory:0")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(clock.run)
        clock.attach(line)
        await trio.testing.wait_all_tasks_blocked()
        mock_clock.jump(0.001)
        await trio.testing.wait_all_tasks_blocked()
        mock_clock.jump(0.5)
        await trio.testing.wait_all_tasks_blocked()
        assert line.frames_sent == 1 + 3  # on time, then the one due now and two caught up
        assert line.frames_dropped == clock.stats.frames_dropped == 22
        assert clock.stats.frames_due == clock.stats.frames_sent + clock.stats.frames_dropped
        mock_clock.jump(0.02)
        await trio.testing.wait_all_tasks_blocked()
        assert line.frames_sent == 5
        clock.detach(line)
        line.close()
        nursery.cancel_scope.cancel()


async def test_a_peer_that_breaks_the_protocol_is_hung_up_on(autojump_clock: MockClock) -> None:
    async with connected() as (peer, line, _):
        peer.send(encode_frame(0x01, bytes(16)))
        await peer.talk("..")
        assert line.ended is not None
        async with trio.open_nursery() as nursery:
            nursery.start_soon(peer.answer_hangup)
            await line.hang_up()
        assert peer.hung_up


async def test_mislabelled_ulaw_ends_the_call_with_the_remedy(autojump_clock: MockClock) -> None:
    async with connected() as (peer, line, _):
        for _ in range(60):
            peer.send(encode_audio(8000, b"\xff" * 160))
            await peer.talk(" ")
        assert line.ended is not None
        assert line.ended.cause == "mislabelled audio"
        assert "c(slin)" in line.ended.detail


async def test_pcm_in_packets_of_10_ms_is_no_ulaw(autojump_clock: MockClock) -> None:
    async with connected() as (peer, line, _):
        for _ in range(200):
            peer.send(encode_audio(8000, b"\xff" * 160) * 2)
            await peer.talk(" ")
        assert line.ended is None


async def test_a_flood_keeps_the_newest_second_and_counts_the_rest(autojump_clock: MockClock) -> None:
    async with connected() as (peer, line, _):
        sent = 0
        for _ in range(150):  # 3 s at five times real time
            peer.send(b"".join(encode_audio(8000, (sent + n).to_bytes(2, "little") * 160) for n in range(5)))
            sent += 5
            await peer.talk(" ")
            if line.counts["audio dropped in a flood"]:
                break
        assert sent == 305  # the first beyond six seconds' worth
        while sent < 750:
            peer.send(encode_audio(8000, sent.to_bytes(2, "little") * 160) * 5)
            sent += 5
            await peer.talk(" ")
        await peer.talk("." * 150)
        (audio,) = await line.receive()
        assert isinstance(audio, Audio)
        assert len(audio.data) <= 2 * 16000
        assert line.ended is None


async def test_a_burst_after_a_stall_of_the_peer_is_no_flood(autojump_clock: MockClock) -> None:
    async with connected() as (peer, line, _):
        await peer.talk(" " * 100)
        peer.send(encode_audio(8000, bytes(320)) * 100)
        await peer.talk("." * 50)
        assert line.counts["audio dropped in a flood"] == 0


async def test_a_reused_descriptor_never_means_the_line_it_meant_before() -> None:
    clock = MediaClock()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(clock.run)
        with socket.create_server(("127.0.0.1", 0)) as server, trio.fail_after(10):
            gone, gone_far_end = await accepted(server)
            number = gone.endpoint.fileno()
            clock.attach(gone)
            gone_far_end.close()
            await gone.wait_gone()
            clock.detach(gone)
            gone.close()
            fresh, fresh_far_end = await accepted(server)
            assert fresh.endpoint.fileno() == number
            clock.attach(fresh)
            fresh_far_end.send(encode_message(Identity(uuid4())))
            assert await fresh.wait_identity() is not None
            assert not fresh.gone
            clock.detach(fresh)
            fresh.close()
            fresh_far_end.close()
        nursery.cancel_scope.cancel()


async def accepted(server: socket.socket) -> tuple[Line, socket.socket]:
    """A line over a real connection; the descriptor of its own end is the lowest free one."""
    far_end = socket.create_connection(server.getsockname())
    held = os.dup(far_end.fileno())
    far_end_moved = socket.socket(fileno=fcntl.fcntl(held, fcntl.F_DUPFD, 500))
    os.close(held)
    far_end.close()
    connection, _ = server.accept()
    return Line(SocketEndpoint(connection), peer="loopback"), far_end_moved


async def test_0x00_that_finds_no_room_is_sent_once_there_is_some(autojump_clock: MockClock) -> None:
    async with connected() as (peer, line, _):
        peer.end.limit(0)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(line.hang_up)
            await trio.sleep(0.1)
            peer.end.limit(65536)
            await peer.talk("     ")
            assert peer.hung_up
            peer.end.close()


async def test_a_flood_of_tiny_frames_is_worked_off_in_portions(autojump_clock: MockClock) -> None:
    async with connected() as (peer, line, _):
        peer.send(encode_frame(0x44, b"") * 1000 + silence_frame(8000))
        await peer.talk(" ")
        assert 0 < line.counts["unknown kind"] <= 512
        await peer.talk("     ")
        assert line.counts["unknown kind"] == 1000
        assert line.frames_received == 1


async def test_packets_of_changing_size_are_no_ulaw(autojump_clock: MockClock) -> None:
    async with connected() as (peer, line, _):
        for _ in range(100):
            peer.send(encode_audio(8000, b"\xff" * 160))
            await peer.talk(".")
        assert line.ended is None


async def test_keys_faster_than_any_finger_are_refused(autojump_clock: MockClock) -> None:
    async with connected() as (peer, line, _):
        peer.send(encode_message(Dtmf("5")) * 100)
        await peer.talk(" ")
        assert len(await line.receive()) == 20
        assert line.counts["digits refused"] == 80
