"""What a script must hold beyond its types: every name known, every node reachable, every slot fillable.

Names that `read` has already reported as missing or mistyped are empty here and are passed over.
"""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping

from voiceagent.dialogue.flow import TERMINAL, Collect, Confirm, Node, Script, Slot, Tool
from voiceagent.dialogue.paths import circles, filled_before, reachable
from voiceagent.dialogue.phrases import expand, slots_in, words
from voiceagent.dialogue.reader import Errors, nearest

_SLOT_NAME = re.compile("[a-z_]+")
_DIGITS = frozenset("0123456789*#")


def check(script: Script, tools: Mapping[str, tuple[str, ...]]) -> Errors:
    """Every error of meaning in `script`; `tools` are those there are, with the arguments each must be given."""
    return [
        *_names("start", script.start, "node", script.nodes),
        *_text("greeting", script.greeting, script, ()),
        *_fallback(script),
        *_always(script),
        *_answers(script),
        *_intents(script),
        *_slots(script),
        *(error for name, node in script.nodes.items() for error in _node(f"nodes.{name}", node, script, tools)),
        *_fillable(script),
        *_ways(script),
    ]


def _names(place: str, name: str, what: str, known: Collection[str]) -> Iterator[tuple[str, str]]:
    if name and name not in known:
        yield place, f"there is no {what} '{name}'{nearest(name, known)}"


def _fallback(script: Script) -> Iterator[tuple[str, str]]:
    fallback = script.fallback
    for key in ("menu", "unclear_last", "quiet_last"):
        yield from _names(f"fallback.{key}", getattr(fallback, key), "node", script.nodes)
    for key in ("unclear", "quiet"):
        yield from _text(f"fallback.{key}", getattr(fallback, key), script, ())
    menu = script.nodes.get(fallback.menu)
    if menu is not None and not menu.ask:
        yield "fallback.menu", f"node '{fallback.menu}' must have an `ask`"


def _always(script: Script) -> Iterator[tuple[str, str]]:
    yield from _edges("always", script.always.on, script.always.keys, script)
    yield from _names("always.repeat", script.always.repeat, "intent", script.intents)


def _answers(script: Script) -> Iterator[tuple[str, str]]:
    for intent, text in script.answers.items():
        yield from _names(f"answers.{intent}", intent, "intent", script.intents)
        yield from _text(f"answers.{intent}", text, script, ())


def _intents(script: Script) -> Iterator[tuple[str, str]]:
    seen: dict[str, str] = {}
    used = {*script.always.on, *script.answers, script.always.repeat}
    for node in script.nodes.values():
        used |= {*node.on, *(("yes", "no") if node.confirm else ())}
    for intent, templates in script.intents.items():
        place = f"intents.{intent}"
        if not templates:
            yield place, "needs at least one phrase"
        if intent not in used:
            yield place, "nothing acts on this intent"
        for index, template in enumerate(templates):
            yield from _template(f"{place}[{index}]", template, script, seen, intent)


def _template(place: str, template: str, script: Script, seen: dict[str, str], owner: str) -> Iterator[tuple[str, str]]:
    """`seen` maps the phrases met so far to the intent that has them."""
    try:
        phrases = expand(template)
    except ValueError as error:
        yield place, str(error)
        return
    for name in dict.fromkeys(name for phrase in phrases for name in slots_in(phrase)):
        yield from _names(place, name, "slot", script.slots)
    for phrase in phrases:
        other = seen.setdefault(phrase, owner)
        if other != owner:
            yield place, f"'{phrase}' is a phrase of '{other}' too"


def _slots(script: Script) -> Iterator[tuple[str, str]]:
    for name, slot in script.slots.items():
        place = f"slots.{name}"
        if not _SLOT_NAME.fullmatch(name):
            yield place, "a slot's name is small letters and underscores"
        if name in script.values:
            yield place, f"'{name}' is one of the `values` too"
        if not slot.values:
            yield f"{place}.values", "needs at least one value"
        for index, template in enumerate(slot.phrases):
            yield from _template(f"{place}.phrases[{index}]", template, script, {}, name)
            if f"{{{name}}}" not in template:
                yield f"{place}.phrases[{index}]", f"does not hold {{{name}}}"
        yield from _slot_values(place, slot)


def _slot_values(place: str, slot: Slot) -> Iterator[tuple[str, str]]:
    seen: dict[tuple[str, ...], str] = {}
    for value, phrases in slot.values.items():
        if not phrases:
            yield f"{place}.values.{value}", "needs at least one phrase"
        for index, phrase in enumerate(phrases):
            at = f"{place}.values.{value}[{index}]"
            if not words(phrase):
                yield at, "has no words"
            elif seen.setdefault(words(phrase), value) != value:
                yield at, f"'{phrase}' is a phrase of '{seen[words(phrase)]}' too"


