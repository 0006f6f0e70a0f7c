"""Drop what no output reads. Weights of dropped layers keep their place in the state dict."""

from __future__ import annotations

from genolang.compiler.ir import Graph, map_bodies, renewed


def prune(graph: Graph) -> Graph:
    """Keep the inputs and everything that an output depends on."""
    return map_bodies(graph, _prune_one)


def _prune_one(graph: Graph) -> Graph:
    wanted = graph.needed(graph.outputs) | set(graph.inputs)
    return graph if len(wanted) == len(graph) else renewed(graph, lambda node: node, only=wanted)
