"""The format of the messages between service and speech workers."""

import pytest

from voiceagent.providers.embedded.messages import OPEN, TEXT, Decoder, Message, NonsenseError, encode


def test_messages_survive_any_chunking() -> None:
    messages = [Message(OPEN, 1, b"{}"), Message(TEXT, 0xFFFFFFFF), Message(b"A", 7, bytes(1000))]
    stream = b"".join(map(encode, messages))
    for size in (1, 2, 9, 10, 500, len(stream)):
        decoder = Decoder()
        parts = [stream[at : at + size] for at in range(0, len(stream), size)]
        assert [message for part in parts for message in decoder.receive_data(part)] == messages


@pytest.mark.parametrize("nonsense", [b"Traceback (most", b"A\0\0\0\0\xff\xff\xff\xff", bytes(9)])
def test_nonsense_is_not_taken_for_messages(nonsense: bytes) -> None:
    with pytest.raises(NonsenseError):
        Decoder().receive_data(nonsense)
