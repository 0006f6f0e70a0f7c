"""Put the bodies of small calls in their place, so that later passes see across them."""

from __future__ import annotations

from dataclasses import replace

from genolang.compiler.ir import Graph, flatten, renewed


def inline(graph: Graph) -> Graph:
    """Keep the calls of the outermost graph (a cell stays one unit); flatten everything inside."""
    flat = {id(body): flatten(body) for body in {id(body): body for body in graph.bodies()}.values()}
    return renewed(graph, lambda node: node if node.body is None else replace(node, body=flat[id(node.body)]))
