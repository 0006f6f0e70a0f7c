"""Find one small graph of layers without weights in a larger one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import permutations

from genolang.compiler.ir import Graph, Node

# Layers whose maps may stand in any order.
_COMMUTATIVE = frozenset(("add", "multiply"))
# Sums and products of more maps than this are not searched for a pattern of fewer.
_MOST_MAPS = 8


@dataclass(frozen=True, slots=True)
class Form:
    """A pattern's graph, under the name of what it is for. A number of `holes` stands, wherever a layer
    has it, for any number; by its parameter."""

    name: str
    graph: Graph
    holes: Mapping[float, str]
    arguments: Mapping[str, bool]

    @property
    def root(self) -> Node:
        return self.graph.node(self.graph.outputs[0])


@dataclass(frozen=True, slots=True)
class Match:
    """Where a form's nodes are in a graph, by number, and what its holes hold there. `problems` are the
    clauses that say why, layers aside, it is none: empty for an exact match."""

    form: Form
    places: Mapping[int, int]
    numbers: Mapping[str, float]
    problems: tuple[str, ...] = ()

    @property
    def root(self) -> int:
        return self.places[self.form.graph.outputs[0]]

    @property
    def reads(self) -> tuple[int, ...]:
        """What stands for the form's inputs."""
        return tuple(self.places[i] for i in self.form.graph.inputs)

    @property
    def covered(self) -> frozenset[int]:
        """The nodes that the form is in the place of."""
        inputs = self.form.graph.inputs
        return frozenset(place for wanted, place in self.places.items() if wanted not in inputs)


def matches(form: Form, graph: Graph, number: int, reads: Mapping[int, int]) -> Iterator[Match]:
    """Every way in which the form ends in a node, those with problems too; `reads` counts the readers
    of each node."""
    (wanted,) = form.graph.outputs
    return _placed(Match(form, {}, {}), graph, wanted, number, reads)


def _placed(found: Match, graph: Graph, wanted: int, number: int, reads: Mapping[int, int]) -> Iterator[Match]:
    """A match so far with a node of the form, and all that it reads, put at a node of the graph."""
    form = found.form.graph
    node, pattern = graph.node(number), form.node(wanted)
    places = {**found.places, wanted: number}
    if pattern.kind == "input":
        if found.places.get(wanted, number) == number:
            yield replace(found, places=places)
        return
    if node.kind != "layer" or node.layer != pattern.layer:
        return
    found = _compared(replace(found, places=places), pattern, node)
    if wanted not in form.outputs and reads[number] != 1:
        found = _but(found, f"its `{node.layer}` is read {reads[number]} times")
    asked, there = form.arguments(wanted), graph.arguments(number)
    if len(there) != len(asked):
        found = _but(found, f"its `{node.layer}` takes {len(there)} maps, not {len(asked)}")
    orders = permutations(there, len(asked)) if len(asked) <= len(there) <= _MOST_MAPS else iter(())
    for order in orders if node.layer in _COMMUTATIVE else iter([there]):
        ways = iter([found])
        for inner, place in zip(asked, order, strict=False):
            ways = _each_placed(ways, graph, inner, place, reads)
        yield from ways


def _each_placed(
    ways: Iterator[Match], graph: Graph, wanted: int, number: int, reads: Mapping[int, int]
) -> Iterator[Match]:
    for way in ways:
        yield from _placed(way, graph, wanted, number, reads)


def _compared(found: Match, pattern: Node, node: Node) -> Match:
    """The match with a layer's attributes compared, numbers put into holes."""
    assert pattern.attrs is not None and node.attrs is not None
    for key, asked in pattern.attrs.items():
        value = node.attrs[key]
        hole = found.form.holes.get(asked) if isinstance(asked, float) else None
        if hole is not None and found.numbers.get(hole, value) == value:
            found = replace(found, numbers={**found.numbers, hole: value})
        elif hole is not None or value != asked:
            there = found.numbers.get(hole) if hole is not None else asked
            found = _but(found, f"its `{node.layer}` has {key}={value}, not {there}")
    return found


def _but(found: Match, problem: str) -> Match:
    return replace(found, problems=(*found.problems, problem))
