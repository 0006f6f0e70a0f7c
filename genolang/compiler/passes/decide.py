"""Put what is selected in the place of choices, for networks in which nothing will be selected again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from genolang.compiler.ir import Graph
from genolang.primitives import broadcast

# What a zero leaves behind: it takes everything with it up to the sum that it would enter.
_ABSENT = -1


def decide(graph: Graph, selected: Mapping[str, Sequence[int]], zeros: Mapping[str, frozenset[int]]) -> Graph:
    """The graph, which calls nothing, with chosen alternatives in the place of their mixes.

    `zeros` tells by a choice set's name which of its alternatives are zeros. An alternative that no node
    computes leaves its mix to be selected when the network runs.
    """
    out = graph.empty_like()
    results: dict[int, int] = {}
    for number, node, arguments in graph:
        found = tuple(results[a] for a in arguments)
        if node.mix is not None and node.mix.key in selected:
            option = selected[node.mix.key][node.mix.row]
            if option in zeros[node.mix.key]:
                results[number] = _ABSENT
                continue
            if option in node.kept:
                results[number] = found[node.kept.index(option)]
                continue
        if node.layer == "add" and node.attrs == {"constant": 0} and _ABSENT in found:
            found = tuple(f for f in found if f != _ABSENT)
            if len(found) < 2:
                results[number] = found[0] if found else _ABSENT
                continue
            node = replace(node, type=broadcast([out.node(f).type for f in found]))
        results[number] = _ABSENT if _ABSENT in found else out.add(node, found)
    out.inputs = tuple(results[i] for i in graph.inputs)
    out.outputs = tuple(results[o] for o in graph.outputs)
    assert _ABSENT not in out.outputs, "a selection leaves an answer"
    return out
