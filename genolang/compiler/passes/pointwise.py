"""Compute 1x1 convolutions as products of matrices."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from genolang.compiler.ir import Changed, Graph, map_bodies, substitute
from genolang.compiler.ir.made import Pointwise
from genolang.primitives import padding, pair


def pointwise(graph: Graph) -> Graph:
    """With the channels last in memory the pixels of a map are the rows of a matrix."""
    return map_bodies(graph, _multiply_one) if graph.is_laid_out else graph


def _multiply_one(graph: Graph) -> Graph:
    changed: Changed = {
        number: (Pointwise(node.path), arguments)
        for number, node, arguments in graph
        if node.layer == "conv" and node.attrs is not None and is_pointwise(node.attrs)
    }
    return substitute(graph, changed)


def is_pointwise(attrs: Mapping[str, Any]) -> bool:
    """Whether a convolution's attributes are those of a 1x1 one over all channels."""
    plain = pair(attrs["k"]) == pair(attrs["stride"]) == (1, 1) and padding(attrs) == (0, 0)
    return bool(plain and attrs["groups"] == 1)
