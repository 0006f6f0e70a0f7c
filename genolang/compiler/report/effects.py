"""What each pass changed, for people who want to know."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass

from genolang.compiler.ir import Graph, Node, calls, verify
from genolang.compiler.ir.made import Layout, Normalised, Part
from genolang.compiler.passes import TRAINING


@dataclass(frozen=True, slots=True)
class Change:
    """Layers of one line that a pass merged, left out or put into a node of its own: how many, each
    shared body counted once."""

    layer: str
    file: str
    line: int
    count: int


@dataclass(frozen=True, slots=True)
class PassEffect:
    """A pass, the number of nodes (every call counted in full) before and after it, and its changes;
    `elsewhere` is why it comes to nothing without a GPU."""

    name: str
    sentence: str
    nodes_before: int
    nodes_after: int
    changes: tuple[Change, ...]
    elsewhere: str = ""


def effects(graph: Graph, *, without: Collection[str] = ()) -> list[PassEffect]:
    """Run the pipeline and say what each pass did, with the lines that it did something to."""
    found = []
    for step in (step for step in TRAINING if step.name not in without):
        after = step.run(graph)
        verify(after, step.name)
        gone: Counter[tuple[str, str, int]] = Counter()
        if step.name == "share":
            gone = _layers(graph) - _layers(after)
        elif step.name == "zeros":
            gone = _read_zeros(graph) - _read_zeros(after)
        elif step.name == "statistics":
            gone = _norms_that_share(after)
        elif step.name not in ("inline", "prune"):
            gone = _operations(graph) - _operations(after)
        changes = tuple(Change(*key, count) for key, count in sorted(gone.items(), key=lambda i: i[0][1:]))
        sizes = graph.size(), after.size()
        found.append(PassEffect(step.name, step.sentence, *sizes, changes, step.elsewhere))
        graph = after
    return found


def _origin(node: Node) -> tuple[str, str, int]:
    layer = node.layer or (node.fused.name if node.fused is not None else node.kind)
    return layer, node.span.source.name, node.span.line


def _operations(graph: Graph) -> Counter[tuple[str, str, int]]:
    """All that computes something, by the line that it comes from."""
    return Counter(
        _origin(node)
        for g in calls(graph)
        for _, node, _ in g
        if node.kind not in ("input", "call") and not isinstance(node.fused, Part | Layout)
    )


def _norms_that_share(graph: Graph) -> Counter[tuple[str, str, int]]:
    """The batch norms that have their statistics from one node, by that node's line."""
    found: Counter[tuple[str, str, int]] = Counter()
    for g in calls(graph):
        for _, node, _ in g:
            if isinstance(node.fused, Normalised):
                found["batch_norm", node.span.source.name, node.span.line] += len(node.fused.norms)
    return found


def _layers(graph: Graph) -> Counter[tuple[str, str, int]]:
    """The layers without weights, by the line that they come from."""
    return Counter(_origin(node) for g in calls(graph) for _, node, _ in g if node.kind == "layer" and not node.path)


def _read_zeros(graph: Graph) -> Counter[tuple[str, str, int]]:
    """The zeros that sums and mixed operations read, by the line that they come from."""
    return Counter(
        _origin(g.node(a))
        for g in calls(graph)
        for _, node, arguments in g
        for a in arguments
        if g.node(a).layer == "zeros" and (node.mix is not None or node.layer == "add")
    )
