"""What a legal graph is. Checked after every pass; a failure is a bug of ours, not of the user."""

from __future__ import annotations

from dataclasses import dataclass, field

from genolang.compiler.ir.graph import Graph, Node
from genolang.primitives import PRIMITIVES, MapType, ShapeProblem, broadcast


@dataclass(frozen=True, slots=True)
class Verified:
    """Graphs that were verified, and nodes with the types of their arguments, by their identity."""

    graphs: dict[int, Graph] = field(default_factory=dict)
    nodes: dict[int, tuple[Node, list[MapType]]] = field(default_factory=dict)


def verify(graph: Graph, after: str, known: Verified | None = None) -> None:
    """Assert that a graph, its bodies included, is well formed; names the node and its origin.

    `known` carries over what was verified from one call to the next: a graph that a pass left alone, since
    none changes the graph that it was given, and the shape rule of a node of the same arguments.
    """
    known = Verified() if known is None else known
    stack = [graph]
    while stack:
        current = stack.pop()
        if id(current) not in known.graphs:
            known.graphs[id(current)] = current
            _verify_one(current, after, known)
            stack += current.bodies()


def _verify_one(graph: Graph, after: str, known: Verified) -> None:
    assert graph.outputs, f"after {after}: {graph.name} has no output"
    made: dict[int, MapType] = {}
    for number, node, arguments in graph:
        types = [made[a] for a in arguments if a in made]
        sound = len(types) == len(arguments)
        made[number] = node.type
        before = known.nodes.get(id(node))
        if sound and before is not None and before[1] == types and node.body is None:
            continue
        where = f"after {after}: {graph.name} %{number} {node.layer or node.kind} from {node.span!r}"
        assert sound, f"{where}: it reads a later node"
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
        known.nodes[id(node)] = (node, types)
