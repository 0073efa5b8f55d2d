"""The ways through a script: which nodes can be reached, what is surely filled there, and circles without a question.

Names of nodes that do not exist are passed over: `check` reports them.
"""

from graphlib import CycleError, TopologicalSorter

from voiceagent.dialogue.flow import Node, Script


def reachable(script: Script) -> set[str]:
    """The nodes that a caller can come to."""
    found: set[str] = set()
    waiting = _roots(script)
    while waiting:
        name = waiting.pop()
        if name not in found and name in script.nodes:
            found.add(name)
            waiting += _next(script.nodes[name])
    return found


def filled_before(script: Script) -> dict[str, frozenset[str]]:
    """For each reachable node the slots that are filled when it is entered, whichever way the caller came."""
    before = {name: frozenset[str]() for name in _roots(script) if name in script.nodes}
    waiting = list(before)
    while waiting:
        name = waiting.pop()
        node = script.nodes[name]
        after = before[name] | {collect.slot for collect in node.collect}
        for to in _next(node):
            if to not in script.nodes:
                continue
            least = before[to] & after if to in before else after
            if before.get(to) != least:
                before[to] = least
                waiting.append(to)
    return before


def circles(script: Script) -> list[tuple[str, ...]]:
    """Circles of nodes that the caller is led round without ever being asked anything; each begins and ends alike."""
    found: list[tuple[str, ...]] = []
    ways = {(name, to) for name, node in script.nodes.items() if not _waits(node) for to in _next(node)}
    while True:
        sorter = TopologicalSorter[str]()
        for name, to in sorted(ways):
            sorter.add(to, name)
        try:
            sorter.prepare()
        except CycleError as error:
            circle = tuple(error.args[1])
            found.append(circle)
            ways.remove((circle[0], circle[1]))
        else:
            return found


def _waits(node: Node) -> bool:
    return bool(node.ask or node.collect or node.confirm)


def _roots(script: Script) -> list[str]:
    fallback = script.fallback
    return [
        script.start,
        *script.always.on.values(),
        *script.always.keys.values(),
        fallback.menu,
        fallback.unclear_last,
        fallback.quiet_last,
    ]


def _next(node: Node) -> list[str]:
    targets = [*node.on.values(), *node.keys.values(), node.goto, node.tool.failed_goto if node.tool else ""]
    return [name for name in targets if name]
