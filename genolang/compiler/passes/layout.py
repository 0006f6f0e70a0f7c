"""Lay maps out with their channels last, where that is faster."""

from __future__ import annotations

from collections import Counter

from genolang.compiler.ir import Graph
from genolang.compiler.passes.channels_last import channels_last
from genolang.primitives import pair


def layout(graph: Graph) -> Graph:
    """Channels last for the outermost graph's images.

    Only where windows are mostly depthwise: with their channels in a row those are up to five times as
    fast on a CPU, while full convolutions of many channels are slower (down to half) on few images.
    """
    windows = _windows(graph, {})
    if graph.is_laid_out or windows["depthwise"] == 0 or windows["depthwise"] < windows["full"]:
        return graph
    return channels_last(graph)


def _windows(graph: Graph, known: dict[int, Counter[str]]) -> Counter[str]:
    """The convolutions of more than one position, depthwise and full; every call counts."""
    if id(graph) not in known:
        found: Counter[str] = Counter()
        for _, node, _ in graph:
            if node.body is not None:
                found.update(_windows(node.body, known))
            elif node.layer == "conv" and node.attrs is not None and pair(node.attrs["k"]) != (1, 1):
                found["depthwise" if node.attrs["groups"] == node.type.C > 1 else "full"] += 1
        known[id(graph)] = found
    return known[id(graph)]
