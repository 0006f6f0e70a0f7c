"""The graph: layers and their links, held in a networkx multigraph by a type of our own.

It is hierarchical: a call node holds the graph of its body, and one body serves many calls. An edge's
key is the argument's position, so a map may enter a node twice. Graphs are built, then only read:
a pass returns a new one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

import networkx as nx

from genolang.compiler.ir.fused import Fused
from genolang.diagnostics import Span
from genolang.primitives import MapType
from genolang.semantics.program import Kind, Leaf, Mix, Path

NodeKind = Kind | Literal["fused"]


@dataclass(frozen=True, slots=True)
class Node:
    """One value of a graph. `kept` lists, for a mix, which alternatives its inputs are; `origins`, for
    a fused node, the places in the text that it computes, where those are more than its own."""

    kind: NodeKind
    type: MapType
    span: Span
    layer: str = ""
    attrs: Mapping[str, Any] | None = None
    path: Path = ()
    body: Graph | None = None
    mix: Mix | None = None
    kept: tuple[int, ...] = ()
    fused: Fused | None = None
    origins: tuple[Span, ...] = ()

    @property
    def keys(self) -> tuple[str, ...]:
        """The choice sets whose weights this node reads, in the order in which it takes them."""
        if self.mix is not None:
            return (self.mix.key,)
        if self.body is not None:
            return self.body.keys
        return self.fused.keys if self.fused is not None else ()


class Graph:
    """Nodes by number; `inputs` in order, `outputs`, and the layers with weights in program order."""

    def __init__(self, name: str, leaves: Mapping[Path, Leaf]) -> None:
        self.name = name
        self.leaves = leaves
        self.links: nx.MultiDiGraph[int] = nx.MultiDiGraph()
        self._nodes: dict[int, tuple[Node, tuple[int, ...]]] = {}
        self.inputs: tuple[int, ...] = ()
        self.outputs: tuple[int, ...] = ()

    def add(self, node: Node, arguments: tuple[int, ...] = (), *, number: int | None = None) -> int:
        """Add a node behind its arguments; returns its number."""
        number = self.links.number_of_nodes() if number is None else number
        assert all(argument < number for argument in arguments), "a node stands before its arguments"
        self._nodes[number] = node, arguments
        self.links.add_node(number)
        for position, argument in enumerate(arguments):
            self.links.add_edge(argument, number, key=position)
        if node.kind == "input":
            self.inputs = (*self.inputs, number)
        return number

    def node(self, number: int) -> Node:
        return self._nodes[number][0]

    def arguments(self, number: int) -> tuple[int, ...]:
        """The nodes whose values enter this one, by position."""
        return self._nodes[number][1]

    def __iter__(self) -> Iterator[tuple[int, Node, tuple[int, ...]]]:
        """Every node after those it reads: numbers grow along the links."""
        for number in sorted(self._nodes):
            yield number, *self._nodes[number]

    def needed(self, outputs: tuple[int, ...]) -> frozenset[int]:
        """The nodes that some outputs depend on."""
        found: set[int] = set()
        for output in outputs:
            found |= {output, *nx.ancestors(self.links, output)}
        return frozenset(found)

    @cached_property
    def keys(self) -> tuple[str, ...]:
        """The choice sets whose weights this graph reads, its bodies included."""
        return tuple(sorted({key for number in self.links for key in self.node(number).keys}))

    def size(self) -> int:
        """The number of nodes with every call counted in full."""
        nodes = (self.node(number) for number in self.links)
        return sum(1 if n.body is None else n.body.size() for n in nodes)

    def empty_like(self) -> Graph:
        return Graph(self.name, self.leaves)


def rebased(node: Node, prefix: Path) -> Node:
    """The node with its weights' path under a prefix."""
    return replace(node, path=prefix + node.path) if node.path else node
