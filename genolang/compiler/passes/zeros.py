"""Leave zeros out of sums; their share of a softmax stays."""

from __future__ import annotations

from dataclasses import replace

from genolang.compiler.ir import Graph, Node, Rewriting, map_bodies, rewrite
from genolang.primitives import broadcast


def zeros(graph: Graph) -> Graph:
    """A mix reads only alternatives that are not zero, and a sum only such terms."""
    return map_bodies(graph, _zeros_of_one)


def _zeros_of_one(graph: Graph) -> Graph:
    gone = {number for number, node, _ in graph if node.layer == "zeros"}

    def rule(now: Rewriting, number: int, node: Node, arguments: tuple[int, ...]) -> int:
        mixed = node.mix is not None and node.mix.combine == "sum"
        rest = tuple([a for a in arguments if a not in gone])
        # A wide zero may be what gives a sum its size.
        if (
            (mixed or node.is_sum)
            and 0 < len(rest) < len(arguments)
            and (broadcast([graph.node(a).type for a in rest]) == node.type)
        ):
            if mixed:
                kept = zip(node.kept, arguments, strict=True)
                node = replace(node, kept=tuple([k for k, a in kept if a not in gone]))
            arguments = rest
        return now.new.add(node, arguments, number=number)

    return rewrite(graph, rule) if gone else graph
