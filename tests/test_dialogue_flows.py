"""Flows are checked when they are loaded: every error at once, each with its place and the nearest valid name."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.test_dialogue_reception import RECEPTION, Caller
from voiceagent.dialogue import FlowErrors, load_flow

FLOW = """
start = "ask"
greeting = "Welcome to {company}."

[values]
company = "the shop"

[fallback]
unclear = "Pardon?"
quiet = "Hello?"
menu = "ask"
unclear_last = "bye"
quiet_last = "bye"

[always]
on = { order = "order", leave = "bye" }
keys = { 0 = "bye" }

[intents]
order = ["i want {fruit}", "order something"]
leave = ["goodbye"]
price = ["what does it cost"]
yes = ["yes"]
no = ["no"]

[answers]
price = "One euro."

[slots.fruit.values]
apple = ["an apple", "apples"]
pear = ["a pear", "pears"]

[nodes.ask]
ask = "What do you want?"

[nodes.order]
collect = [{ slot = "fruit", ask = "Which fruit?", keys = { 1 = "apple" } }]
confirm = { ask = "You want {fruit}?", no = "Again.", yes_key = "1" }
tool = { name = "note", arguments = { kind = "order", fruit = "{fruit}" }, failed = "That went wrong." }
goto = "ordered"

[nodes.ordered]
say = "You get {fruit}."
goto = "ask"

