"""What a legal graph is. Checked after every pass; a failure is a bug of ours, not of the user."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from genolang.compiler.ir.graph import Graph, Node, NodeKind
from genolang.primitives import PRIMITIVES, MapType, ShapeProblem, broadcast

# What holds of every graph from some pass on: gives what is wrong, or nothing.
Law = Callable[[Graph], str]


@dataclass(slots=True)
class Verified:
    """The laws that hold by now. Graphs that were verified, and by how many of them; nodes with the types of
    their arguments. Both by their identity."""

    laws: tuple[Law, ...] = ()
    graphs: dict[int, tuple[Graph, int]] = field(default_factory=dict)
    nodes: dict[int, tuple[Node, list[MapType]]] = field(default_factory=dict)


def verify(graph: Graph, after: str, known: Verified | None = None) -> None:
    """Assert that a graph, its bodies included, is well formed; names the node and its origin.

    `known` carries over what was verified from one call to the next: a graph that a pass left alone, since
    none changes the graph that it was given, and the shape rule of a node of the same arguments.
    """
    known = Verified() if known is None else known
    stack, seen = [graph], set[int]()
    while stack:
        current = stack.pop()
        if id(current) in seen:
            continue
        seen.add(id(current))
        _, held = known.graphs.get(id(current), (current, -1))
        if held < 0:
            _verify_nodes(current, after, known)
        for law in known.laws[max(held, 0) :]:
            wrong = law(current)
            assert not wrong, f"after {after}: {current.name}: {wrong}"
        known.graphs[id(current)] = current, len(known.laws)
        stack += current.bodies()


# The laws of stages


def only_outermost_calls(graph: Graph) -> str:
    """What a call calls has no calls itself: it is one unit."""
    deeper = [body.name for body in graph.bodies() if next(body.bodies(), None) is not None]
    return f"{deeper[0]}, which it calls, has calls" if deeper else ""


def all_is_read(graph: Graph) -> str:
    """Every node but the inputs is there for an output."""
    dead = {number for number, _, _ in graph} - graph.needed(graph.outputs) - set(graph.inputs)
    return f"nothing reads %{min(dead)}" if dead else ""


def only_used_weights(graph: Graph) -> str:
    """Every layer that is declared is computed."""
    used = {path for _, node, _ in graph for path in node.paths}
    unused = [path for path in graph.leaves if path not in used]
    return f"nothing computes {'.'.join(unused[0])}" if unused else ""


# The laws of nodes: what is wrong with one behind arguments of some types, or nothing


def _verify_nodes(graph: Graph, after: str, known: Verified) -> None:
    assert graph.outputs, f"after {after}: {graph.name} has no output"
    made: dict[int, MapType] = {}
    for number, node, arguments in graph:
        types = [made[a] for a in arguments if a in made]
        sound = len(types) == len(arguments)
        made[number] = node.type
        before = known.nodes.get(id(node))
        if sound and before is not None and before[1] == types and node.body is None:
            continue
        wrong = _NODES[node.kind](graph, node, types) if sound else "it reads a later node"
        assert not wrong, f"after {after}: {graph.name} %{number} {node.layer or node.kind} from {node.span!r}: {wrong}"
        known.nodes[id(node)] = (node, types)


def _input(graph: Graph, node: Node, types: list[MapType]) -> str:
    return "an input reads something" if types else ""


def _layer(graph: Graph, node: Node, types: list[MapType]) -> str:
    rule = PRIMITIVES[node.layer]
    try:
        follows = node.attrs is not None and rule.shape(node.attrs, types) == node.type
    except ShapeProblem:
        follows = False
    if not follows:
        return f"{node.type} does not follow from {types}"
    if bool(node.path) != rule.has_weights:
        return "weights without a path"
    return _declared(graph, node)


def _fused(graph: Graph, node: Node, types: list[MapType]) -> str:
    if node.fused is None:
        return "fused of nothing"
    if wrong := _declared(graph, node):
        return wrong
    try:
        return "" if node.fused.result(types, graph.leaves) == node.type else "wrong result type"
    except (ShapeProblem, AssertionError) as error:
        return f"no result: {error}"


def _declared(graph: Graph, node: Node) -> str:
    missing = [path for path in node.paths if path not in graph.leaves]
    return f"{'.'.join(missing[0])} is not declared" if missing else ""


def _call(graph: Graph, node: Node, types: list[MapType]) -> str:
    body = node.body
    if body is None:
        return "a call of nothing"
    inner = [body.node(i).type for i in body.inputs]
    if inner != types:
        return f"called with {types}, takes {inner}"
    return "" if body.node(body.outputs[0]).type == node.type else "wrong result type"


def _mix(graph: Graph, node: Node, types: list[MapType]) -> str:
    if node.mix is None or len(node.kept) != len(types):
        return "a mix of nothing, or not of those that it keeps"
    product = node.mix.combine == "product"
    try:
        # Masks that are multiplied may be narrower than their product.
        found = broadcast(types) if product else types[0]
    except ShapeProblem:
        found = None
    same = product or len(set(types)) == 1
    return "" if same and found == node.type else f"alternatives differ: {types}"


_NODES: Mapping[NodeKind, Callable[[Graph, Node, list[MapType]], str]] = {
    "input": _input,
    "layer": _layer,
    "fused": _fused,
    "call": _call,
    "mix": _mix,
}
