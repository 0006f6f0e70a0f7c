"""Compute 1x1 convolutions as products of matrices."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from genolang.compiler.ir import Graph
from genolang.compiler.ir.fused import Fused, Pointwise
from genolang.compiler.passes.bodies import map_bodies
from genolang.compiler.passes.layout import is_laid_out
from genolang.compiler.passes.links import rebuilt
from genolang.primitives import padding, pair


def multiply_out(graph: Graph) -> Graph:
    """With the channels last in memory the pixels of a map are the rows of a matrix."""
    return map_bodies(graph, _multiply_one) if is_laid_out(graph) else graph


def _multiply_one(graph: Graph) -> Graph:
    changed: dict[int, tuple[Fused, tuple[int, ...]]] = {
        number: (Pointwise(node.path), arguments)
        for number, node, arguments in graph
        if node.layer == "conv" and node.attrs is not None and is_pointwise(node.attrs)
    }
    return rebuilt(graph, changed) if changed else graph


def is_pointwise(attrs: Mapping[str, Any]) -> bool:
    """Whether a convolution's attributes are those of a 1x1 one over all channels."""
    plain = pair(attrs["k"]) == pair(attrs["stride"]) == (1, 1) and padding(attrs) == (0, 0)
    return bool(plain and attrs["groups"] == 1)
