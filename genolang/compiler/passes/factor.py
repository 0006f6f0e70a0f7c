"""Multiply a map by the sum of its masks, instead of by each."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from genolang.compiler.ir import Graph, Uses, map_bodies, substitute, uses
from genolang.compiler.ir.made import Fused, MixedSum, Term


def factor(graph: Graph) -> Graph:
    """Candidates of an edge that are one map under several masks become one product: w1 * (x * m1) +
    w2 * (x * m2) + w3 * x is x * (w1 * m1 + w2 * m2 + w3)."""
    return map_bodies(graph, _factor_one)


def _factor_one(graph: Graph) -> Graph:
    found = uses(graph)
    changed: dict[int, tuple[Fused, tuple[int, ...]]] = {}
    for number, node, arguments in graph:
        if isinstance(node.fused, MixedSum) and not node.fused.factors:
            made = _factored(graph, found, node.fused, arguments)
            if made is not None:
                changed[number] = made
    return substitute(graph, changed)


def _factored(
    graph: Graph, found: Uses, made: MixedSum, arguments: tuple[int, ...]
) -> tuple[MixedSum, tuple[int, ...]] | None:
    """The sum with common factors of its edges' terms taken out, None without any."""
    terms, reads = list(made.terms), list(arguments)
    factors: list[int] = []
    for edge in sorted({term.edge for term in terms}):
        places = [i for i, term in enumerate(terms) if term.edge == edge]
        factor = _common(graph, found, [(terms[i], arguments[i]) for i in places])
        if factor is None:
            continue
        for i in places:
            mask = _mask(graph, found, terms[i], arguments[i], factor)
            if mask is not None:
                terms[i], reads[i] = replace(terms[i], factor=len(factors)), mask
        factors.append(factor)
    if not factors:
        return None
    return replace(made, terms=tuple(terms), factors=len(factors)), (*reads, *factors)


def _common(graph: Graph, found: Uses, terms: list[tuple[Term, int]]) -> int | None:
    """The map that most of an edge's terms are a product with, at least two."""
    often: Counter[int] = Counter()
    for term, source in terms:
        for candidate in _factors(graph, found, term, source):
            often[candidate] += 1
    if not often:
        return None
    (candidate, count), *_ = often.most_common(1)
    return candidate if count > 1 else None


def _factors(graph: Graph, found: Uses, term: Term, source: int) -> tuple[int, ...]:
    """The maps of a term's size that it is a product with."""
    node = graph.node(source)
    alone = found.reads[source] == 1 and not term.norm
    if not alone or node.layer != "multiply" or node.attrs != {"constant": 1}:
        return ()
    pair = graph.arguments(source)
    if len(pair) != 2 or pair[0] == pair[1]:
        return ()
    return tuple(p for p in pair if graph.node(p).type == node.type)


def _mask(graph: Graph, found: Uses, term: Term, source: int, factor: int) -> int | None:
    """What a term multiplies the factor by: a map, or the factor itself for one; None if it does not."""
    if source == factor and not term.norm:
        return factor
    if factor not in _factors(graph, found, term, source):
        return None
    one, other = graph.arguments(source)
    return other if one == factor else one
