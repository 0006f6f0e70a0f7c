"""What passes ask of a graph's links."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from itertools import chain

from genolang.compiler.ir.graph import Graph
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
    paths = Counter(chain(*(node.paths for _, node, _ in graph)))
    readers = {argument: number for number, _, arguments in graph for argument in arguments}
    reads = Counter(chain(graph.outputs, *(arguments for _, _, arguments in graph)))
    return Uses(reads, readers, paths)