[nodes.bye]
say = "Goodbye."
tool = { name = "hang_up", failed = "Hang up." }
"""


def errors(text: str) -> list[str]:
    with pytest.raises(FlowErrors) as caught:
        load_flow(text)
    assert str(caught.value) == "\n".join(caught.value.lines)
    return caught.value.lines


def test_the_flow_that_the_bad_ones_are_made_of_is_good() -> None:
    caller = Caller(load_flow(FLOW))

    assert caller.text == "Welcome to the shop. What do you want?"
    assert caller.says("i want pears") == "You want a pear?"
    caller.says("yes")
    assert caller.asked == ("note", {"kind": "order", "fruit": "pear"})
    assert caller.gets() == "You get a pear. What do you want?"


@pytest.mark.parametrize(
    ("good", "bad", "lines"),
    [
        # keys and types
        ('start = "ask"', 'strat = "ask"', ["strat: no such key; did you mean 'start'?", "start: is missing"]),
        ('start = "ask"', "start = 5", ["start: must be a text, not a whole number"]),
        ('start = "ask"', 'start = ""', ["start: must not be empty"]),
        ('["goodbye"]', '"goodbye"', ["intents.leave: must be a list, not a text"]),
        ('["goodbye"]', '["goodbye", 1979-05-27]', ["intents.leave[1]: must be a text, not a date or time"]),
        ('{ 0 = "bye" }', "true", ["always.keys: must be a table, not true or false"]),
        (
            'slot = "fruit", ask',
            'slot = "fruit", asks = "", ask',
            ["nodes.order.collect[0].asks: no such key; did you mean 'ask'?"],
        ),
        (', failed = "That went wrong."', "", ["nodes.order.tool.failed: is missing"]),
        ('failed = "Hang up."', 'failed = ""', ["nodes.bye.tool.failed: must not be empty"]),
        # names
        ('start = "ask"', 'start = "aks"', ["start: there is no node 'aks'; did you mean 'ask'?"]),
        ('menu = "ask"', 'menu = "xyz"', ["fallback.menu: there is no node 'xyz'"]),
        ('menu = "ask"', 'menu = "bye"', ["fallback.menu: node 'bye' must have an `ask`"]),
        (
            'order = "order",',
            'oder = "order", order = "order",',
            ["always.on.oder: there is no intent 'oder'; did you mean 'order'?"],
        ),
        ('leave = "bye" }', 'leave = "by" }', ["always.on.leave: there is no node 'by'; did you mean 'bye'?"]),
        ('{ 0 = "bye" }', '{ 10 = "bye" }', ["always.keys.10: '10' is not a key of a telephone: 0 to 9, * or #"]),
        ("[always]", '[always]\nrepeat = "again"', ["always.repeat: there is no intent 'again'"]),
        (
            'price = "One euro."',
            'price = "One euro."\nprize = "None."',
            ["answers.prize: there is no intent 'prize'; did you mean 'price'?"],
        ),
        (
            '{ slot = "fruit", ask',
            '{ slot = "fruits", ask',
            [
                "nodes.order.collect[0].slot: there is no slot 'fruits'; did you mean 'fruit'?",
                "nodes.order.confirm.ask: {fruit} is not filled on every way to here",
                "nodes.order.tool.arguments.fruit: {fruit} is not filled on every way to here",
                "nodes.ordered.say: {fruit} is not filled on every way to here",
            ],
        ),
        (
            '{ 1 = "apple" }',
            '{ 1 = "appel" }',
            ["nodes.order.collect[0].keys.1: there is no value of 'fruit' 'appel'; did you mean 'apple'?"],
        ),
        (
            'yes_key = "1"',
            'yes_key = "y"',
            ["nodes.order.confirm.yes_key: 'y' is not a key of a telephone: 0 to 9, * or #"],
        ),
        ('"note"', '"notes"', ["nodes.order.tool.name: there is no tool 'notes'; did you mean 'note'?"]),
        (
            'kind = "order"',
            'king = "order"',
            ["nodes.order.tool.arguments: 'note' must be given 'kind'; did you mean 'king'?"],
        ),
        (
            'failed = "That',
            'failed_goto = "aks", failed = "That',
            ["nodes.order.tool.failed_goto: there is no node 'aks'; did you mean 'ask'?"],
        ),
        # phrases
        ('["goodbye"]', "[]", ["intents.leave: needs at least one phrase"]),
        (
            '["goodbye"]',
            '["Good bye"]',
            ["intents.leave[0]: is not plain lower-case words with [optional], (one|other) and {slot}"],
        ),
        ('["goodbye"]', '["[a][b][c][d][e] f [g]"]', ["intents.leave[0]: stands for more than 32 phrases"]),
        ('["goodbye"]', '["order something"]', ["intents.leave[0]: 'order something' is a phrase of 'order' too"]),
        (
            '"i want {fruit}"',
            '"i want {fruits}"',
            ["intents.order[0]: there is no slot 'fruits'; did you mean 'fruit'?"],
        ),
        ("[answers]", 'more = ["more"]\n[answers]', ["intents.more: nothing acts on this intent"]),
        ('yes = ["yes"]\n', "", ["nodes.order.confirm: needs an intent called 'yes'"]),
        # slots
        ('"pears"', '"apples"', ["slots.fruit.values.pear[1]: 'apples' is a phrase of 'apple' too"]),
        ('["a pear", "pears"]', "[]", ["slots.fruit.values.pear: needs at least one phrase"]),
        ('"pears"', '"?"', ["slots.fruit.values.pear[1]: has no words"]),
        (
            'company = "the',
            'fruit = "the',
            [
                "greeting: {company} is neither a slot nor one of the `values`",
                "slots.fruit: 'fruit' is one of the `values` too",
            ],
        ),
        (
            "[slots.fruit.values]",
            '[slots.fruit]\nphrases = ["{fruit}", "some of it"]\n[slots.fruit.values]',
            ["slots.fruit.phrases[1]: does not hold {fruit}"],
        ),
        (
            "[slots.fruit.values]",
            "[slots.Colour.values]\n[slots.fruit.values]",
            [
                "slots.Colour: a slot's name is small letters and underscores",
                "slots.Colour.values: needs at least one value",
            ],
        ),
        # what can be filled
        (
            '"Welcome to {company}."',
            '"Welcome to {compny}."',
            ["greeting: {compny} is neither a slot nor one of the `values`; did you mean 'company'?"],
        ),
        ('"One euro."', '"One euro for {fruit}."', ["answers.price: {fruit} is not filled on every way to here"]),
        (
            '"Which fruit?"',
            '"Which fruit, {fruit}?"',
            ["nodes.order.collect[0].ask: {fruit} is not filled on every way to here"],
        ),
        (
            'no = "Again."',
            'no = "Not {fruit}."',
            ["nodes.order.confirm.no: {fruit} is not filled on every way to here"],
        ),
        ('{ 0 = "bye" }', '{ 0 = "ordered" }', ["nodes.ordered.say: {fruit} is not filled on every way to here"]),
        ('"What do you want?"', '"More {fruit}?"', ["nodes.ask.ask: {fruit} is not filled on every way to here"]),
        # ways
        ("[nodes.bye]", '[nodes.lost]\nask = "Where am I?"\n[nodes.bye]', ["nodes.lost: nothing leads here"]),
        (
            '"Goodbye."\ntool = { name = "hang_up", failed = "Hang up." }',
            '"Goodbye."',
            ["nodes.bye: leads nowhere: it needs `goto`, `ask`, or a tool that ends the call"],
        ),
        ('goto = "ask"', 'goto = "ask"\nask = "Well?"', ["nodes.ordered: has both `goto` and `ask`"]),
        ('goto = "ask"', 'goto = "ask"\nagain = "Well?"', ["nodes.ordered.again: means nothing without `ask`"]),
        (
            "collect = [{",
            'confirm = { ask = "Sure?", no = "Again." }\ngoto = "ordered"\n[nodes.other]\ncollect = [{',
            [
                "nodes.order.confirm: there is nothing collected to confirm",
                "nodes.other: nothing leads here",
                "nodes.ordered.say: {fruit} is not filled on every way to here",
            ],
        ),
        (
            'goto = "ask"',
            'goto = "round"\n[nodes.round]\ntool = { name = "take_message", failed = "No." }\ngoto = "ordered"',
            ["nodes.round: a circle in which the caller is never asked anything: round, ordered, round"],
        ),
    ],
)
def test_a_bad_flow_is_refused_with_the_place_of_every_error(good: str, bad: str, lines: list[str]) -> None:
    assert good in FLOW
    assert sorted(errors(FLOW.replace(good, bad, 1))) == sorted(f"flow: {line}" for line in lines)


def test_all_errors_are_reported_at_once() -> None:
    text = FLOW.replace('goto = "ordered"', 'goto = "orderd"\ncolour = 1').replace('start = "ask"', "start = 1")
    text = text.replace('"goodbye"', '"Goodbye"').replace('quiet_last = "bye"', 'quiet_last = "by"')

    assert errors(text) == [
        "flow: start: must be a text, not a whole number",
        "flow: nodes.order.colour: no such key",
        "flow: fallback.quiet_last: there is no node 'by'; did you mean 'bye'?",
        "flow: intents.leave[0]: is not plain lower-case words with [optional], (one|other) and {slot}",
        "flow: nodes.order.goto: there is no node 'orderd'; did you mean 'ordered'?",
        "flow: nodes.ordered: nothing leads here",
    ]


def test_an_empty_flow_names_everything_that_is_missing() -> None:
    assert errors("") == [f"flow: {key}: is missing" for key in ("start", "greeting", "fallback", "nodes")]


def test_text_that_is_not_toml_is_refused_with_its_line() -> None:
    (line,) = errors("start = ask")
    assert line.startswith("flow: not TOML: ")
    assert "line 1" in line


def test_a_file_is_named_in_its_errors(tmp_path: Path) -> None:
    missing, binary, bad = tmp_path / "none.toml", tmp_path / "binary.toml", tmp_path / "bad.toml"
    binary.write_bytes(b"\xff\xfe")
    bad.write_text(FLOW.replace('start = "ask"', 'start = "aks"'))

    for path, what in (
        (missing, "No such file or directory"),
        (tmp_path, "Is a directory"),
        (binary, "not UTF-8 text: invalid start byte at byte 0"),
        (bad, "start: there is no node 'aks'; did you mean 'ask'?"),
    ):
        with pytest.raises(FlowErrors) as caught:
            load_flow(path)
        assert caught.value.lines == [f"{path}: {what}"]


def test_a_flow_may_only_use_the_tools_there_are() -> None:
    with pytest.raises(FlowErrors) as caught:
        load_flow(FLOW, {"note": ()})
    assert caught.value.lines == ["flow: nodes.bye.tool.name: there is no tool 'hang_up'"]


@given(data=st.data())
def test_no_damage_to_a_flow_is_anything_but_flow_errors(data: st.DataObject) -> None:
    lines = RECEPTION.read_text(encoding="utf-8").splitlines()
    at = data.draw(st.integers(0, len(lines) - 1))
    damage = data.draw(st.sampled_from(["drop", "twice", "swap", "value"]))
    if damage == "drop":
        del lines[at]
    elif damage == "twice":
        lines.insert(at, lines[at])
    elif damage == "swap":
        other = data.draw(st.integers(0, len(lines) - 1))
        lines[at], lines[other] = lines[other], lines[at]
    else:
        lines[at] = lines[at].split("=")[0] + data.draw(
            st.sampled_from(["= 1", "= []", "= {}", '= ""', '= "x"', "= [[]]"])
        )
    try:
        flow = load_flow("\n".join(lines))
    except FlowErrors:
        return
    assert Caller(flow).text


def test_the_flow_in_the_documentation_works() -> None:
    page = (Path(__file__).parent.parent / "docs" / "flows.md").read_text(encoding="utf-8")
    (text,) = [block.split("```")[0] for block in page.split("```toml")[1:] if 'start = "welcome"' in block]
    caller = Caller(load_flow(text))

    assert caller.says("when are you open") == "We are open from nine to five. How can I help you?"
    assert caller.says("that is all") == "Goodbye."
    assert caller.asked == ("hang_up", {})
