"""Whatever a caller does, a flow answers, ends its reply and never loops."""

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.test_dialogue_flows import FLOW
from tests.test_dialogue_reception import RECEPTION, Caller
from voiceagent.dialogue import Flow, load_flow
from voiceagent.dialogue.engine import advance
from voiceagent.dialogue.state import State
from voiceagent.ports import CallerPressed, CallerQuiet, CallerSpoke, CallOpened, DialogueEvent, ToolReturned, Turn

RECEPTION_FLOW = load_flow(RECEPTION)
SMALL_FLOW = load_flow(FLOW)


def vocabulary(flow: Flow) -> list[str]:
    phrases = [phrase.text for group in flow.intents.values() for phrase in group if not phrase.slots]
    slots = [" ".join(said) for values in flow.vocabulary.values() for said in values]
    return [*phrases, *slots, *(word for phrase in phrases for word in phrase.split())]


SPOKEN = st.lists(st.sampled_from(vocabulary(RECEPTION_FLOW)), max_size=4).map(" ".join) | st.text(max_size=30)
TURNS: st.SearchStrategy[Turn] = st.one_of(
    st.just(CallOpened()),
    st.builds(CallerSpoke, SPOKEN),
    st.builds(CallerPressed, st.sampled_from("0123456789*#")),
    st.just(CallerQuiet()),
    st.builds(ToolReturned, st.integers(0, 6).map("tool-{}".format), st.booleans(), st.text(max_size=5)),
)


@settings(max_examples=150)
@given(turns=st.lists(TURNS, max_size=25), flow=st.sampled_from([RECEPTION_FLOW, SMALL_FLOW]))
def test_any_turns_get_replies_that_end_and_leave_something_to_expect(turns: list[Turn], flow: Flow) -> None:
    caller = Caller(flow)
    for turn in turns:
        caller.take(turn)
        assert caller.expected.phrases
        assert len(caller.text) < 2000
        if not isinstance(turn, ToolReturned):
            assert caller.text or caller.tool


@settings(max_examples=30)
@given(turns=st.lists(TURNS, max_size=15))
def test_the_same_turns_get_the_same_replies(turns: list[Turn]) -> None:
    def replies() -> list[tuple[DialogueEvent, ...]]:
        state, found = State(RECEPTION_FLOW.script.start), []
        for turn in turns:
            state, events = advance(RECEPTION_FLOW, state, turn, greeting="")
            found.append(events)
        return found

    assert replies() == replies()


@given(turns=st.lists(TURNS, max_size=12))
def test_wherever_a_caller_falls_silent_the_call_comes_to_an_end(turns: list[Turn]) -> None:
    caller = Caller(RECEPTION_FLOW)
    for turn in turns:
        caller.take(turn)
    for _ in range(8):
        caller.waits()
        if caller.tool is not None and caller.tool.name in ("hang_up", "transfer"):
            break
        if caller.tool is not None:
            caller.gets(ok=False)
    assert caller.tool is not None
    assert caller.tool.name in ("hang_up", "transfer")


@given(turns=st.lists(TURNS, max_size=12))
def test_zero_always_brings_a_human(turns: list[Turn]) -> None:
    caller = Caller(RECEPTION_FLOW)
    for turn in turns:
        caller.take(turn)
    caller.presses("0")

    assert caller.asked == ("transfer", {"target": "front_desk"})


def test_slots_may_be_said_with_the_wish_that_needs_them_and_are_used_once() -> None:
    caller = Caller(SMALL_FLOW)
    caller.says("i want apples")
    caller.says("yes")
    caller.gets()

    assert caller.says("order something") == "Which fruit?"


def test_a_circle_asks_again_for_what_was_said_once() -> None:
    node = FLOW[FLOW.index("confirm = ") : FLOW.index("[nodes.bye]")]
    flow = load_flow(FLOW.replace(node, 'goto = "order"\n').replace('yes = ["yes"]\nno = ["no"]\n', ""))

    assert Caller(flow).says("i want apples") == "Which fruit?"


def test_a_key_of_a_question_comes_before_a_key_of_the_whole_flow() -> None:
    flow = load_flow(FLOW.replace('{ 0 = "bye" }', '{ 1 = "bye" }'))
    caller = Caller(flow)
    caller.says("order something")

    assert caller.presses("1") == "You want an apple?"
    caller.presses("1")
    assert caller.asked == ("note", {"kind": "order", "fruit": "apple"})
    caller.presses("1")
    assert caller.asked == ("hang_up", {})


def test_a_failed_tool_may_lead_elsewhere() -> None:
    flow = load_flow(FLOW.replace('failed = "That', 'failed_goto = "bye", failed = "That'))
    caller = Caller(flow)
    caller.says("i want apples")
    caller.says("yes")

    assert caller.gets(ok=False) == "That went wrong. Goodbye."
    assert caller.asked == ("hang_up", {})


def test_what_a_node_understands_comes_before_what_is_always_understood() -> None:
    flow = load_flow(FLOW.replace('ask = "What do you want?"', 'ask = "What do you want?"\non = { leave = "order" }'))
    caller = Caller(flow)

    assert caller.says("goodbye") == "Which fruit?"


def test_a_long_chain_of_nodes_is_just_a_long_reply() -> None:
    chain = "".join(f'[nodes.n{at}]\nsay = "{at}"\ngoto = "n{at + 1}"\n' for at in range(2000))
    flow = load_flow(FLOW.replace('start = "ask"', 'start = "n0"') + chain + '[nodes.n2000]\ngoto = "ask"\n')

    assert Caller(flow).text.endswith(" 1999 What do you want?")
