"""The scripted conversation as a pure function: a state and a turn give the next state and what to say and do.

Whatever the caller does leads to another state and to events that end with Done; every chain of nodes without a
question is finite because `check` refuses the others.
"""

from typing import Any

from attrs import evolve

from voiceagent.dialogue.flow import TERMINAL, Collect, Confirm, Flow, Node
from voiceagent.dialogue.phrases import replace_slots
from voiceagent.dialogue.state import (
    Answer,
    Asking,
    Collecting,
    Confirming,
    Fill,
    Go,
    Meaning,
    No,
    Repeat,
    State,
    Working,
    Yes,
    listening,
)
from voiceagent.dialogue.understand import understand
from voiceagent.ports import (
    CallerPressed,
    CallerQuiet,
    CallerSpoke,
    CallOpened,
    DialogueEvent,
    Done,
    Text,
    ToolCall,
    ToolReturned,
    Turn,
)

#: Times a caller may answer one confirmation with "no" before the last step of the fallback.
_REFUSALS = 3


def advance(flow: Flow, state: State, turn: Turn, *, greeting: str) -> tuple[State, tuple[DialogueEvent, ...]]:
    """What comes of `turn`. The events end with Done, and hold at most one ToolCall, just before it.

    `greeting` replaces the flow's own unless empty.
    """
    reply = _Reply(flow, state)
    match turn:
        case CallOpened():
            reply.greet(greeting)
            reply.enter(flow.script.start)
        case CallerSpoke(text):
            reply.spoke(text)
        case CallerPressed(digit):
            reply.pressed(digit)
        case CallerQuiet():
            reply.missed(flow.script.fallback.quiet, flow.script.fallback.quiet_last)
        case ToolReturned(id, ok, _):
            reply.returned(id, ok=ok)
    return reply.result()


