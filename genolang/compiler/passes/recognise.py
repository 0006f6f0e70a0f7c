"""Call kernels where their patterns stand."""

from __future__ import annotations

from genolang.compiler.ir import Changed, Graph, map_bodies, substitute
from genolang.compiler.recognise.patterns import chosen


def recognise(graph: Graph) -> Graph:
    """What is a kernel's pattern to the letter, in any order of terms and factors, becomes a call of
    the kernel; where several fit, of the largest."""
    return map_bodies(graph, _recognise_one)


def _recognise_one(graph: Graph) -> Graph:
    changed: Changed = {match.root: (made, match.reads) for match, made in chosen(graph)}
    return substitute(graph, changed)
