"""A media leg meets the call that announced it: once, in time, or never."""

from uuid import UUID

from voiceagent.calls.rendezvous import Rendezvous

LEG, OTHER = UUID(int=1), UUID(int=2)


def test_the_leg_that_was_announced_is_claimed_once() -> None:
    rendezvous = Rendezvous[str]()
    rendezvous.announce(LEG, "a call", until=10.0)
    assert rendezvous.claim(OTHER, now=1.0) is None
    assert rendezvous.claim(LEG, now=10.0) == "a call"
    assert rendezvous.claim(LEG, now=1.0) is None


def test_a_leg_that_comes_late_is_nobodys() -> None:
    rendezvous = Rendezvous[str]()
    rendezvous.announce(LEG, "a call", until=10.0)
    assert rendezvous.claim(LEG, now=10.001) is None
    assert rendezvous.claim(LEG, now=9.0) is None


def test_a_leg_that_was_withdrawn_is_nobodys() -> None:
    rendezvous = Rendezvous[str]()
    rendezvous.announce(LEG, "a call", until=10.0)
    rendezvous.withdraw(LEG)
    rendezvous.withdraw(OTHER)
    assert rendezvous.claim(LEG, now=1.0) is None
