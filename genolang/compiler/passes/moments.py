"""Read a batch norm's statistics off the map in front of a 1x1 convolution."""

from __future__ import annotations

from genolang.compiler.ir import Graph, Uses, map_bodies, substitute, uses
from genolang.compiler.ir.made import Depthwise, Fused, NormConv
from genolang.compiler.passes.pointwise import is_pointwise

# Up to here (channels in) the product of the map with itself costs less than the passes it saves.
MOST_CHANNELS = 256


def moments(graph: Graph) -> Graph:
    """Depthwise, 1x1 convolution and batch norm, each for the next one alone: the product of the two
    is never kept, nor a map between norm and ReLU."""
    return map_bodies(graph, _fold_one)


def _fold_one(graph: Graph) -> Graph:
    found = uses(graph)
    changed: dict[int, tuple[Fused, tuple[int, ...]]] = {}
    for number, node, arguments in graph:
        if node.layer != "batch_norm" or found.paths[node.path] != 1:
            continue
        (conv,) = arguments
        if not _is_pointwise(graph, found, conv):
            continue
        (source,) = graph.arguments(conv)
        before = graph.node(source)
        if not isinstance(before.fused, Depthwise) or before.fused.norms or not found.alone(graph, source):
            continue
        changed[source] = (Depthwise(before.fused.convs, (node.path,)), graph.arguments(source))
        made = NormConv((graph.node(conv).path,), (node.path,))
        relu = _relu_behind(graph, found, number)
        if relu is None:
            changed[number] = (made, (source,))
        else:
            changed[relu] = (NormConv(made.convs, made.norms, relu=True), (source,))
    return substitute(graph, changed)


def _is_pointwise(graph: Graph, found: Uses, number: int) -> bool:
    node = graph.node(number)
    if node.layer != "conv" or not found.alone(graph, number):
        return False
    attrs, x = node.attrs, graph.node(graph.arguments(number)[0]).type
    assert attrs is not None
    return is_pointwise(attrs) and not attrs["bias"] and min(MOST_CHANNELS, node.type.C) >= x.C


def _relu_behind(graph: Graph, found: Uses, number: int) -> int | None:
    if found.reads[number] != 1 or number in graph.outputs:
        return None
    reader = found.readers[number]
    return reader if graph.node(reader).layer == "relu" else None
