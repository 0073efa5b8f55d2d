"""Events find their readers by the ids they are about: in order, bounded, nothing skipped in silence."""

from collections.abc import Iterator

import pytest
import trio
import trio.testing

from voiceagent.pbx.ari.dispatch import HELD, MAILBOX, Dispatch, Mailbox
from voiceagent.pbx.ari.errors import OverflowedError
from voiceagent.wire.ari.events import Event, UnknownEvent


def event(number: int, *ids: str) -> UnknownEvent:
    return UnknownEvent("Test", ids, {"number": number})


def numbers(mailbox: Mailbox) -> Iterator[object]:
    while True:
        try:
            got = mailbox.receive_nowait()
        except trio.WouldBlock:
            return
        assert isinstance(got, UnknownEvent)
        yield got.raw["number"]


def unclaimed_are_errors(event: Event) -> None:
    raise AssertionError(event)


def test_every_subscriber_gets_an_event_once_however_often_it_is_concerned() -> None:
    dispatch = Dispatch(unclaimed_are_errors)
    call, bystander = dispatch.subscribe("channel", "bridge"), dispatch.subscribe("bridge")
    dispatch.publish(event(1, "channel", "bridge"))
    dispatch.publish(event(2, "channel"))
    assert list(numbers(call)) == [1, 2]
    assert list(numbers(bystander)) == [1]


def test_a_mailbox_can_be_told_of_more_as_a_call_grows() -> None:
    unclaimed: list[Event] = []
    dispatch = Dispatch(unclaimed.append)
    with dispatch.subscribe("channel") as call:
        dispatch.publish(event(1, "bridge"))
        call.extend("bridge", "channel")
        dispatch.publish(event(2, "bridge"))
        dispatch.publish(event(3, "channel"))
        assert list(numbers(call)) == [2, 3]
    assert unclaimed == [event(1, "bridge")]


def test_who_has_left_is_told_nothing_and_leaves_nothing() -> None:
    unclaimed: list[Event] = []
    dispatch = Dispatch(unclaimed.append)
    with dispatch.subscribe("channel"):
        pass
    dispatch.publish(event(1, "channel"))
    assert unclaimed == [event(1, "channel")]
    assert not dispatch._mailboxes


async def test_a_reader_waits_for_its_event(nursery: trio.Nursery) -> None:
    dispatch = Dispatch(unclaimed_are_errors)
    mailbox = dispatch.subscribe("channel")
    got: list[Event] = []

    async def read() -> None:
        got.append(await mailbox.receive())

    nursery.start_soon(read)
    await trio.testing.wait_all_tasks_blocked()
    dispatch.publish(event(1, "channel"))
    await trio.testing.wait_all_tasks_blocked()
    assert got == [event(1, "channel")]


async def test_a_reader_that_is_cancelled_loses_nothing() -> None:
    dispatch = Dispatch(unclaimed_are_errors)
    mailbox = dispatch.subscribe("channel")
    dispatch.publish(event(1, "channel"))
    with trio.CancelScope() as scope:
        scope.cancel()
        await mailbox.receive()
    assert await mailbox.receive() == event(1, "channel")


async def test_a_mailbox_that_overflows_says_so_at_once_and_harms_nobody_else() -> None:
    dispatch = Dispatch(unclaimed_are_errors)
    stuck, alive = dispatch.subscribe("a"), dispatch.subscribe("b")
    for number in range(MAILBOX):
        dispatch.publish(event(number, "a"))
    assert dispatch.overflows == 0
    dispatch.publish(event(MAILBOX, "a", "b"))
    dispatch.publish(event(MAILBOX + 1, "a", "b"))
    assert dispatch.overflows == 1
    with pytest.raises(OverflowedError, match=f"^events about a: more than {MAILBOX} were waiting$"):
        await stuck.receive()
    assert list(numbers(alive)) == [MAILBOX, MAILBOX + 1]


async def test_a_reader_that_waits_is_told_of_an_overflow(nursery: trio.Nursery) -> None:
    dispatch = Dispatch(unclaimed_are_errors)
    mailbox = dispatch.subscribe("a")

    async def read() -> None:
        with pytest.raises(OverflowedError):
            await mailbox.receive()

    nursery.start_soon(read)
    await trio.testing.wait_all_tasks_blocked()
    for number in range(MAILBOX + 1):
        dispatch.publish(event(number, "a"))


def test_five_thousand_events_at_once_stay_in_order_per_call_and_bounded() -> None:
    dispatch = Dispatch(unclaimed_are_errors)
    calls = [dispatch.subscribe(f"call-{number}") for number in range(50)]
    for number in range(5000):
        dispatch.publish(event(number, f"call-{number % 49}"))
    for number, call in enumerate(calls[:49]):
        assert list(numbers(call)) == list(range(number, 5000, 49))
    assert list(numbers(calls[49])) == []
    assert dispatch.overflows == 0


def test_what_is_held_comes_after_the_release_in_order() -> None:
    unclaimed: list[Event] = []
    dispatch = Dispatch(unclaimed.append)
    call = dispatch.subscribe("served")
    dispatch.hold()
    dispatch.publish(event(1, "new"))
    dispatch.publish(event(2, "served"))
    dispatch.publish(event(3, "other"))
    assert (list(numbers(call)), unclaimed) == ([2], [])
    dispatch.release()
    assert unclaimed == [event(1, "new"), event(3, "other")]
    dispatch.publish(event(4, "new"))
    assert unclaimed[-1] == event(4, "new")


def test_who_subscribes_while_events_are_held_gets_those_first() -> None:
    unclaimed: list[Event] = []
    dispatch = Dispatch(unclaimed.append)
    dispatch.hold()
    dispatch.publish(event(1, "adopted"))
    dispatch.publish(event(2, "other"))
    adopted = dispatch.subscribe("adopted")
    dispatch.publish(event(3, "adopted"))
    dispatch.release()
    assert list(numbers(adopted)) == [1, 3]
    assert unclaimed == [event(2, "other")]


def test_a_call_begun_by_a_released_event_gets_the_rest_of_its_own() -> None:
    begun: list[Mailbox] = []
    dispatch = Dispatch(lambda _: begun.append(dispatch.subscribe("new")))
    dispatch.hold()
    for number in range(3):
        dispatch.publish(event(number, "new"))
    dispatch.release()
    (call,) = begun
    assert list(numbers(call)) == [1, 2]


def test_a_new_connection_forgets_what_was_held_for_the_last_one() -> None:
    unclaimed: list[Event] = []
    dispatch = Dispatch(unclaimed.append)
    dispatch.hold()
    dispatch.publish(event(1, "new"))
    dispatch.hold()
    dispatch.release()
    assert unclaimed == []


def test_holding_is_bounded() -> None:
    dispatch = Dispatch(unclaimed_are_errors)
    dispatch.hold()
    for number in range(HELD):
        dispatch.publish(event(number, "new"))
    with pytest.raises(OverflowedError, match=f"more than {HELD} were waiting"):
        dispatch.publish(event(HELD, "new"))
