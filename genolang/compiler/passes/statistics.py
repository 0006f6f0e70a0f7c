"""Take the statistics of a map once where several batch norms read it."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace

from genolang.compiler.ir import Graph, map_bodies, substitute
from genolang.compiler.ir.made import Fused, MixedSum, Normalised
from genolang.semantics.program import Path


def statistics(graph: Graph) -> Graph:
    """A pool of a node, normalised once, serves the mixed sums of all its edges; every batch norm keeps
    running statistics of its own."""
    return map_bodies(graph, _share_one)


def _share_one(graph: Graph) -> Graph:
    norms: defaultdict[int, list[Path]] = defaultdict(list)
    for _, node, arguments in graph:
        if isinstance(node.fused, MixedSum):
            for term, source in zip(node.fused.terms, arguments, strict=False):
                if term.norm and not term.conv and not term.seen:
                    norms[source].append(term.norm)
    after = {
        source: Normalised(tuple(paths))
        for source, paths in norms.items()
        if len(paths) > 1 and len({_settings(graph, path) for path in paths}) == 1
    }
    changed: dict[int, tuple[Fused, tuple[int, ...]]] = {}
    for number, node, arguments in graph:
        if isinstance(node.fused, MixedSum) and any(a in after for a in arguments):
            shared = [
                a in after and bool(t.norm) and not t.conv and not t.seen
                for t, a in zip(node.fused.terms, arguments, strict=False)
            ]
            terms = tuple(replace(t, seen=t.seen or s) for t, s in zip(node.fused.terms, shared, strict=True))
            reads = tuple(~a if s else a for a, s in zip(arguments, shared, strict=False))
            changed[number] = replace(node.fused, terms=terms), (*reads, *arguments[len(terms) :])
    return substitute(graph, changed, after)


def _settings(graph: Graph, path: Path) -> tuple[object, ...]:
    attrs = graph.leaves[path].attrs
    return attrs["eps"], attrs["momentum"]
