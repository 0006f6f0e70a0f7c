"""Second half of the layout: where on its level each vertex stands.

Four layouts are made, each lining vertices up with their median neighbours from one corner, and
their middle is taken; the inside of a long edge comes out straight. Source: Brandes, Köpf, "Fast
and simple horizontal coordinate assignment" (2001). Departs from it in the compaction, which packs
the aligned blocks by longest ways from both sides and so needs no classes of blocks.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import accumulate, pairwise

from genolang.drawing.levels import Levels, Vertex

NODE_GAP, LABEL_GAP, BEND_GAP = 26.0, 12.0, 12.0
Pair = tuple[int, int]


def positions(levels: Levels) -> list[float]:
    """The middle of every vertex along its level, the smallest edge of all at 0."""
    vertices = levels.vertices
    if not vertices:
        return []
    crossing = _conflicts(levels)
    layouts = []
    for upwards in (False, True):
        for mirrored in (False, True):
            rows = [list(reversed(row)) if mirrored else row for row in levels.rows]
            if upwards:
                rows.reverse()
            roots = _align(vertices, rows, upwards, crossing)
            places = _compact(vertices, rows, roots)
            layouts.append((mirrored, [-p for p in places] if mirrored else places))
    places = _middle(vertices, layouts)
    low = min(places[i] - v.breadth / 2 for i, v in enumerate(vertices))
    return [place - low for place in places]


def _conflicts(levels: Levels) -> set[Pair]:
    """Edge pieces at nodes that cross the inside of a long edge: these do not line up."""
    found: set[Pair] = set()
    vertices = levels.vertices
    for upper, lower in pairwise(levels.rows):
        place = {v: i for i, v in enumerate(lower)}
        inner: list[int | None] = [None] * len(upper)
        for i, a in enumerate(upper):
            # A dummy has one way on; where that is a dummy too, the inside of an edge passes.
            if vertices[a].node is None and vertices[vertices[a].after[0]].node is None:
                inner[i] = place[vertices[a].after[0]]
        # Inside pieces that start before or after a place: how far right and left they end.
        right = [-1, *accumulate((-1 if m is None else m for m in inner), max)]
        left = [*accumulate((len(lower) if m is None else m for m in reversed(inner)), min)][::-1]
        left.append(len(lower))
        for i, a in enumerate(upper):
            for b in vertices[a].after:
                outer = vertices[a].node is not None or vertices[b].node is not None
                if outer and (right[i] > place[b] or left[i + 1] < place[b]):
                    found.add((a, b))
    return found


def _align(vertices: list[Vertex], rows: list[list[int]], upwards: bool, crossing: set[Pair]) -> list[int]:
    """The root of each vertex's block: blocks are chains of median neighbours that do not cross."""
    roots = list(range(len(vertices)))
    taken = [False] * len(vertices)
    for above, row in pairwise(rows):
        place = {v: i for i, v in enumerate(above)}
        last = -1
        for v in row:
            near = vertices[v].after if upwards else vertices[v].before
            near = sorted(near, key=place.__getitem__)
            middle = (len(near) - 1) // 2, len(near) // 2
            for w in dict.fromkeys(near[i] for i in middle if near):
                pair = (v, w) if upwards else (w, v)
                if roots[v] == v and not taken[w] and place[w] > last and pair not in crossing:
                    taken[w] = True
                    roots[v] = roots[w]
                    last = place[w]
    return roots


@dataclass(slots=True)
class _Block:
    after: list[tuple[int, float]] = field(default_factory=list)
    waits: int = 0
    place: float = 0.0


def _compact(vertices: list[Vertex], rows: list[list[int]], roots: list[int]) -> list[float]:
    """Blocks as far left as they can stand, then moved right where there is room."""
    blocks = {root: _Block() for row in rows for root in (roots[v] for v in row)}
    for row in rows:
        for a, b in pairwise(row):
            blocks[roots[a]].after.append((roots[b], _distance(vertices[a], vertices[b])))
            blocks[roots[b]].waits += 1
    ready = [root for root, block in blocks.items() if block.waits == 0]
    order = []
    while ready:
        root = ready.pop()
        order.append(root)
        for other, distance in blocks[root].after:
            block = blocks[other]
            block.place = max(block.place, blocks[root].place + distance)
            block.waits -= 1
            if block.waits == 0:
                ready.append(other)
    assert len(order) == len(blocks), "aligned blocks do not cross"
    for root in reversed(order):
        block = blocks[root]
        if block.after:
            block.place = max(block.place, min(blocks[o].place - d for o, d in block.after))
    return [blocks[root].place for root in roots]


def _distance(a: Vertex, b: Vertex) -> float:
    """The least distance between the middles of two neighbours."""
    if a.node is not None and b.node is not None:
        gap = NODE_GAP
    else:
        gap = BEND_GAP if a.is_bend or b.is_bend else LABEL_GAP
    return (a.breadth + b.breadth) / 2 + gap


def _middle(vertices: list[Vertex], layouts: list[tuple[bool, list[float]]]) -> list[float]:
    """The mean of the two middle places of four, after moving all to the narrowest layout."""
    half = [v.breadth / 2 for v in vertices]
    bounds = []
    for _, places in layouts:
        low = min(p - h for p, h in zip(places, half, strict=True))
        bounds.append((low, max(p + h for p, h in zip(places, half, strict=True))))
    narrow = min(bounds, key=lambda b: b[1] - b[0])
    moved = []
    for (mirrored, places), (low, high) in zip(layouts, bounds, strict=True):
        shift = narrow[1] - high if mirrored else narrow[0] - low
        moved.append([p + shift for p in places])
    return [sum(sorted(four)[1:3]) / 2 for four in zip(*moved, strict=True)]
