"""Look through the outermost calls where a kernel's pattern spans them."""

from __future__ import annotations

from collections.abc import Collection

from genolang.compiler.ir import Graph, Node, Rewriting, copy_body, rewrite
from genolang.compiler.recognise.patterns import chosen, pattern_links


def open(graph: Graph) -> Graph:
    """A module that a network calls, such as one that is plugged into a slot, is put in the place of its
    call where its last layers and those behind the call are one pattern."""
    candidates = {number for number, node, _ in graph if _may_end_inside(graph, number, node)}
    if not candidates:
        return graph
    tried, inside = _without_calls(graph, candidates)
    spanned = set()
    for match, _ in chosen(tried):
        origins = {inside.get(place) for place in match.covered}
        if len(origins) > 1:
            spanned |= origins
    wanted = candidates & spanned
    return _without_calls(graph, wanted)[0] if wanted else graph


def _may_end_inside(graph: Graph, number: int, node: Node) -> bool:
    """Whether a call's last layer and the only one that reads it may be neighbours in a pattern."""
    if node.body is None or node.body.keys or number in graph.outputs:
        return False
    readers = [end for _, end in graph.links.out_edges(number)]
    if len(readers) != 1:
        return False
    last = node.body.node(node.body.outputs[0]).layer
    return (graph.node(readers[0]).layer, last) in pattern_links()


def _without_calls(graph: Graph, calls: Collection[int]) -> tuple[Graph, dict[int, int]]:
    """The graph with some calls replaced by their bodies, and the call that each of their nodes is from."""
    inside: dict[int, int] = {}

    def rule(now: Rewriting, number: int, node: Node, arguments: tuple[int, ...]) -> int:
        if number not in calls:
            return now.keep(node, arguments)
        assert node.body is not None
        first = len(now.new)
        place = copy_body(node.body, now.at(arguments), node.path, now.new)
        inside.update(dict.fromkeys(range(first, len(now.new)), number))
        return place

    return rewrite(graph, rule), inside
