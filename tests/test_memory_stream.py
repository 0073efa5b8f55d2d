"""The stream over a connection in memory keeps the contract of Trio's streams."""

import pytest
import trio
import trio.testing

from voiceagent.pbx.memory import memory_pair
from voiceagent.pbx.memory_stream import MemoryStream


async def stream_pair() -> tuple[MemoryStream, MemoryStream]:
    here, there = memory_pair()
    return MemoryStream(here), MemoryStream(there)


async def clogged_pair() -> tuple[MemoryStream, MemoryStream]:
    here, there = memory_pair(100)
    here.send(bytes(100))
    there.send(bytes(100))
    return MemoryStream(here), MemoryStream(there)


async def test_it_keeps_the_contract_of_a_stream_that_can_be_half_closed() -> None:
    await trio.testing.check_half_closeable_stream(stream_pair, clogged_pair)


async def test_an_abort_is_a_reset_for_the_other_end() -> None:
    here, there = await stream_pair()
    await here.send_all(b"lost")
    here.abort()
    with pytest.raises(trio.BrokenResourceError) as error:
        await there.receive_some()
    assert isinstance(error.value.__cause__, ConnectionResetError)


async def test_what_is_sent_to_an_end_that_has_closed_is_lost_once_and_then_refused() -> None:
    here, there = memory_pair()
    there.close()
    assert here.send(b"lost") == 4
    with pytest.raises(BrokenPipeError):
        here.send(b"refused")
    assert here.recv_into(bytearray(1)) == 0
