"""Second half of the layout: where on its level each vertex stands.

Minimises the weighted squared lengths of all edges across the levels, level by level in turn; each
level alone is a weighted isotonic regression, solved exactly by pooling adjacent violators.
"""

from __future__ import annotations

from genolang.cli.drawing.levels import Levels, Vertex

ROUNDS = 120
NODE_GAP, LABEL_GAP, BEND_GAP = 26.0, 12.0, 12.0


def positions(levels: Levels) -> list[float]:
    """The middle of every vertex along its level, the smallest edge of all at 0."""
    vertices, rows = levels.vertices, levels.rows
    places = [0.0] * len(vertices)
    offsets: list[list[float]] = []
    for row in rows:
        steps = _steps([vertices[v] for v in row])
        offsets.append(steps)
        for v, step in zip(row, steps, strict=True):
            places[v] = step - steps[-1] / 2
    weights = [[_weight(v, vertices[n]) for n in v.before + v.after] for v in vertices]
    rounds = ROUNDS if len(vertices) <= 1_500 else 12
    order = list(range(len(rows)))
    for number in range(rounds):
        for level in order if number % 2 == 0 else reversed(order):
            _settle(levels, level, offsets[level], weights, places)
    low = min((places[i] - v.breadth / 2 for i, v in enumerate(vertices)), default=0.0)
    return [place - low for place in places]


def _steps(row: list[Vertex]) -> list[float]:
    """The least distances of a level's vertices from its first."""
    steps = [0.0] if row else []
    for a, b in zip(row, row[1:], strict=False):
        steps.append(steps[-1] + (a.breadth + b.breadth) / 2 + _gap(a, b))
    return steps


def _gap(a: Vertex, b: Vertex) -> float:
    if a.node is not None and b.node is not None:
        return NODE_GAP
    return BEND_GAP if a.is_bend or b.is_bend else LABEL_GAP


def _weight(a: Vertex, b: Vertex) -> float:
    """Long edges want to be straight more than short ones."""
    return 8.0 if a.node is None and b.node is None else 2.0


def _settle(levels: Levels, level: int, steps: list[float], weights: list[list[float]],
            places: list[float]) -> None:  # fmt: skip
    """Moves one level's vertices to the best places that keep their order and distances."""
    blocks: list[tuple[float, float, int]] = []
    row = levels.rows[level]
    for v, step in zip(row, steps, strict=True):
        vertex = levels.vertices[v]
        near = vertex.before + vertex.after
        weight = sum(weights[v]) or 1e-6
        wish = sum(w * places[n] for w, n in zip(weights[v], near, strict=True)) / weight if near else places[v]
        blocks.append((wish - step, weight, 1))
        while len(blocks) > 1 and blocks[-2][0] > blocks[-1][0]:
            (a, wa, na), (b, wb, nb) = blocks[-2:]
            blocks[-2:] = [((a * wa + b * wb) / (wa + wb), wa + wb, na + nb)]
    at = 0
    for base, _, count in blocks:
        for _ in range(count):
            places[row[at]] = base + steps[at]
            at += 1
