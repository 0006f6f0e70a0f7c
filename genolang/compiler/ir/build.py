"""Expanded programs to graphs: a block becomes one graph, however often it is called."""

from __future__ import annotations

from genolang.compiler.ir.graph import Graph, Node
from genolang.semantics.program import Block


def build_graph(block: Block, made: dict[int, Graph] | None = None) -> Graph:
    """The graph of a block and, shared between their calls, of the blocks that it calls."""
    made = {} if made is None else made
    if id(block) in made:
        return made[id(block)]
    graph = Graph(block.name, block.leaves)
    for item in block.nodes:
        body = build_graph(item.body, made) if item.body is not None else None
        kept = tuple(range(len(item.inputs))) if item.mix is not None else ()
        graph.add(
            Node(item.kind, item.type, item.span, item.layer, item.attrs, item.path, body, item.mix, kept), item.inputs
        )
    graph.outputs = block.outputs
    made[id(block)] = graph
    return graph
