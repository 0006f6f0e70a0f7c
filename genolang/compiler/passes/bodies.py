"""Apply a change of single graphs to a whole hierarchy, each shared body once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from genolang.compiler.ir import Graph


def map_bodies(graph: Graph, change: Callable[[Graph], Graph]) -> Graph:
    """The graph with `change` applied to it and to every body below it."""
    made: dict[int, Graph] = {}

    def visit(current: Graph) -> Graph:
        if id(current) in made:
            return made[id(current)]
        if next(current.bodies(), None) is None:
            made[id(current)] = change(current)
            return made[id(current)]
        out = current.empty_like()
        for number, node, arguments in current:
            if node.body is not None:
                node = replace(node, body=visit(node.body))
            out.add(node, arguments, number=number)
        out.inputs, out.outputs = current.inputs, current.outputs
        made[id(current)] = change(out)
        return made[id(current)]

    return visit(graph)