class _Reply:
    """One reply being put together."""

    def __init__(self, flow: Flow, state: State) -> None:
        self._flow = flow
        self._script = flow.script
        self._state = state
        self._spoken: dict[str, str] = {}  # slots said in this turn that no node has taken yet
        self._texts: list[str] = []
        self._call: ToolCall | None = None
        self._keep_said = False
        self._next = ""

    def result(self) -> tuple[State, tuple[DialogueEvent, ...]]:
        while self._next:
            name, self._next = self._next, ""
            self._begin(name)
        if self._texts and not self._keep_said:
            self._set(said=" ".join(self._texts))
        # The space lets pieces be joined as they are, as a model's are.
        texts = [Text(text if index == 0 else f" {text}") for index, text in enumerate(self._texts)]
        return self._state, (*texts, *((self._call,) if self._call else ()), Done())

    # Turns

    def greet(self, greeting: str) -> None:
        """`greeting` as it is, or the flow's own."""
        if greeting:
            self._texts.append(greeting)
        else:
            self.say(self._script.greeting)

    def spoke(self, text: str) -> None:
        choices = listening(self._flow, self._state)
        heard = understand(text, [phrases for _, phrases in choices], self._flow.vocabulary)
        if heard is None:
            self.missed(self._script.fallback.unclear, self._script.fallback.unclear_last)
        else:
            self._spoken = dict(heard.slots)
            self._act(choices[heard.choice][0])

    def pressed(self, digit: str) -> None:
        meaning = self._key(digit)
        if meaning is None:
            self.missed(self._script.fallback.unclear, self._script.fallback.unclear_last)
        else:
            self._act(meaning)

    def missed(self, text: str, last: str) -> None:
        """The turn helped nobody: ask again, then offer the menu, then go to `last`."""
        question = self._question()
        if question is None:
            self._ask_tool_again()
            return
        self._set(misses=self._state.misses + 1)
        if self._state.misses >= 3:
            self._set(misses=0)
            self.enter(last)
            return
        self._keep_said = True
        self.say(text)
        if self._state.misses == 1:
            self.say(question.ask)
        elif question.help:
            self.say(question.help)
        else:
            self.enter(self._script.fallback.menu)

    def returned(self, id_: str, *, ok: bool) -> None:
        match self._state.step:
            case Working(call) if call.id == id_:
                pass
            case _:
                return  # of a call that the conversation has gone on from
        tool = self._node.tool
        assert tool is not None  # noqa: S101 - only a node with a tool makes its state Working
        if ok and tool.name in TERMINAL:
            return
        self.say(tool.done if ok else tool.failed)
        if not ok and tool.failed_goto:
            self.enter(tool.failed_goto)
        elif not ok and not (self._node.goto or self._node.ask):
            self.enter(self._script.fallback.menu)
        else:
            self._finish()

    # Moves

    def say(self, text: str) -> None:
        if text:
            self._texts.append(self._fill(text))

    def enter(self, name: str) -> None:
        """Go on with a node. The last thing that a move does: `result` begins it."""
        self._next = name

    def _begin(self, name: str) -> None:
        """Begin a node: what it collects is asked anew, except what was said in this very turn."""
        collects = {collect.slot for collect in self._script.nodes[name].collect}
        kept = {slot: value for slot, value in self._state.slots.items() if slot not in collects}
        self._set(node=name, step=Asking(), slots=kept, refused=0)
        self.say(self._node.say)
        self._collect()

    def _act(self, meaning: Meaning) -> None:
        self._set(misses=0)
        match meaning:
            case Go(node) if node == self._state.node and self._spoken and not isinstance(self._state.step, Asking):
                self._collect()  # "i would like to come on friday" while the day is being asked for
            case Go(node):
                self.enter(node)
            case Answer(intent):
                self.say(self._script.answers[intent])
                self._come_back()
            case Repeat():
                self._keep_said = True
                self._texts.append(self._state.said)
                self._ask_tool_again()
            case Fill():
                self._collect()
            case Yes():
                self._work()
            case No():
                self._refused()

    def _collect(self) -> None:
        """Ask for what is missing, or go on."""
        self._take([collect.slot for collect in self._node.collect])
        for index, collect in enumerate(self._node.collect):
            if collect.slot not in self._state.slots:
                self._set(step=Collecting(index))
                self.say(collect.ask)
                return
        if self._node.confirm is not None:
            self._set(step=Confirming())
            self.say(self._node.confirm.ask)
        else:
            self._work()

    def _take(self, names: list[str]) -> None:
        taken = {name: self._spoken.pop(name) for name in names if name in self._spoken}
        self._set(slots={**self._state.slots, **taken})

    def _refused(self) -> None:
        confirm = self._node.confirm
        assert confirm is not None  # noqa: S101 - No is only listened for while confirming
        self._set(refused=self._state.refused + 1)
        if self._state.refused >= _REFUSALS:
            self.enter(self._script.fallback.unclear_last)
            return
        collects = {collect.slot for collect in self._node.collect}
        self._set(slots={slot: value for slot, value in self._state.slots.items() if slot not in collects})
        self.say(confirm.no)
        self._collect()

    def _work(self) -> None:
        """Ask for the node's tool, or finish the node."""
        tool = self._node.tool
        if tool is None:
            self._finish()
            return
        arguments = {name: self._fill(value, canonical=True) for name, value in tool.arguments.items()}
        self._set(tools=self._state.tools + 1)
        self._call = ToolCall(f"tool-{self._state.tools}", tool.name, arguments)
        self._set(step=Working(self._call))

    def _finish(self) -> None:
        if self._node.goto:
            self.enter(self._node.goto)
        else:
            self._set(step=Asking())
            self.say(self._node.ask)

    def _come_back(self) -> None:
        """After an answer: to the question that was open, or to the tool that was asked for."""
        match self._state.step:
            case Working(call) if call.name in TERMINAL:
                self.enter(self._script.fallback.menu)
                return
        question = self._question()
        if question is None:
            self._ask_tool_again()
        else:
            self.say(question.again or question.ask)

    def _ask_tool_again(self) -> None:
        """The caller cut in while a tool was asked for, perhaps before it was begun: the same call, the same id."""
        match self._state.step:
            case Working(call):
                self._call = call

    # Reading the state

    @property
    def _node(self) -> Node:
        return self._script.nodes[self._state.node]

    def _question(self) -> Node | Collect | Confirm | None:
        """What the caller has been asked; nothing while a tool works."""
        match self._state.step:
            case Working():
                return None
            case Collecting(index):
                return self._node.collect[index]
            case Confirming() if self._node.confirm is not None:
                return self._node.confirm
            case _:
                return self._node

    def _key(self, digit: str) -> Meaning | None:
        """What a digit means here: the question's own keys first, then those of the whole flow."""
        question = self._question()
        match question:
            case Collect(slot=slot, keys=keys) if digit in keys:
                self._spoken = {slot: keys[digit]}
                return Fill()
            case Confirm(yes_key=key) if digit == key:
                return Yes()
            case Confirm(no_key=key) if digit == key:
                return No()
            case Node(keys=keys) if digit in keys:
                return Go(keys[digit])
        to = self._script.always.keys.get(digit)
        return Go(to) if to else None

    def _fill(self, text: str, *, canonical: bool = False) -> str:
        """`text` with its names filled in: slots as they are spoken, or as they are known to tools."""

        def value(name: str) -> str:
            if name in self._script.values:
                return self._script.values[name]
            said = self._state.slots[name]
            return said if canonical else self._script.slots[name].spoken(said)

        return replace_slots(text, value)

    def _set(self, **changes: Any) -> None:
        self._state = evolve(self._state, **changes)
