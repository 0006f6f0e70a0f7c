"""Compute depthwise convolutions by formulations whose gradients are fast."""

from __future__ import annotations

from genolang.compiler.ir import Graph, Node, map_bodies, substitute
from genolang.compiler.ir.made import Depthwise, Fused, WholeWindow
from genolang.primitives import MapType, padding, pair

# Larger windows than this are left to the library: nobody measured them.
LARGEST = 7


def depthwise(graph: Graph) -> Graph:
    """Depthwise windows that are square, odd and keep their place, or that are as large as their map,
    become nodes of their own, if maps have their channels last."""
    return map_bodies(graph, _formulate_one) if graph.is_laid_out else graph


def _formulate_one(graph: Graph) -> Graph:
    changed: dict[int, tuple[Fused, tuple[int, ...]]] = {}
    for number, node, arguments in graph:
        if node.layer == "conv":
            made = _formulation(node, graph.node(arguments[0]).type)
            if made is not None:
                changed[number] = (made, arguments)
    return substitute(graph, changed)


def _formulation(node: Node, x: MapType) -> Fused | None:
    attrs = node.attrs
    assert attrs is not None
    if attrs["bias"] or not attrs["groups"] == x.C == node.type.C:
        return None
    (rows, columns), stride = pair(attrs["k"]), pair(attrs["stride"])
    if (rows, columns) == (x.H, x.W) != (1, 1) and padding(attrs) == (0, 0) and attrs["dilation"] == 1:
        return WholeWindow(node.path)
    reach = attrs["dilation"] * (rows // 2)
    square = rows == columns and rows % 2 == 1 and 1 < rows <= LARGEST
    if square and stride[0] == stride[1] and padding(attrs) == (reach, reach):
        return Depthwise((node.path,))
    return None
