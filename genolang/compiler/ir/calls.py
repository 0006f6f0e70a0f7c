"""Which graph calls which, for what is written out and reported. No pass asks: these import networkx."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from genolang.compiler.ir.graph import Graph

if TYPE_CHECKING:
    import networkx as nx


def calls(graph: Graph) -> nx.MultiDiGraph[Graph]:
    """A graph and all that it leads to; an edge for each call, from the caller."""
    import networkx as nx

    found: nx.MultiDiGraph[Graph] = nx.MultiDiGraph()
    found.add_node(graph)
    # Grows while it is gone through.
    for current in (waiting := [graph]):
        for body in current.bodies():
            if body not in found:
                waiting.append(body)
            found.add_edge(current, body)
    return found


def definitions(graph: Graph) -> dict[str, Graph]:
    """The graph and every body it calls, each once and before what calls it, by names of which no two are
    alike: bodies of one name are numbered from the second on."""
    import networkx as nx

    found: dict[str, Graph] = {}
    counts: Counter[str] = Counter()
    for current in nx.dfs_postorder_nodes(calls(graph), graph):
        counts[current.name] += 1
        count = counts[current.name]
        found[current.name if count == 1 else f"{current.name}@{count}"] = current
    return found


def by_height(graph: Graph) -> list[list[Graph]]:
    """The graph and every body below it, those that call nothing first, each behind all that it calls."""
    import networkx as nx

    return list(nx.topological_generations(calls(graph).reverse(copy=False)))


def with_counts(graph: Graph) -> list[tuple[Graph, int]]:
    """The graph and every body below it, each once, with the number of its calls in one forward pass."""
    import networkx as nx

    links, times = calls(graph), Counter({graph: 1})
    for current in nx.topological_sort(links):
        for _, body in links.out_edges(current):
            times[body] += times[current]
    return list(times.items())
