"""Put what is selected in the place of choices, for networks in which nothing will be selected again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from genolang.compiler.ir import Graph, Node, Rewriting, rewrite
from genolang.primitives import broadcast
from genolang.semantics.program import ChoiceSet

# What a zero leaves behind: it takes everything with it up to the sum that it would enter.
_ABSENT = -1


def decide(graph: Graph, sets: Mapping[str, ChoiceSet], selected: Mapping[str, Sequence[int]]) -> Graph:
    """The graph, which calls nothing, with chosen alternatives in the place of their mixes.

    An alternative that no node computes leaves its mix to be selected when the network runs.
    """

    def rule(now: Rewriting, number: int, node: Node, arguments: tuple[int, ...]) -> int:
        found = now.at(arguments)
        if node.mix is not None and node.mix.key in selected:
            option = selected[node.mix.key][node.mix.row]
            if sets[node.mix.key].options[option].zero:
                return _ABSENT
            if option in node.kept:
                return found[node.kept.index(option)]
        if node.is_sum and _ABSENT in found:
            found = tuple([f for f in found if f != _ABSENT])
            if len(found) < 2:
                return found[0] if found else _ABSENT
            node = replace(node, type=broadcast([now.new.node(f).type for f in found]))
        return _ABSENT if _ABSENT in found else now.new.add(node, found)

    decided = rewrite(graph, rule)
    assert _ABSENT not in decided.outputs, "a selection leaves an answer"
    return decided
