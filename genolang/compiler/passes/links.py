"""What passes ask of a graph's links, and how they build the next graph."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import chain

from genolang.compiler.ir import Graph, Node
from genolang.compiler.ir.fused import Fused
from genolang.diagnostics import Span
from genolang.semantics.program import Path


@dataclass(frozen=True, slots=True)
class Uses:
    """How often every node is read, outputs included, the last node that reads it, and in how many nodes
    every path of weights is."""

    reads: Counter[int]
    readers: dict[int, int]
    paths: Counter[Path]

    def alone(self, graph: Graph, number: int) -> bool:
        """Whether a node is read once, and no other node has its weights."""
        node = graph.node(number)
        return self.reads[number] == 1 and (not node.path or self.paths[node.path] == 1)


def uses(graph: Graph) -> Uses:
    nodes = [node for _, node, _ in graph]
    used = [node.fused.paths for node in nodes if node.fused is not None]
    paths = Counter(chain((node.path for node in nodes if node.path), *used))
    readers = {argument: number for number, _, arguments in graph for argument in arguments}
    reads = Counter(chain(graph.outputs, *(arguments for _, _, arguments in graph)))
    return Uses(reads, readers, paths)


def fused(
    node: Node, made: Fused, graph: Graph, types: list[Node], origins: tuple[Span, ...] = ()
) -> Node:
    """A fused node where another one stood, behind nodes of certain types."""
    found = made.result([n.type for n in types], graph.leaves)
    return Node("fused", found, node.span, fused=made, origins=origins)


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


Emit = Callable[[Graph, dict[int, int], int, Node, tuple[int, ...]], int]


def rebuilt(
    graph: Graph, changed: Mapping[int, tuple[Fused, tuple[int, ...]]],
    after: Mapping[int, Fused] | None = None,
) -> Graph:  # fmt: skip
    """The graph with some nodes replaced by fused ones that read other nodes of it, and without what
    nothing reads any more.

    `after` puts a fused node behind a node, for those changed nodes alone that name it by `~number`.
    """
    out = graph.empty_like()
    results: dict[int, int] = {}
    wanted = _wanted(graph, changed)
    for number, node, arguments in graph:
        if number not in wanted:
            continue
        if number in changed:
            made, reads = changed[number]
            places = tuple(results[a] for a in reads)
            types, spans = [out.node(p) for p in places], origins(graph, number, reads)
            results[number] = out.add(fused(node, made, graph, types, spans), places)
        else:
            results[number] = out.add(node, tuple(results[a] for a in arguments))
        if after is not None and number in after:
            place = results[number]
            results[~number] = out.add(
                fused(out.node(place), after[number], graph, [out.node(place)]), (place,)
            )
    out.inputs = tuple(results[i] for i in graph.inputs)
    out.outputs = tuple(results[o] for o in graph.outputs)
    return out


def _wanted(graph: Graph, changed: Mapping[int, tuple[Fused, tuple[int, ...]]]) -> set[int]:
    """The inputs, the outputs, and what those depend on after the change; what stood dead stays."""
    before = graph.needed(graph.outputs)
    wanted = {number for number, _, _ in graph if number not in before}
    wanted.update(graph.inputs, graph.outputs)
    for number, _, arguments in reversed(graph):
        if number in wanted:
            reads = changed[number][1] if number in changed else arguments
            wanted.update(a if a >= 0 else ~a for a in reads)
    return wanted
