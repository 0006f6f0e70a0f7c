"""Lay maps out with their channels last."""

from __future__ import annotations

from collections.abc import Collection

from genolang.compiler.ir import Graph, Node, Rewriting, map_bodies, rewrite
from genolang.compiler.ir.made import Layout


def channels_last(graph: Graph) -> Graph:
    """Images go in channels last, answers that are maps come out as ever."""
    return map_bodies(_laid_out(graph, graph.inputs, outermost=True), _behind_concat)


def _behind_concat(graph: Graph) -> Graph:
    """Single channels put together come out channel by channel: full windows want them in a row."""
    ends = {
        arguments[0]
        for _, node, arguments in graph
        if node.layer == "conv" and graph.node(arguments[0]).layer == "concat"
    }
    return _laid_out(graph, ends) if ends else graph


def _laid_out(graph: Graph, behind: Collection[int], *, outermost: bool = False) -> Graph:
    def rule(now: Rewriting, number: int, node: Node, arguments: tuple[int, ...]) -> int:
        place = now.keep(node, arguments)
        if number in behind:
            now.places[number] = place
            place = now.fuse(Layout(True), node, (number,))
        return place

    def answer(now: Rewriting, output: int) -> int:
        node = graph.node(output)
        if outermost and not node.type.is_vector:
            return now.fuse(Layout(False), node, (output,))
        return now.places[output]

    return rewrite(graph, rule, answer=answer)
