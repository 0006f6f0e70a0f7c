"""Leave zeros out of sums; their share of a softmax stays."""

from __future__ import annotations

from dataclasses import replace

from genolang.compiler.ir import Graph
from genolang.compiler.passes.bodies import map_bodies
from genolang.primitives import broadcast


def drop_zeros(graph: Graph) -> Graph:
    """A mix reads only alternatives that are not zero, and a sum only such terms."""
    return map_bodies(graph, _drop_one)


def _drop_one(graph: Graph) -> Graph:
    if not any(node.layer == "zeros" for _, node, _ in graph):
        return graph
    out = graph.empty_like()
    for number, node, arguments in graph:
        zero = [graph.node(a).layer == "zeros" for a in arguments]
        summed = node.kind == "layer" and node.layer == "add" and node.attrs == {"constant": 0}
        mixed = node.mix is not None and node.mix.combine == "sum"
        rest = [graph.node(a).type for a, z in zip(arguments, zero, strict=True) if not z]
        # A wide zero may be what gives a sum its size.
        if (summed or mixed) and any(zero) and rest and broadcast(rest) == node.type:
            if mixed:
                kept = tuple(k for k, z in zip(node.kept, zero, strict=True) if not z)
                node = replace(node, kept=kept)
            arguments = tuple(a for a, z in zip(arguments, zero, strict=True) if not z)
        out.add(node, arguments, number=number)
    out.inputs, out.outputs = graph.inputs, graph.outputs
    return out
