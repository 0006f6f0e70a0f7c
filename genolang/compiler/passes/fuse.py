"""Add up all candidates of all edges into a node at once."""

from __future__ import annotations

from dataclasses import replace

from genolang.compiler.ir import Graph, Uses, map_bodies, substitute, uses
from genolang.compiler.ir.made import Fused, MixedSum, NormConv, Term


def fuse(graph: Graph) -> Graph:
    """A sum of mixed operations is one node that normalises, weights and adds; no weighted and no
    normalised candidate is kept."""
    return map_bodies(graph, _fuse_one)


def _fuse_one(graph: Graph) -> Graph:
    found = uses(graph)
    changed: dict[int, tuple[Fused, tuple[int, ...]]] = {}
    taken: set[int] = set()
    for number, node, arguments in reversed(list(graph)):
        edges = [number]
        if node.is_sum:
            edges = list(arguments)
        mixes = [_mix_of(graph, found, edge, alone=edge != number) for edge in edges]
        if number in taken or any(mix is None for mix in mixes):
            continue
        terms: list[Term] = []
        reads: list[int] = []
        drops = tuple(graph.node(edge).layer == "drop_path" for edge in edges)
        for edge, mix in enumerate(m for m in mixes if m is not None):
            taken.add(mix)
            for term, source in _terms(graph, found, mix, edge):
                terms.append(term)
                reads.append(source)
        changed[number] = (MixedSum(tuple(terms), drops), tuple(reads))
    return substitute(graph, changed)


def _mix_of(graph: Graph, found: Uses, number: int, *, alone: bool) -> int | None:
    """The mix that an edge ends in, behind it perhaps a drop path; read by nothing else if `alone`."""
    node = graph.node(number)
    if alone and found.reads[number] != 1:
        return None
    if node.layer == "drop_path" and alone:
        (number,) = graph.arguments(number)
        node = graph.node(number)
        if found.reads[number] != 1:
            return None
    summed = node.mix is not None and node.mix.combine == "sum" and bool(node.kept)
    return number if summed else None


def _terms(graph: Graph, found: Uses, mix: int, edge: int) -> list[tuple[Term, int]]:
    node, terms = graph.node(mix), []
    assert node.mix is not None
    for option, source in zip(node.kept, graph.arguments(mix), strict=True):
        term = Term(node.mix, option, edge)
        before = graph.node(source)
        if found.reads[source] == 1:
            if isinstance(before.fused, NormConv) and not before.fused.relu and _plain(graph, before.fused):
                (conv,), (norm,) = before.fused.convs, before.fused.norms
                (read,) = graph.arguments(source)
                terms.append((replace(term, conv=conv, norm=norm), read))
                continue
            if before.layer == "batch_norm" and found.paths[before.path] == 1:
                assert before.attrs is not None
                if not before.attrs["affine"]:
                    terms.append((replace(term, norm=before.path), graph.arguments(source)[0]))
                    continue
        terms.append((term, source))
    return terms


def _plain(graph: Graph, made: NormConv) -> bool:
    return len(made.norms) == 1 and not graph.leaves[made.norms[0]].attrs["affine"]
