"""First half of the layout: levels, dummies on long edges, and the order within each level.

Real nodes stand on even levels; an edge's label is a dummy with a size on an odd level, so that
nothing can be drawn over it. Source: Sugiyama, Tagawa, Toda (1981); Gansner et al. (1993).
"""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from genolang.diagnostics import fail

Size = tuple[float, float]
MAX_DUMMIES = 20_000
SWEEPS = 24
# A label thinner than this (a shape in a picture that leads down) goes where it adds no depth.
THIN = 30.0
# Above this many vertices in a picture, ordering stops after a few sweeps.
MANY = 1_500


@dataclass(slots=True)
class Vertex:
    """A node, or a dummy of an edge; `breadth` is its size along the level, `depth` across it."""

    level: int
    breadth: float
    depth: float
    node: int | None = None
    edge: int | None = None
    before: list[int] = field(default_factory=list)
    after: list[int] = field(default_factory=list)

    @property
    def is_bend(self) -> bool:
        """Whether an edge only passes here."""
        return self.node is None and self.breadth == 0


@dataclass(slots=True)
class Levels:
    """All vertices, level by level in their order, and each edge's way through them."""

    vertices: list[Vertex]
    rows: list[list[int]]
    chains: list[list[int]]


def arrange(
    sizes: Sequence[Size], edges: Sequence[tuple[int, int]], labels: Sequence[Size | None], inputs: frozenset[int]
) -> Levels:
    """Levels for nodes of (breadth, depth), numbered in an order in which all edges lead on.

    Error: G507 where a picture would need too many dummies.
    """
    ranks = _ranks(len(sizes), edges, inputs)
    dummies = sum(2 * (ranks[b] - ranks[a]) - 1 for a, b in edges)
    if dummies > MAX_DUMMIES:
        raise fail(
            "G507",
            f"a picture of {len(sizes)} nodes and {len(edges)} edges is too large to draw",
            help="draw one part with `--only NAME`, or write Mermaid or Graphviz text",
        )
    vertices = [Vertex(2 * ranks[i], *sizes[i], node=i) for i in range(len(sizes))]
    levels = Levels(vertices, [], [])
    slots = _label_levels(ranks, edges, labels)
    for number, (start, end) in enumerate(edges):
        chain = [start]
        for level in range(2 * ranks[start] + 1, 2 * ranks[end]):
            label = labels[number] if level == slots[number] else None
            vertices.append(Vertex(level, *(label or (0.0, 0.0)), edge=number))
            chain.append(len(vertices) - 1)
        chain.append(end)
        levels.chains.append(chain)
        for a, b in pairwise(chain):
            vertices[a].after.append(b)
            vertices[b].before.append(a)
    levels.rows = [[] for _ in range(max((v.level for v in vertices), default=-1) + 1)]
    for index, vertex in enumerate(vertices):
        levels.rows[vertex.level].append(index)
    _reduce_crossings(levels)
    return levels


def _ranks(count: int, edges: Sequence[tuple[int, int]], inputs: frozenset[int]) -> list[int]:
    """The longest way to each node; then nodes with more ways out than in move towards them."""
    ranks = [0] * count
    after: list[list[int]] = [[] for _ in range(count)]
    into = [0] * count
    for start, end in edges:
        after[start].append(end)
        into[end] += 1
    for start in range(count):
        for end in after[start]:
            assert end > start, "nodes are numbered in the order of their edges"
            ranks[end] = max(ranks[end], ranks[start] + 1)
    for node in range(count - 1, -1, -1):
        if after[node] and node not in inputs and len(after[node]) > into[node]:
            ranks[node] = min(ranks[end] for end in after[node]) - 1
    return ranks


def _label_levels(ranks: list[int], edges: Sequence[tuple[int, int]], labels: Sequence[Size | None]) -> list[int]:
    """For each edge the odd level of its label: the least filled, short edges first."""
    slots = [0] * len(edges)
    load: dict[int, float] = {}
    depths: dict[int, float] = {}

    def cost(level: int, size: Size) -> tuple[float, float, int]:
        deeper = max(0.0, size[1] - depths.get(level, 0.0))
        return (deeper if size[1] < THIN else 0.0), load.get(level, 0.0), level

    by_length = sorted(range(len(edges)), key=lambda e: ranks[edges[e][1]] - ranks[edges[e][0]])
    for number in by_length:
        size = labels[number]
        if size is None:
            continue
        start, end = ranks[edges[number][0]], ranks[edges[number][1]]
        level = min(range(2 * start + 1, 2 * end, 2), key=lambda each: cost(each, size))
        slots[number] = level
        load[level] = load.get(level, 0.0) + size[0]
        depths[level] = max(depths.get(level, 0.0), size[1])
    return slots


# Crossings


def _reduce_crossings(levels: Levels) -> None:
    """Median sweeps down and up with exchanges of neighbours; the best order found is kept."""
    rows, vertices = levels.rows, levels.vertices
    many = len(vertices) > MANY
    best, fewest = [list(row) for row in rows], _crossings(levels)
    for sweep in range(4 if many else SWEEPS):
        if fewest == 0:
            break
        down = sweep % 2 == 0
        for number in range(1, len(rows)) if down else range(len(rows) - 2, -1, -1):
            beside = rows[number - 1 if down else number + 1]
            place = {v: float(i) for i, v in enumerate(beside)}
            keys = {}
            for at, v in enumerate(rows[number]):
                near = vertices[v].before if down else vertices[v].after
                keys[v] = _median([place[n] for n in near]) if near else float(at)
            rows[number].sort(key=keys.__getitem__)
        if not many:
            _exchange(levels)
        count = _crossings(levels)
        if count < fewest:
            best, fewest = [list(row) for row in rows], count
    levels.rows = best


def _median(places: list[float]) -> float:
    places.sort()
    middle = len(places) // 2
    if len(places) % 2:
        return places[middle]
    # The mean of all, and not of the middle two, tells ties of long edges apart.
    return sum(places) / len(places) if len(places) > 2 else (places[0] + places[1]) / 2


def _crossings(levels: Levels) -> int:
    total = 0
    for upper, lower in pairwise(levels.rows):
        place = {v: i for i, v in enumerate(lower)}
        seen: list[int] = []
        for v in upper:
            ends = sorted(place[n] for n in levels.vertices[v].after)
            total += sum(len(seen) - bisect_right(seen, end) for end in ends)
            for end in ends:
                insort(seen, end)
    return total


def _exchange(levels: Levels) -> None:
    """Swaps neighbours on a level while that removes crossings."""
    rows, vertices = levels.rows, levels.vertices
    for _ in range(4):
        better = False
        place = {v: i for row in rows for i, v in enumerate(row)}
        for row in rows:
            for i in range(len(row) - 1):
                a, b = vertices[row[i]], vertices[row[i + 1]]
                now = _between(a.before, b.before, place) + _between(a.after, b.after, place)
                then = _between(b.before, a.before, place) + _between(b.after, a.after, place)
                if then < now:
                    row[i], row[i + 1] = row[i + 1], row[i]
                    place[row[i]], place[row[i + 1]] = i, i + 1
                    better = True
        if not better:
            return


def _between(left: list[int], right: list[int], place: dict[int, int]) -> int:
    """Crossings between the edges of two neighbours, the first standing left."""
    return sum(place[a] > place[b] for a in left for b in right)
