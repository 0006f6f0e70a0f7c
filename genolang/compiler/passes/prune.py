"""Drop what no output reads. Weights of dropped layers keep their place in the state dict."""

from __future__ import annotations

from genolang.compiler.ir import Graph
from genolang.compiler.passes.bodies import map_bodies


def prune(graph: Graph) -> Graph:
    """Keep the inputs and everything that an output depends on."""
    return map_bodies(graph, _prune_one)


def _prune_one(graph: Graph) -> Graph:
    wanted = graph.needed(graph.outputs) | set(graph.inputs)
    if len(wanted) == len(graph):
        return graph
    out = graph.empty_like()
    for number, node, arguments in graph:
        if number in wanted:
            out.add(node, arguments, number=number)
    out.inputs, out.outputs = graph.inputs, graph.outputs
    return out
