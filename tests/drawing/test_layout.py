"""The layout: nothing covers anything, lines go round boxes, and ways keep their direction."""

from __future__ import annotations

import random
from functools import cache
from itertools import combinations, pairwise
from pathlib import Path

import pytest

from genolang.diagnostics import GenoError
from genolang.drawing.gather import gather
from genolang.drawing.layout import Box, Laid, Route, label_size, lay_out, node_size, text_width
from genolang.drawing.picture import Edge, Line, Node, Picture
from genolang.semantics.check import check_source
from genolang.semantics.modules import LIBRARY, read_source

SPECS = sorted(LIBRARY.rglob("*.geno"))


@cache
def pictures(path: Path) -> tuple[Picture, ...]:
    try:
        return tuple(gather(check_source(read_source(str(path)), path), None, {}, None))
    except GenoError as error:
        assert [d.code for d in error.diagnostics] == ["G408"]
        return ()


def random_picture(seed: int) -> Picture:
    """A random acyclic picture with labels of random sizes."""
    choose = random.Random(seed)
    count = choose.randint(2, 14)
    nodes = tuple(
        Node(
            f"n{i}",
            "n" * choose.randint(1, 12),
            choose.choice(("node", "join", "layer")),
            ("detail",) * choose.randint(0, 3),
        )
        for i in range(count)
    )
    edges = []
    for end in range(1, count):
        for start in range(end):
            for _ in range(choose.choice((0, 0, 1, 1, 2))):
                lines = tuple(Line("o" * choose.randint(1, 20), "operation") for _ in range(choose.randint(0, 3)))
                edges.append(Edge(f"n{start}", f"n{end}", lines))
    direction = choose.choice(("right", "down"))
    return Picture("random", f"random {seed}", direction, nodes, tuple(edges))


def everything() -> list[object]:
    shipped = [pytest.param(path, id="-".join(path.parts[-2:])) for path in SPECS]
    return [*shipped, *(pytest.param(seed, id=f"random-{seed}") for seed in range(40))]


@cache
def laid(what: Path | int) -> tuple[Laid, ...]:
    return tuple(lay_out(p) for p in (pictures(what) if isinstance(what, Path) else (random_picture(what),)))


def samples(route: Route, down: bool) -> list[tuple[float, float]]:
    """Points along the drawn line: straight pieces, and the curves between them."""
    points = []
    for (x1, y1), (x2, y2) in route.pieces:
        points += [(x1 + (x2 - x1) * t / 8, y1 + (y2 - y1) * t / 8) for t in range(9)]
    for (_, (x1, y1)), ((x2, y2), _) in pairwise(route.pieces):
        x, y = (x1 + x2) / 2, (y1 + y2) / 2
        a, b = ((x1, y), (x2, y)) if down else ((x, y1), (x, y2))
        for i in range(1, 12):
            t = i / 12
            w = ((1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t * t * (1 - t), t**3)
            points.append(
                (w[0] * x1 + w[1] * a[0] + w[2] * b[0] + w[3] * x2, w[0] * y1 + w[1] * a[1] + w[2] * b[1] + w[3] * y2)
            )
    return points


def inside(box: Box, point: tuple[float, float]) -> bool:
    x, y = point
    return box.left + 0.5 < x < box.right - 0.5 and box.top + 0.5 < y < box.bottom - 0.5


@pytest.mark.parametrize("what", everything())
def test_no_two_boxes_overlap(what: Path | int) -> None:
    for picture in laid(what):
        boxes = [box for _, box in picture.boxes] + [r.label for r in picture.routes if r.label]
        for a, b in combinations(boxes, 2):
            assert not a.overlaps(b)


@pytest.mark.parametrize("what", everything())
def test_no_line_runs_through_a_box_that_is_not_its_own(what: Path | int) -> None:
    for picture in laid(what):
        down = picture.picture.direction == "down"
        labels = [(r, r.label) for r in picture.routes if r.label]
        for route in picture.routes:
            points = samples(route, down)
            foreign = [b for n, b in picture.boxes if n.id not in (route.edge.start, route.edge.end)]
            foreign += [label for owner, label in labels if owner is not route]
            assert not any(inside(box, point) for box in foreign for point in points)


@pytest.mark.parametrize("what", everything())
def test_every_edge_has_its_label_in_its_own_box_and_all_is_inside(what: Path | int) -> None:
    for picture in laid(what):
        assert [r.edge for r in picture.routes] == list(picture.picture.edges)
        for route in picture.routes:
            size = label_size(route.edge)
            assert (size is None) == (route.label is None)
            if size is not None and route.label is not None:
                assert (route.label.width, route.label.height) == pytest.approx(size)
        for node, box in picture.boxes:
            width, height = node_size(node)
            assert box.width >= width - 0.01 and box.height >= height - 0.01
        every = [b for _, b in picture.boxes] + [r.label for r in picture.routes if r.label]
        assert min(b.left for b in every) > -0.01 and min(b.top for b in every) > -0.01
        assert max(b.right for b in every) < picture.width + 0.01
        assert max(b.bottom for b in every) < picture.height + 0.01


@pytest.mark.parametrize("what", everything())
def test_every_line_leads_on_from_its_start_to_its_end(what: Path | int) -> None:
    for picture in laid(what):
        axis = 1 if picture.picture.direction == "down" else 0
        boxes = {node.id: box for node, box in picture.boxes}
        for route in picture.routes:
            ways = [point[axis] for piece in route.pieces for point in piece]
            assert all(b - a > -0.001 for a, b in pairwise(ways))
            start, end = boxes[route.edge.start], boxes[route.edge.end]
            assert ways[0] == pytest.approx(start.bottom if axis else start.right)
            assert ways[-1] == pytest.approx(end.top if axis else end.left)


def test_the_inside_of_a_long_edge_is_straight() -> None:
    (picture,) = [lay_out(p) for p in pictures(LIBRARY / "std" / "attention.geno") if p.name == "double_attention"]
    skip = next(r for r in picture.routes if len(r.pieces) > 6)
    assert len({round(x, 6) for piece in skip.pieces[1:-1] for x, _ in piece}) == 1


def test_a_cell_without_edges_that_must_cross_has_none_crossing() -> None:
    nodes = [Node(name, name, "node") for name in ("a", "b", "c", "d", "e")]
    edges = [Edge("a", "e"), Edge("b", "d"), Edge("a", "c"), Edge("b", "c")]
    picture = lay_out(Picture("p", "p", "right", tuple(nodes), tuple(edges)))
    at = {node.id: box.y for node, box in picture.boxes}
    assert (at["a"] - at["b"]) * (at["e"] - at["d"]) > 0


def test_characters_of_double_width_get_double_room() -> None:
    assert text_width("注意", 10) == pytest.approx(text_width("abcd", 10))


def test_a_picture_with_too_many_dummies_is_refused() -> None:
    nodes = tuple(Node(f"n{i}", "n", "node") for i in range(90))
    edges = tuple(Edge(f"n{a}", f"n{b}") for b in range(90) for a in range(b))
    with pytest.raises(GenoError, match="G507"):
        lay_out(Picture("p", "p", "right", nodes, edges))
