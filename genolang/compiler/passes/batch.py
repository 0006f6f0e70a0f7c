"""Run operations of one kind together: those that leave one map, and those that follow each of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable

from genolang.compiler.ir import Graph, Node, Rewriting, map_bodies, rewrite
from genolang.compiler.ir.made import Depthwise, Fused, NormConv, Part
from genolang.semantics.program import Path


def batch(graph: Graph) -> Graph:
    """Depthwise convolutions of one map become one node with as many results, and so on down their
    chains; weights and running statistics stay apart."""
    return map_bodies(graph, _batch_all)


def _batch_all(graph: Graph) -> Graph:
    while True:
        groups = _groups(graph)
        if not groups:
            return graph
        graph = _merged(graph, groups)


def _groups(graph: Graph) -> list[list[int]]:
    """Nodes that can run together, each at most once."""
    found: defaultdict[Hashable, list[int]] = defaultdict(list)
    for number, node, arguments in graph:
        if isinstance(node.fused, Depthwise | NormConv) and len(node.fused.convs) == 1:
            key = _key(graph, node, arguments[0])
            if key is not None:
                found[key].append(number)
    return [sorted(group, key=lambda n: _order(graph, n)) for group in found.values() if len(group) > 1]


def _key(graph: Graph, node: Node, source: int) -> Hashable | None:
    """What nodes have in common that can run together."""
    before = graph.node(source)
    made = node.fused
    inside = isinstance(before.fused, Part)
    origin = graph.arguments(source)[0] if inside else source
    if isinstance(made, NormConv):
        # What stands in front must lie side by side in memory: results of one kind of window.
        kind = _window(graph, _conv_of_part(graph, source)) if inside else None
        return (origin, kind, made.relu, node.type, _affine(graph, made)) if inside else None
    assert isinstance(made, Depthwise)
    (conv,) = made.convs
    window = _window(graph, conv)
    centred = bool(made.norms)
    return (origin, centred, node.type, window) if inside else (source, centred, node.type, window[1])


def _conv_of_part(graph: Graph, part: int) -> Path:
    node = graph.node(part)
    whole = graph.node(graph.arguments(part)[0])
    assert isinstance(node.fused, Part) and isinstance(whole.fused, Depthwise | NormConv)
    return whole.fused.convs[node.fused.index]


def _window(graph: Graph, path: Path) -> tuple[object, object, object]:
    attrs = graph.leaves[path].attrs
    return attrs["k"], attrs["stride"], attrs["dilation"]


def _affine(graph: Graph, made: NormConv) -> tuple[object, object, object]:
    attrs = graph.leaves[made.norms[0]].attrs
    return attrs["affine"], attrs["eps"], attrs["momentum"]


def _order(graph: Graph, number: int) -> tuple[object, ...]:
    """Equal windows next to each other, and parts of one node in their order."""
    (source,) = graph.arguments(number)
    before, node = graph.node(source), graph.node(number)
    if isinstance(before.fused, Part):
        return (before.fused.index, number)
    assert isinstance(node.fused, Depthwise)
    return (str(_window(graph, node.fused.convs[0])), number)


def _merged(graph: Graph, groups: list[list[int]]) -> Graph:
    group_of = {number: group for group in groups for number in group}

    def rule(now: Rewriting, number: int, node: Node, arguments: tuple[int, ...]) -> int:
        group = group_of.get(number)
        if group is None:
            return now.keep(node, arguments)
        if number == min(group):
            _add_group(now, group)
        return now.places[number]

    return rewrite(graph, rule)


def _add_group(now: Rewriting, group: list[int]) -> None:
    """Add a node for the whole group, and its parts in the place of its members."""
    nodes = [now.old.node(number) for number in group]
    sources = [now.old.arguments(number)[0] for number in group]
    spans = tuple(dict.fromkeys(span for node in nodes for span in node.origins or (node.span,)))
    whole = now.fuse(_together(nodes), nodes[0], dict.fromkeys(sources), spans)
    for index, number in enumerate(group):
        now.places[number] = whole
        now.places[number] = now.fuse(Part(index, len(group)), now.old.node(number), (number,))


def _together(nodes: list[Node]) -> Fused:
    made = [node.fused for node in nodes]
    depthwise = [m for m in made if isinstance(m, Depthwise)]
    if depthwise:
        return Depthwise(tuple(m.convs[0] for m in depthwise), tuple(norm for m in depthwise for norm in m.norms))
    norms = [m for m in made if isinstance(m, NormConv)]
    return NormConv(tuple(m.convs[0] for m in norms), tuple(m.norms[0] for m in norms), norms[0].relu)
