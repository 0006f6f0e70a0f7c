"""Fold batch norms into the layers before them, for networks that only answer any more.

The one pass that changes what a state dict holds, so it stands in no pipeline.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from genolang.compiler.ir import Graph, Node, verify
from genolang.compiler.ir.fused import Answering
from genolang.compiler.passes.decide import decide
from genolang.compiler.passes.inline import flatten
from genolang.compiler.passes.layout import channels_last
from genolang.compiler.passes.links import Uses, rebuilt, uses
from genolang.compiler.passes.patterns import recognise
from genolang.compiler.passes.prune import prune
from genolang.compiler.passes.share import share
from genolang.compiler.passes.zeros import drop_zeros
from genolang.primitives import PRIMITIVES
from genolang.semantics.program import ChoiceSet, Leaf, Path


@dataclass(frozen=True, slots=True)
class Norm:
    """A batch norm that went into a layer."""

    path: Path
    eps: float


@dataclass(frozen=True, slots=True)
class Folding:
    """A graph without calls and without the norms behind layers, which have biases instead; `norms`
    tells by a layer's path which norm went into it."""

    graph: Graph
    norms: Mapping[Path, Norm]


def for_inference(
    graph: Graph, sets: Mapping[str, ChoiceSet], selected: Mapping[str, Sequence[int]]
) -> Folding:
    """A network's graph as it answers fastest: every cell written out, what is selected in the place of
    choices, no auxiliary head, and no weights but those that the answer needs."""
    graph = flatten(graph)
    graph.outputs = graph.outputs[:1]
    zeros = {key: frozenset(i for i, o in enumerate(s.options) if o.zero) for key, s in sets.items()}
    graph = decide(graph, selected, zeros)
    for change in (drop_zeros, share, prune):
        graph = change(graph)
    folding = fold(graph)
    laid_out = channels_last(_joined(recognise(folding.graph)))
    verify(laid_out, "folding")
    return Folding(laid_out, folding.norms)


def fold(graph: Graph) -> Folding:
    """Fold every batch norm that alone reads a convolution or a dense layer, where neither's weights
    are used elsewhere; `graph` calls nothing."""
    found = uses(graph)
    norms = {
        graph.node(arguments[0]).path: Norm(node.path, float(graph.leaves[node.path].attrs["eps"]))
        for _, node, arguments in graph
        if node.layer == "batch_norm" and _goes_into(graph, found, node, arguments[0])
    }
    gone = frozenset(norm.path for norm in norms.values())
    leaves = {
        path: _with_bias(leaf) if path in norms else leaf
        for path, leaf in graph.leaves.items()
        if path not in gone and found.paths[path] > 0
    }
    out = Graph(graph.name, leaves)
    results: dict[int, int] = {}
    for number, node, arguments in graph:
        if node.path in gone:
            results[number] = results[arguments[0]]
            continue
        if node.path in norms:
            assert node.attrs is not None
            node = replace(node, attrs=_biased(node.attrs))
        results[number] = out.add(node, tuple(results[a] for a in arguments))
    out.inputs = tuple(results[i] for i in graph.inputs)
    out.outputs = tuple(results[o] for o in graph.outputs)
    return Folding(out, norms)


def _joined(graph: Graph) -> Graph:
    """Layers do on their way, or in their own memory, what alone reads them: an addition, a ReLU."""
    found = uses(graph)
    changed: dict[int, tuple[Answering, tuple[int, ...]]] = {}
    for number, node, arguments in graph:
        if node.layer in ("conv", "linear"):
            changed[number] = Answering(node.path), arguments
        elif node.layer == "relu" and found.reads[arguments[0]] == 1:
            before = graph.node(arguments[0])
            if arguments[0] in changed:
                made, reads = changed[arguments[0]]
                changed[number] = replace(made, relu=True), reads
            elif before.layer == "batch_norm":
                changed[number] = Answering(before.path, relu=True), graph.arguments(arguments[0])
        elif node.layer == "add" and len(arguments) == 2 and node.attrs == {"constant": 0}:
            for one, other in (arguments, arguments[::-1]):
                alike = graph.node(other).type == graph.node(one).type
                if graph.node(one).layer == "conv" and found.reads[one] == 1 and alike:
                    changed[number] = replace(changed[one][0], added=True), (*changed[one][1], other)
                    break
    return rebuilt(graph, changed) if changed else graph


def _goes_into(graph: Graph, found: Uses, norm: Node, source: int) -> bool:
    before = graph.node(source)
    alone = found.alone(graph, source) and found.paths[norm.path] == 1
    return before.layer in ("conv", "linear") and alone


def _biased(attrs: Mapping[str, Any]) -> Mapping[str, Any]:
    return {**attrs, "bias": True}


def _with_bias(leaf: Leaf) -> Leaf:
    attrs = _biased(leaf.attrs)
    return Leaf(leaf.layer, attrs, leaf.inputs, PRIMITIVES[leaf.layer].weights(attrs, leaf.inputs))
