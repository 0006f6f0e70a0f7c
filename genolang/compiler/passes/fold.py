"""Fold batch norms into the layers before them, and standardise weights, for networks that only answer any more.

The one pass that changes what a state dict holds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from genolang.compiler.ir import Graph, Node, Rewriting, Uses, rewrite, uses
from genolang.primitives import PRIMITIVES
from genolang.semantics.program import Leaf


def fold(graph: Graph) -> Graph:
    """Fold every batch norm that alone reads a convolution or a dense layer, where neither's weights
    are used elsewhere; such a layer has a bias then. Layers that nothing computes are declared no more, and
    convolutions by standardised weights are plain ones of such weights; `graph` calls nothing."""
    standardized = {
        path: float(leaf.attrs["eps"]) for path, leaf in graph.leaves.items() if leaf.layer == "standardized_conv"
    }
    graph = _plain_convs(graph) if standardized else graph
    found = uses(graph)
    norms = {
        graph.node(arguments[0]).path: node.path
        for _, node, arguments in graph
        if node.layer == "batch_norm" and _goes_into(graph, found, node, arguments[0])
    }
    gone = frozenset(norms.values())
    leaves = {
        path: _with_bias(leaf) if path in norms else leaf
        for path, leaf in graph.leaves.items()
        if path not in gone and found.paths[path] > 0
    }

    def rule(now: Rewriting, number: int, node: Node, arguments: tuple[int, ...]) -> int:
        if node.path in gone:
            return now.places[arguments[0]]
        if node.path in norms:
            assert node.attrs is not None
            node = replace(node, attrs=_biased(node.attrs))
        return now.keep(node, arguments)

    folded = rewrite(graph, rule, into=Graph(graph.name, leaves))
    folded.standardized = standardized
    folded.norms = {layer: (norm, float(graph.leaves[norm].attrs["eps"])) for layer, norm in norms.items()}
    return folded


def _plain_convs(graph: Graph) -> Graph:
    """The graph with a convolution in the place of each by standardised weights."""
    leaves = {
        path: _as_conv(leaf) if leaf.layer == "standardized_conv" else leaf for path, leaf in graph.leaves.items()
    }

    def rule(now: Rewriting, number: int, node: Node, arguments: tuple[int, ...]) -> int:
        if node.layer == "standardized_conv":
            node = replace(node, layer="conv", attrs=leaves[node.path].attrs)
        return now.keep(node, arguments)

    return rewrite(graph, rule, into=Graph(graph.name, leaves))


def _as_conv(leaf: Leaf) -> Leaf:
    attrs = {key: value for key, value in leaf.attrs.items() if key != "eps"}
    return Leaf("conv", attrs, leaf.inputs, leaf.weights)


def _goes_into(graph: Graph, found: Uses, norm: Node, source: int) -> bool:
    before = graph.node(source)
    alone = found.alone(graph, source) and found.paths[norm.path] == 1
    return before.layer in ("conv", "linear") and alone


def _biased(attrs: Mapping[str, Any]) -> Mapping[str, Any]:
    return {**attrs, "bias": True}


def _with_bias(leaf: Leaf) -> Leaf:
    attrs = _biased(leaf.attrs)
    return Leaf(leaf.layer, attrs, leaf.inputs, PRIMITIVES[leaf.layer].weights(attrs, leaf.inputs))
