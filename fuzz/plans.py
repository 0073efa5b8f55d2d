"""What a plan for the service is: which service, who calls it, and what each caller does, as values that can be written
down. Times are virtual seconds."""

from itertools import chain
from typing import Final, Literal, TypeAlias

import cattrs
from attrs import field, frozen
from cattrs.strategies import configure_tagged_union
from hypothesis import strategies as st

#: Callers say they are one of this many calls, so that some UUIDs come twice.
UUIDS: Final = 3


@frozen
class Identify:
    """A UUID frame; `who` numbers the call."""

    who: int


@frozen
class Frames:
    """`count` frames of any kind, a burst of `burst` at a time, then `every` seconds of nothing."""

    kind: int
    size: int
    count: int = 1
    burst: int = 1
    every: float = 0.0
    loud: bool = False


@frozen
class Key:
    """A DTMF frame, of a key or not."""

    digit: str


@frozen
class Raw:
    """Any bytes, in hex: noise, half a frame."""

    data: str


@frozen
class Wait:
    seconds: float


@frozen
class Deaf:
    """From now on the caller does not read; `room` more bytes fit on the way to him."""

    room: int


@frozen
class Listen:
    """The caller reads again."""


Action: TypeAlias = Identify | Frames | Key | Raw | Wait | Deaf | Listen


@frozen
class Caller:
    """A connection. What is sent goes out in two halves with a pause of `halves` seconds, unless that is 0.

    After the actions he closes, resets, or stays; one who stays closes on 0x00 if he is `polite`, else never.
    """

    start: float
    actions: tuple[Action, ...]
    then: Literal["close", "abort", "stay"] = "close"
    polite: bool = True
    halves: float = 0.0


@frozen
class Plan:
    """A service and its callers. `stops_at`: when the service is told to stop, if it is.

    `said` is what the recogniser makes of the turns, in order (`!`: it fails); `failures` counts the voice's.
    """

    agent: Literal["echo", "conversation"]
    callers: tuple[Caller, ...]
    max_calls: int = 10
    max_pending: int = 10
    idle_s: float = 2.0
    max_call_s: float = 10.0
    stops_at: float | None = None
    said: tuple[str, ...] = ()
    failures: int = field(default=0)


_converter = cattrs.Converter(omit_if_default=True, forbid_extra_keys=True)
configure_tagged_union(Action, _converter, tag_name="do")


def to_json(plan: Plan) -> object:
    return _converter.unstructure(plan)


def from_json(content: object) -> Plan:
    return _converter.structure(content, Plan)


# Making them ---------------------------------------------------------------------------------------------------------


def plans() -> st.SearchStrategy[Plan]:
    """Plans of a few virtual seconds."""
    return st.builds(
        Plan,
        agent=st.sampled_from(["echo", "conversation", "conversation"]),
        callers=st.lists(callers(), min_size=1, max_size=3).map(tuple),
        max_calls=st.sampled_from([10, 10, 3, 2]),
        max_pending=st.sampled_from([10, 10, 2, 1]),
        idle_s=st.sampled_from([1.0, 2.0]),
        max_call_s=st.sampled_from([10.0, 10.0, 3.0, 1.0]),
        stops_at=st.none() | st.none() | _seconds(0, 250),
        said=st.lists(_said, max_size=4).map(tuple),
        failures=st.sampled_from([0, 0, 0, 1, 7]),
    )


def callers() -> st.SearchStrategy[Caller]:
    deeds = st.lists(_deeds, max_size=6).map(lambda deeds: tuple(chain.from_iterable(deeds)))
    well_begun = st.builds(lambda who, rest: (Identify(who), *rest), _who, deeds)
    return st.builds(
        Caller,
        start=_seconds(0, 100),
        actions=well_begun | well_begun | well_begun | deeds,
        then=st.sampled_from(["close", "abort", "stay"]),
        polite=st.booleans(),
        halves=st.sampled_from([0.0, 0.0, 0.0, 0.005, 0.03]),
    )


def _seconds(least: int, most: int) -> st.SearchStrategy[float]:
    """Whole hundredths."""
    return st.integers(least, most).map(lambda hundredths: hundredths / 100)


_who = st.integers(0, UUIDS - 1)
_said = st.sampled_from(
    ["", "!", "when are you open", "yes", "goodbye", "i would like to leave a message", "could i speak to sales"]
)
_talk = st.builds(
    Frames,
    kind=st.just(0x10),
    size=st.just(320),
    count=st.integers(1, 50),
    every=st.just(0.02),
    loud=st.booleans(),
)
_any_audio = st.builds(
    Frames,
    kind=st.integers(0x10, 0x18),
    size=st.sampled_from([2, 160, 320, 322, 640, 1764, 1920, 7680, 65534]) | st.integers(0, 1000),
    count=st.integers(1, 20),
    burst=st.sampled_from([1, 3, 20]),
    every=st.sampled_from([0.0, 0.005, 0.02, 0.1]),
    loud=st.booleans(),
)
_flood = st.builds(
    Frames,
    kind=st.sampled_from([0x10, 0x10, 0x12]),
    size=st.sampled_from([320, 640, 3200]),
    count=st.integers(100, 600),
    burst=st.sampled_from([20, 50, 200]),
    every=st.sampled_from([0.0, 0.05, 0.1]),
    loud=st.booleans(),
)
_ulaw = st.builds(
    Frames,
    kind=st.just(0x10),
    size=st.just(160),
    count=st.sampled_from([20, 49, 60, 130]),
    every=st.sampled_from([0.02, 0.02, 0.01]),
    loud=st.booleans(),
)
_odd_frame = st.builds(Frames, kind=st.integers(0, 255), size=st.sampled_from([0, 0, 1, 2, 15, 16, 17, 200]))
#: A turn: words, then silence.
_turn = st.builds(
    lambda words, pause: (Frames(0x10, 320, words, every=0.02, loud=True), Frames(0x10, 320, pause, every=0.02)),
    st.integers(5, 30),
    st.integers(10, 50),
)
_keys = st.builds(
    Frames,
    kind=st.just(0x03),
    size=st.just(1),
    count=st.integers(1, 300),
    burst=st.sampled_from([1, 10, 40]),
    every=st.sampled_from([0.0, 0.02]),
)
_nothing_much = st.builds(
    Frames, kind=st.sampled_from([0x02, 0x04, 0x0F, 0x19, 0x42]), size=st.integers(0, 9), count=st.integers(1, 5)
)
_key = st.builds(Key, st.sampled_from("0123456789ABCD*#0#x") | st.text("1a é", max_size=2))
_actions: st.SearchStrategy[Action] = st.one_of(
    _talk,
    _talk,
    _talk,
    _any_audio,
    _flood,
    _ulaw,
    _odd_frame,
    _nothing_much,
    _key,
    _keys,
    st.builds(Identify, _who),
    st.builds(Raw, st.binary(max_size=12).map(bytes.hex)),
    st.builds(Raw, st.just((b"\x10\x01\x40" + bytes(100)).hex())),
    st.builds(Wait, _seconds(1, 60)),
    st.builds(Wait, _seconds(90, 250)),
    st.builds(Deaf, st.sampled_from([0, 1, 100, 323, 1000])),
    st.builds(Listen),
)
_deeds: st.SearchStrategy[tuple[Action, ...]] = st.one_of(_turn, *[_actions.map(lambda action: (action,))] * 4)
