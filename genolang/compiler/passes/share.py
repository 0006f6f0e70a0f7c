"""Compute once what has no weights, no randomness and the same inputs."""

from __future__ import annotations

from collections.abc import Hashable

from genolang.compiler.ir import Graph, Node
from genolang.compiler.passes.bodies import map_bodies

_RANDOM = frozenset(("dropout", "drop_path"))


def share(graph: Graph) -> Graph:
    """One ReLU of a map serves every operation that begins with it; likewise pools and sums."""
    return map_bodies(graph, _share_one)


def _share_one(graph: Graph) -> Graph:
    out = graph.empty_like()
    results: dict[int, int] = {}
    first: dict[Hashable, int] = {}
    for number, node, arguments in graph:
        found = tuple(results[a] for a in arguments)
        key = _key(node, found)
        if key is not None and key in first:
            results[number] = first[key]
            continue
        results[number] = out.add(node, found)
        if key is not None:
            first[key] = results[number]
    if len(out) == len(graph):
        return graph
    out.inputs = tuple(results[i] for i in graph.inputs)
    out.outputs = tuple(results[o] for o in graph.outputs)
    return out


def _key(node: Node, arguments: tuple[int, ...]) -> Hashable | None:
    if node.kind != "layer" or node.path or node.layer in _RANDOM:
        return None
    assert node.attrs is not None
    return node.layer, tuple(sorted(node.attrs.items(), key=repr)), arguments
