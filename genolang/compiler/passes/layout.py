"""Lay maps out with their channels last, where that is faster."""

from __future__ import annotations

from collections import Counter

from genolang.compiler.ir import Graph
from genolang.compiler.ir.fused import Layout
from genolang.compiler.passes.bodies import map_bodies
from genolang.compiler.passes.links import fused
from genolang.primitives import pair


def lay_out(graph: Graph) -> Graph:
    """Channels last for the outermost graph's images.

    Only where windows are mostly depthwise: with their channels in a row those are up to five times as
    fast on a CPU, while full convolutions of many channels are slower (down to half) on few images.
    """
    windows = _windows(graph, {})
    if is_laid_out(graph) or windows["depthwise"] == 0 or windows["depthwise"] < windows["full"]:
        return graph
    return channels_last(graph)


def channels_last(graph: Graph) -> Graph:
    """Images go in channels last, answers that are maps come out as ever."""
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
    return map_bodies(out, _behind_concat)


def _behind_concat(graph: Graph) -> Graph:
    """Single channels put together come out channel by channel: full windows want them in a row."""
    ends = {
        arguments[0]
        for _, node, arguments in graph
        if node.layer == "conv" and graph.node(arguments[0]).layer == "concat"
    }
    if not ends:
        return graph
    out = graph.empty_like()
    results: dict[int, int] = {}
    for number, node, arguments in graph:
        place = out.add(node, tuple(results[a] for a in arguments))
        results[number] = place
        if number in ends:
            results[number] = out.add(fused(node, Layout(True), graph, [node]), (place,))
    out.inputs = tuple(results[i] for i in graph.inputs)
    out.outputs = tuple(results[o] for o in graph.outputs)
    return out


def is_laid_out(graph: Graph) -> bool:
    """Whether the maps of an outermost graph have their channels last."""
    return any(isinstance(node.fused, Layout) for _, node, _ in graph)


def _windows(graph: Graph, known: dict[int, Counter[str]]) -> Counter[str]:
    """The convolutions of more than one position, depthwise and full; every call counts."""
    if id(graph) not in known:
        found: Counter[str] = Counter()
        for _, node, _ in graph:
            if node.body is not None:
                found.update(_windows(node.body, known))
            elif node.layer == "conv" and node.attrs is not None and pair(node.attrs["k"]) != (1, 1):
                found["depthwise" if node.attrs["groups"] == node.type.C > 1 else "full"] += 1
        known[id(graph)] = found
    return known[id(graph)]
