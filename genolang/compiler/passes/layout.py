"""Lay maps out with their channels last, where that is faster."""

from __future__ import annotations

from genolang.compiler.ir import Graph
from genolang.compiler.ir.fused import Layout
from genolang.compiler.passes.links import fused


def lay_out(graph: Graph) -> Graph:
    """Images of the outermost graph go in channels last; answers that are maps come out as ever."""
    if any(isinstance(node.fused, Layout) for _, node, _ in graph):
        return graph
    out = graph.empty_like()
    results: dict[int, int] = {}
    inputs: list[int] = []
    for number, node, arguments in graph:
        results[number] = out.add(node, tuple(results[a] for a in arguments))
        if node.kind == "input":
            inputs.append(results[number])
            results[number] = out.add(fused(node, Layout(True), graph, [node]), (results[number],))
    outputs = []
    for output in graph.outputs:
        place = results[output]
        node = out.node(place)
        if not node.type.is_vector:
            place = out.add(fused(node, Layout(False), graph, [node]), (place,))
        outputs.append(place)
    out.inputs, out.outputs = tuple(inputs), tuple(outputs)
    return out
