"""The graph: layers and what they read, and their links as a networkx multigraph.

It is hierarchical: a call node holds the graph of its body, and one body serves many calls. Graphs are
built, then only read: a pass returns a new one. Links are made when somebody asks for them: most passes
rebuild a graph in order, and building links is what that would cost most.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

from genolang.compiler.ir.made import Fused, Layout
from genolang.diagnostics import Span
from genolang.primitives import MapType
from genolang.semantics.program import Kind, Leaf, Mix, Path

if TYPE_CHECKING:
    import networkx as nx

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
    def is_sum(self) -> bool:
        """Whether it adds up maps, and nothing else."""
        return self.layer == "add" and self.attrs == {"constant": 0}

    @property
    def paths(self) -> tuple[Path, ...]:
        """Where its weights are."""
        own = (self.path,) if self.path else ()
        return own if self.fused is None else (*own, *self.fused.paths)

    @property
    def keys(self) -> tuple[str, ...]:
        """The choice sets whose weights this node reads, in the order in which it takes them."""
        if self.mix is not None:
            return (self.mix.key,)
        if self.body is not None:
            return self.body.keys
        return self.fused.keys if self.fused is not None else ()


class Graph:
    """Nodes by number; `inputs` in order, `outputs`, and the layers with weights in program order.

    Steps of a `captured` one are recorded where the device can.
    """

    def __init__(self, name: str, leaves: Mapping[Path, Leaf]) -> None:
        self.name = name
        self.leaves = leaves
        self._nodes: dict[int, tuple[Node, tuple[int, ...]]] = {}
        self._bodies: list[Graph] = []
        self._next = 0
        self.inputs: tuple[int, ...] = ()
        self.outputs: tuple[int, ...] = ()
        self.captured = False
        # By a layer's path, in a graph that only answers: the batch norm that went into it, and its eps.
        self.norms: Mapping[Path, tuple[Path, float]] = {}
        # Convolutions whose weights are to be standardised once, with what is added to their variance.
        self.standardized: Mapping[Path, float] = {}

    def add(self, node: Node, arguments: tuple[int, ...] = (), *, number: int | None = None) -> int:
        """Add a node behind its arguments and all that stands already; returns its number."""
        number = self._next if number is None else number
        assert number >= self._next, "nodes come in the order of their numbers"
        assert not arguments or max(arguments) < number, "a node stands before its arguments"
        self._next = number + 1
        self._nodes[number] = node, arguments
        self.__dict__.pop("links", None)
        if node.kind == "input":
            self.inputs = (*self.inputs, number)
        if node.body is not None:
            self._bodies.append(node.body)
        return number

    @cached_property
    def links(self) -> nx.MultiDiGraph[int]:
        """From every argument to the node that reads it; a link's key is the argument's position, so a map
        may enter a node twice."""
        # Most programs never ask, and networkx takes a tenth of a second to import.
        import networkx as nx

        links: nx.MultiDiGraph[int] = nx.MultiDiGraph()
        links.add_nodes_from(self._nodes)
        for number, _, arguments in self:
            for position, argument in enumerate(arguments):
                links.add_edge(argument, number, key=position)
        return links

    def bodies(self) -> Iterator[Graph]:
        """The bodies of its calls, call by call."""
        return iter(self._bodies)

    def __len__(self) -> int:
        return len(self._nodes)

    def node(self, number: int) -> Node:
        return self._nodes[number][0]

    def arguments(self, number: int) -> tuple[int, ...]:
        """The nodes whose values enter this one, by position."""
        return self._nodes[number][1]

    def __iter__(self) -> Iterator[tuple[int, Node, tuple[int, ...]]]:
        """Every node after those it reads: numbers grow along the links."""
        for number, (node, arguments) in self._nodes.items():
            yield number, node, arguments

    def __reversed__(self) -> Iterator[tuple[int, Node, tuple[int, ...]]]:
        """Every node before those it reads."""
        for number, (node, arguments) in reversed(self._nodes.items()):
            yield number, node, arguments

    def needed(self, outputs: tuple[int, ...]) -> frozenset[int]:
        """The nodes that some outputs depend on."""
        found = set(outputs)
        for number, _, arguments in reversed(self):
            if number in found:
                found.update(arguments)
        return frozenset(found)

    @cached_property
    def keys(self) -> tuple[str, ...]:
        """The choice sets whose weights this graph reads, its bodies included."""
        return tuple(sorted({key for _, node, _ in self for key in node.keys}))

    @cached_property
    def is_laid_out(self) -> bool:
        """Whether the maps of an outermost graph have their channels last."""
        return any(isinstance(node.fused, Layout) for _, node, _ in self)

    def size(self) -> int:
        """The number of nodes with every call counted in full."""
        return sum(1 if node.body is None else node.body.size() for _, node, _ in self)

    def empty_like(self) -> Graph:
        found = Graph(self.name, self.leaves)
        found.captured, found.norms, found.standardized = self.captured, self.norms, self.standardized
        return found
