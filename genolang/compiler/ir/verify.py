"""What a legal graph is. Checked after every pass; a failure is a bug of ours, not of the user."""

from __future__ import annotations

from genolang.compiler.ir.graph import Graph, Node
from genolang.primitives import PRIMITIVES, MapType, ShapeProblem, broadcast

Verified = dict[int, tuple[Node, list[MapType]]]


def verify(graph: Graph, after: str, known: Verified | None = None) -> None:
    """Assert that a graph, its bodies included, is well formed; names the node and its origin.

    `known` carries nodes over from one call to the next: a node that a pass left alone, with arguments
    of the same types, keeps its shape rule.
    """
    known = {} if known is None else known
    seen: set[int] = set()
    stack = [graph]
    while stack:
        current = stack.pop()
        if id(current) not in seen:
            seen.add(id(current))
            _verify_one(current, after, known)
            stack += [b for n in current.links if (b := current.node(n).body) is not None]


def _verify_one(graph: Graph, after: str, known: Verified) -> None:
    assert graph.outputs, f"after {after}: {graph.name} has no output"
    for number, node, arguments in graph:
        types = [graph.node(a).type for a in arguments]
        links = sorted((key, start) for start, _, key in graph.links.in_edges(number, keys=True))
        sound = links == list(enumerate(arguments)) and all(a < number for a in arguments)
        before = known.get(id(node))
        if sound and before is not None and before[1] == types and node.body is None:
            continue
        where = f"after {after}: {graph.name} %{number} {node.layer or node.kind} from {node.span!r}"
        assert sound, f"{where}: links and arguments differ, or it reads a later node"
        if node.kind == "input":
            assert not arguments, f"{where}: an input reads something"
        elif node.kind == "layer":
            rule = PRIMITIVES[node.layer]
            try:
                follows = node.attrs is not None and rule.shape(node.attrs, types) == node.type
            except ShapeProblem:
                follows = False
            assert follows, f"{where}: {node.type} does not follow from {types}"
            assert bool(node.path) == rule.has_weights, f"{where}: weights without a path"
        elif node.kind == "fused":
            assert node.fused is not None, f"{where}: fused of nothing"
            assert all(path in graph.leaves for path in node.fused.paths), f"{where}: not declared"
            assert node.fused.result(types, graph.leaves) == node.type, f"{where}: wrong result type"
        elif node.kind == "call":
            body = node.body
            assert body is not None, f"{where}: a call of nothing"
            inner = [body.node(i).type for i in body.inputs]
            assert inner == types, f"{where}: called with {types}, takes {inner}"
            assert body.node(body.outputs[0]).type == node.type, f"{where}: wrong result type"
        else:
            assert node.mix is not None and len(node.kept) == len(arguments), f"{where}: mix"
            try:
                # Masks that are multiplied may be narrower than their product.
                found = broadcast(types) if node.mix.combine == "product" else types[0]
            except ShapeProblem:
                found = None
            same = node.mix.combine == "product" or len(set(types)) == 1
            assert same and found == node.type, f"{where}: alternatives differ: {types}"
        if node.path and node.kind == "layer":
            assert node.path in graph.leaves, f"{where}: {'.'.join(node.path)} is not declared"
        known[id(node)] = (node, types)
