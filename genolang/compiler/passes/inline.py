"""Put the bodies of small calls in their place, so that later passes see across them."""

from __future__ import annotations

from dataclasses import replace

from genolang.compiler.ir import Graph, rebased
from genolang.semantics.program import Path


def inline(graph: Graph) -> Graph:
    """Keep the calls of the outermost graph (a cell stays one unit); flatten everything inside."""
    flat: dict[int, Graph] = {}
    out = graph.empty_like()
    for number, node, arguments in graph:
        if node.body is not None:
            if id(node.body) not in flat:
                flat[id(node.body)] = flatten(node.body)
            node = replace(node, body=flat[id(node.body)])
        out.add(node, arguments, number=number)
    out.inputs, out.outputs = graph.inputs, graph.outputs
    return out


def flatten(graph: Graph) -> Graph:
    """The graph with every call replaced by the nodes of its body."""
    out = graph.empty_like()
    results: dict[int, int] = {}
    for number, node, arguments in graph:
        found = tuple(results[a] for a in arguments)
        if node.body is None:
            results[number] = out.add(node, found)
        else:
            results[number] = copy_body(node.body, found, node.path, out)
    out.inputs = tuple(results[i] for i in graph.inputs)
    out.outputs = tuple(results[o] for o in graph.outputs)
    return out


def copy_body(body: Graph, arguments: tuple[int, ...], prefix: Path, out: Graph) -> int:
    """Add a call's nodes, those of calls in it too, to a graph; the number of its result."""
    results = dict(zip(body.inputs, arguments, strict=True))
    for number, node, inner in body:
        if node.kind == "input":
            continue
        found = tuple(results[a] for a in inner)
        if node.body is None:
            results[number] = out.add(rebased(node, prefix), found)
        else:
            results[number] = copy_body(node.body, found, prefix + node.path, out)
    return results[body.outputs[0]]