def _node(place: str, node: Node, script: Script, tools: Mapping[str, tuple[str, ...]]) -> Iterator[tuple[str, str]]:
    for index, collect in enumerate(node.collect):
        yield from _collect(f"{place}.collect[{index}]", collect, script)
    if node.confirm is not None:
        yield from _confirm(f"{place}.confirm", node, node.confirm, script)
    if node.tool is not None:
        yield from _tool(f"{place}.tool", node.tool, script, tools)
    yield from _names(f"{place}.goto", node.goto, "node", script.nodes)
    yield from _edges(place, node.on, node.keys, script)
    if node.goto and node.ask:
        yield place, "has both `goto` and `ask`"
    elif not (node.goto or node.ask or (node.tool and node.tool.name in TERMINAL)):
        yield place, "leads nowhere: it needs `goto`, `ask`, or a tool that ends the call"
    if not node.ask:
        for key in ("again", "help", "on", "keys"):
            if getattr(node, key):
                yield f"{place}.{key}", "means nothing without `ask`"


def _collect(place: str, collect: Collect, script: Script) -> Iterator[tuple[str, str]]:
    yield from _names(f"{place}.slot", collect.slot, "slot", script.slots)
    slot = script.slots.get(collect.slot)
    for digit, value in collect.keys.items():
        yield from _digit(f"{place}.keys.{digit}", digit)
        if slot is not None:
            yield from _names(f"{place}.keys.{digit}", value, f"value of '{collect.slot}'", slot.values)


def _confirm(place: str, node: Node, confirm: Confirm, script: Script) -> Iterator[tuple[str, str]]:
    if not node.collect:
        yield place, "there is nothing collected to confirm"
    for intent in ("yes", "no"):
        if intent not in script.intents:
            yield place, f"needs an intent called '{intent}'"
    for key in ("yes_key", "no_key"):
        digit = getattr(confirm, key)
        if digit:
            yield from _digit(f"{place}.{key}", digit)


def _tool(place: str, tool: Tool, script: Script, tools: Mapping[str, tuple[str, ...]]) -> Iterator[tuple[str, str]]:
    yield from _names(f"{place}.name", tool.name, "tool", tools)
    for argument in tools.get(tool.name, ()):
        if argument not in tool.arguments:
            yield f"{place}.arguments", f"'{tool.name}' must be given '{argument}'{nearest(argument, tool.arguments)}"
    yield from _names(f"{place}.failed_goto", tool.failed_goto, "node", script.nodes)


def _edges(place: str, on: Mapping[str, str], keys: Mapping[str, str], script: Script) -> Iterator[tuple[str, str]]:
    for intent, to in on.items():
        yield from _names(f"{place}.on.{intent}", intent, "intent", script.intents)
        yield from _names(f"{place}.on.{intent}", to, "node", script.nodes)
    for digit, to in keys.items():
        yield from _digit(f"{place}.keys.{digit}", digit)
        yield from _names(f"{place}.keys.{digit}", to, "node", script.nodes)


def _digit(place: str, digit: str) -> Iterator[tuple[str, str]]:
    if digit not in _DIGITS:
        yield place, f"'{digit}' is not a key of a telephone: 0 to 9, * or #"


def _text(place: str, text: str, script: Script, filled: Collection[str]) -> Iterator[tuple[str, str]]:
    """Names in braces must be values of the flow, or slots that are filled whenever `text` is used."""
    for name in dict.fromkeys(slots_in(text)):
        if name in script.slots and name not in filled:
            yield place, f"{{{name}}} is not filled on every way to here"
        elif name not in script.slots and name not in script.values:
            known = [*script.slots, *script.values]
            yield place, f"{{{name}}} is neither a slot nor one of the `values`{nearest(name, known)}"


def _fillable(script: Script) -> Iterator[tuple[str, str]]:
    before = filled_before(script)
    for name, node in script.nodes.items():
        place = f"nodes.{name}"
        for at, text, filled in _texts(node, before.get(name, frozenset(script.slots))):
            yield from _text(f"{place}.{at}", text, script, filled)


def _texts(node: Node, filled: frozenset[str]) -> Iterable[tuple[str, str, frozenset[str]]]:
    """Every text of `node`: its place in the node, itself, and the slots that are filled when it is used."""
    have = filled - {collect.slot for collect in node.collect}
    yield "say", node.say, have
    for index, collect in enumerate(node.collect):
        for key in ("ask", "again", "help"):
            yield f"collect[{index}].{key}", getattr(collect, key), have
        have |= {collect.slot}
    if node.confirm is not None:
        for key in ("ask", "again", "help"):
            yield f"confirm.{key}", getattr(node.confirm, key), have
        yield "confirm.no", node.confirm.no, filled - {collect.slot for collect in node.collect}
    if node.tool is not None:
        for argument, value in node.tool.arguments.items():
            yield f"tool.arguments.{argument}", value, have
        yield "tool.done", node.tool.done, have
        yield "tool.failed", node.tool.failed, have
    for key in ("ask", "again", "help"):
        yield key, getattr(node, key), have


def _ways(script: Script) -> Iterator[tuple[str, str]]:
    within = reachable(script)
    yield from ((f"nodes.{name}", "nothing leads here") for name in script.nodes if name not in within)
    for circle in circles(script):
        yield f"nodes.{circle[0]}", f"a circle in which the caller is never asked anything: {', '.join(circle)}"
