"""What a legal graph is. Checked after every pass; a failure is a bug of ours, not of the user."""

from __future__ import annotations

from genolang.compiler.ir.graph import Graph
from genolang.primitives import PRIMITIVES


def verify(graph: Graph, after: str) -> None:
    """Assert that a graph, its bodies included, is well formed; names the node and its origin."""
    seen: set[int] = set()
    stack = [graph]
    while stack:
        current = stack.pop()
        if id(current) not in seen:
            seen.add(id(current))
            _verify_one(current, after)
            stack += [b for n in current.links if (b := current.node(n).body) is not None]


def _verify_one(graph: Graph, after: str) -> None:
    assert graph.outputs, f"after {after}: {graph.name} has no output"
    for number, node, arguments in graph:
        where = f"after {after}: {graph.name} %{number} {node.layer or node.kind} from {node.span!r}"
        types = [graph.node(a).type for a in arguments]
        links = sorted((key, start) for start, _, key in graph.links.in_edges(number, keys=True))
        assert links == list(enumerate(arguments)), f"{where}: links and arguments differ"
        assert all(a < number for a in arguments), f"{where}: reads a later node"
        if node.kind == "input":
            assert not arguments, f"{where}: an input reads something"
        elif node.kind == "layer":
            rule = PRIMITIVES[node.layer]
            assert node.attrs is not None and rule.shape(node.attrs, types) == node.type, (
                f"{where}: {node.type} does not follow from {types}"
            )
            assert bool(node.path) == rule.has_weights, f"{where}: weights without a path"
        elif node.kind == "call":
            body = node.body
            assert body is not None, f"{where}: a call of nothing"
            inner = [body.node(i).type for i in body.inputs]
            assert inner == types, f"{where}: called with {types}, takes {inner}"
            assert body.node(body.outputs[0]).type == node.type, f"{where}: wrong result type"
        else:
            assert node.mix is not None and len(node.kept) == len(arguments), f"{where}: mix"
            assert all(t == node.type for t in types), f"{where}: alternatives differ: {types}"
        if node.path and node.kind == "layer":
            assert node.path in graph.leaves, f"{where}: {'.'.join(node.path)} is not declared"
