"""How one graph is made of another: node by node, in order. What becomes of each, a pass says."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace

from genolang.compiler.ir.graph import Graph, Node
from genolang.compiler.ir.made import Fused
from genolang.diagnostics import Span
from genolang.semantics.program import Path


@dataclass(frozen=True, slots=True)
class Rewriting:
    """A graph that becomes another one; `places` tells where in `new` the values of `old` are."""

    old: Graph
    new: Graph
    places: dict[int, int] = field(default_factory=dict)

    def at(self, numbers: Iterable[int]) -> tuple[int, ...]:
        return tuple([self.places[number] for number in numbers])

    def keep(self, node: Node, arguments: tuple[int, ...]) -> int:
        """Add a node that reads what nodes of the old graph have become; its place."""
        return self.new.add(node, self.at(arguments))

    def fuse(self, made: Fused, node: Node, arguments: Iterable[int], origins: tuple[Span, ...] = ()) -> int:
        """Add a fused node where another one stood, which reads what nodes of the old graph have become."""
        reads = self.at(arguments)
        type = made.result([self.new.node(read).type for read in reads], self.new.leaves)
        return self.new.add(Node("fused", type, node.span, fused=made, origins=origins), reads)


# What is added for a node, given its number and arguments in the old graph; the place of its value.
Rule = Callable[[Rewriting, int, Node, tuple[int, ...]], int]


def rewrite(
    graph: Graph,
    rule: Rule,
    *,
    only: Collection[int] | None = None,
    into: Graph | None = None,
    answer: Callable[[Rewriting, int], int] | None = None,
) -> Graph:
    """The graph that a rule makes of another one, given its nodes in order, or `only` some of them.

    `into` is an empty graph for the result, where that differs in more than its nodes; `answer` gives the
    place of an output, where that is not its node's.
    """
    now = Rewriting(graph, graph.empty_like() if into is None else into)
    for number, node, arguments in graph:
        if only is None or number in only:
            now.places[number] = rule(now, number, node, arguments)
    now.new.outputs = tuple([now.places[o] if answer is None else answer(now, o) for o in graph.outputs])
    return now.new


def renewed(graph: Graph, change: Callable[[Node], Node], *, only: Collection[int] | None = None) -> Graph:
    """The graph with every node, or `only` some of them, changed by itself; numbers stay."""
    return rewrite(graph, lambda now, number, node, reads: now.new.add(change(node), reads, number=number), only=only)


def map_bodies(graph: Graph, change: Callable[[Graph], Graph]) -> Graph:
    """The graph with `change` applied to it and to every body below it, each once."""
    made: dict[int, Graph] = {}

    def visit(current: Graph) -> Graph:
        if id(current) not in made:
            calls = next(current.bodies(), None) is not None
            made[id(current)] = change(renewed(current, inside) if calls else current)
        return made[id(current)]

    def inside(node: Node) -> Node:
        return node if node.body is None else replace(node, body=visit(node.body))

    return visit(graph)


def flatten(graph: Graph) -> Graph:
    """The graph with every call replaced by the nodes of its body."""

    def rule(now: Rewriting, number: int, node: Node, arguments: tuple[int, ...]) -> int:
        if node.body is None:
            return now.keep(node, arguments)
        return copy_body(node.body, now.at(arguments), node.path, now.new)

    return rewrite(graph, rule)


def copy_body(body: Graph, arguments: tuple[int, ...], prefix: Path, out: Graph) -> int:
    """Add a call's nodes, those of calls in it too, to a graph; the number of its result."""
    places = dict(zip(body.inputs, arguments, strict=True))
    for number, node, inner in body:
        if node.kind == "input":
            continue
        reads = tuple([places[a] for a in inner])
        if node.body is None:
            path = prefix + node.path if node.path else ()
            places[number] = out.add(replace(node, path=path), reads)
        else:
            places[number] = copy_body(node.body, reads, prefix + node.path, out)
    return places[body.outputs[0]]


# A node that is put where another one stood, and what it reads there.
Changed = Mapping[int, tuple[Fused, tuple[int, ...]]]


def substitute(graph: Graph, changed: Changed, behind: Mapping[int, Fused] | None = None) -> Graph:
    """The graph with some nodes replaced by fused ones that read other nodes of it, and without what
    nothing reads any more.

    `behind` puts a fused node behind a node, for those changed nodes alone that name it by `~number`.
    """
    if not changed:
        return graph
    behind = {} if behind is None else behind

    def rule(now: Rewriting, number: int, node: Node, arguments: tuple[int, ...]) -> int:
        if number in changed:
            made, reads = changed[number]
            place = now.fuse(made, node, reads, origins(graph, number, reads))
        else:
            place = now.keep(node, arguments)
        if number in behind:
            now.places[number] = place
            now.places[~number] = now.fuse(behind[number], now.new.node(place), (number,))
        return place

    return rewrite(graph, rule, only=_wanted(graph, changed))


def _wanted(graph: Graph, changed: Changed) -> set[int]:
    """The inputs, the outputs, and what those depend on after the change; what stood dead stays."""
    before = graph.needed(graph.outputs)
    wanted = {number for number, _, _ in graph if number not in before}
    wanted.update(graph.inputs, graph.outputs)
    for number, _, arguments in reversed(graph):
        if number in wanted:
            reads = changed[number][1] if number in changed else arguments
            wanted.update(a if a >= 0 else ~a for a in reads)
    return wanted


def origins(graph: Graph, number: int, reads: tuple[int, ...] = ()) -> tuple[Span, ...]:
    """The places in the text of a node and of what it depends on, up to the nodes that it `reads`."""
    found: dict[Span, None] = {}
    seen = {a if a >= 0 else ~a for a in reads}
    stack = [number]
    while stack:
        current = stack.pop()
        if current not in seen:
            seen.add(current)
            node = graph.node(current)
            if node.kind not in ("input", "call"):
                found.update(dict.fromkeys(node.origins or (node.span,)))
                stack += graph.arguments(current)
    return tuple(found)
