"""Compute depthwise convolutions by formulations whose gradients are fast."""

from __future__ import annotations

from genolang.compiler.ir import Graph, Node
from genolang.compiler.ir.fused import Depthwise
from genolang.compiler.passes.bodies import map_bodies
from genolang.compiler.passes.links import rebuilt
from genolang.primitives import padding, pair

# Larger windows than this are left to the library: nobody measured them.
LARGEST = 7


def formulate(graph: Graph) -> Graph:
    """Square, odd, depthwise windows that keep their place become nodes of their own."""
    return map_bodies(graph, _formulate_one)


def _formulate_one(graph: Graph) -> Graph:
    changed = {
        number: (Depthwise((node.path,)), arguments)
        for number, node, arguments in graph
        if is_depthwise(graph, node, arguments)
    }
    return rebuilt(graph, changed) if changed else graph


def is_depthwise(graph: Graph, node: Node, arguments: tuple[int, ...]) -> bool:
    if node.layer != "conv":
        return False
    attrs, channels = node.attrs, graph.node(arguments[0]).type.C
    assert attrs is not None
    (rows, columns), stride = pair(attrs["k"]), pair(attrs["stride"])
    reach = attrs["dilation"] * (rows // 2)
    return bool(
        attrs["groups"] == channels == node.type.C
        and not attrs["bias"]
        and rows == columns
        and rows % 2 == 1
        and 1 < rows <= LARGEST
        and stride[0] == stride[1]
        and padding(attrs) == (reach, reach)
    )
