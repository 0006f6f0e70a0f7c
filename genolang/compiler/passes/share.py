"""Compute once what has no weights, no randomness and the same inputs."""

from __future__ import annotations

from collections.abc import Hashable

from genolang.compiler.ir import Graph, Node, Rewriting, map_bodies, rewrite

_RANDOM = frozenset(("dropout", "drop_path"))


def share(graph: Graph) -> Graph:
    """One ReLU of a map serves every operation that begins with it; likewise pools and sums."""
    return map_bodies(graph, _share_one)


def _share_one(graph: Graph) -> Graph:
    first: dict[Hashable, int] = {}

    def rule(now: Rewriting, number: int, node: Node, arguments: tuple[int, ...]) -> int:
        key = _key(node, now.at(arguments))
        if key is None:
            return now.keep(node, arguments)
        if key not in first:
            first[key] = now.keep(node, arguments)
        return first[key]

    shared = rewrite(graph, rule)
    return graph if len(shared) == len(graph) else shared


def _key(node: Node, reads: tuple[int, ...]) -> Hashable | None:
    if node.kind != "layer" or node.path or node.layer in _RANDOM:
        return None
    assert node.attrs is not None
    return node.layer, tuple(sorted(node.attrs.items(), key=repr)), reads
