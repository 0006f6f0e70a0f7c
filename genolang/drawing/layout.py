"""A picture with places: boxes, the ways of edges between them, and labels that nothing covers."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass

from genolang.diagnostics import printable
from genolang.drawing.coordinates import positions
from genolang.drawing.levels import Levels, Size, arrange
from genolang.drawing.picture import Edge, Group, Node, Picture

# All labels are monospaced, so that sizes hold with whatever such font a viewer has.
LABEL_FONT, DETAIL_FONT, TITLE_FONT = 13.0, 11.0, 15.0
ADVANCE = 0.61
LINE = 1.32
_GAP, _STEEP = 18.0, 0.15
_MAX_GAP = 76.0
# Arrows at one side of a node keep this distance from each other and from its corners.
PORT, CORNER = 10.0, 8.0
GROUP_PAD = 12.0

Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle by its middle and size, in pixels."""

    x: float
    y: float
    width: float
    height: float

    @property
    def left(self) -> float:
        return self.x - self.width / 2

    @property
    def top(self) -> float:
        return self.y - self.height / 2

    @property
    def right(self) -> float:
        return self.x + self.width / 2

    @property
    def bottom(self) -> float:
        return self.y + self.height / 2

    def overlaps(self, other: Box) -> bool:
        return (
            self.left < other.right and other.left < self.right and self.top < other.bottom and other.top < self.bottom
        )


@dataclass(frozen=True, slots=True)
class Route:
    """An edge's way: straight pieces along the picture's direction, joined by curves."""

    edge: Edge
    pieces: tuple[tuple[Point, Point], ...]
    label: Box | None


@dataclass(frozen=True, slots=True)
class Laid:
    """A picture whose every part has its place; the smallest coordinates are 0."""

    picture: Picture
    width: float
    height: float
    boxes: tuple[tuple[Node, Box], ...]
    routes: tuple[Route, ...]
    groups: tuple[tuple[Group, Box], ...]


def text_width(text: str, font: float) -> float:
    """The width of a monospaced text as it is written; characters of East Asian width count twice."""
    text = printable(text)
    wide = sum(unicodedata.east_asian_width(c) in "WF" for c in text)
    return (len(text) + wide) * font * ADVANCE


def node_size(node: Node) -> Size:
    """(width, height) of a node's box."""
    width = text_width(node.label, LABEL_FONT)
    width = max([width, *(text_width(d, DETAIL_FONT) for d in node.details)])
    height = LABEL_FONT * LINE + len(node.details) * DETAIL_FONT * LINE
    if node.kind == "join" and not node.details:
        return max(26.0, width + 14), 26.0
    return max(40.0, width + 22), height + 14


def label_size(edge: Edge) -> Size | None:
    """(width, height) of an edge's label, None without one."""
    if not edge.lines:
        return None
    font = edge_font(edge)
    width = max(text_width(line.text, font) for line in edge.lines)
    return width + 12, len(edge.lines) * font * LINE + 6


def edge_font(edge: Edge) -> float:
    return DETAIL_FONT if all(line.kind == "shape" for line in edge.lines) else LABEL_FONT - 1


def lay_out(picture: Picture) -> Laid:
    """Finds a place for everything; the same picture always gets the same places."""
    return _Layout(picture).run()


class _Layout:
    """Works with levels along x; for a picture that leads down, sizes and places are swapped."""

    def __init__(self, picture: Picture) -> None:
        self.picture = picture
        self.turned = picture.direction == "down"
        self.index = {node.id: i for i, node in enumerate(picture.nodes)}
        self.nodes = [self.flip(node_size(node)) for node in picture.nodes]
        labels = [label_size(edge) for edge in picture.edges]
        self.labels = [None if size is None else self.flip(size) for size in labels]
        self.edges = [(self.index[e.start], self.index[e.end]) for e in picture.edges]
        self.leaving: list[list[int]] = [[] for _ in self.nodes]
        self.arriving: list[list[int]] = [[] for _ in self.nodes]
        for number, (start, end) in enumerate(self.edges):
            self.leaving[start].append(number)
            self.arriving[end].append(number)

    def flip(self, size: Size) -> Size:
        """(depth, breadth) of a (width, height), and back."""
        return (size[1], size[0]) if self.turned else size

    def run(self) -> Laid:
        inputs = frozenset(i for i, n in enumerate(self.picture.nodes) if n.kind == "input")
        levels = arrange(
            [(self.breadth(i), d) for i, (d, _) in enumerate(self.nodes)],
            self.edges,
            [None if size is None else (size[1], size[0]) for size in self.labels],
            inputs,
        )
        self.across = positions(levels)
        self.spans = self.depths(levels)
        boxes = [self.box(levels, i) for i in range(len(self.nodes))]
        ports = self.ports(levels)
        routes = [self.route(levels, number, ports) for number in range(len(self.edges))]
        return self.finish(boxes, routes)

    def breadth(self, node: int) -> float:
        """A node's size along its level, with room for all arrows at its fuller side."""
        arrows = max(len(self.leaving[node]), len(self.arriving[node]))
        return max(self.nodes[node][1], 2 * CORNER + (arrows - 1) * PORT)

    def depths(self, levels: Levels) -> list[tuple[float, float]]:
        """Start and end of every level along the direction; steep edges get more room."""
        spans: list[tuple[float, float]] = []
        at = 0.0
        for number, row in enumerate(levels.rows):
            depth = max((levels.vertices[v].depth for v in row), default=0.0)
            if number:
                rise = max(
                    (
                        abs(self.across[a] - self.across[b])
                        for a in levels.rows[number - 1]
                        for b in levels.vertices[a].after
                    ),
                    default=0.0,
                )
                empty = depth == 0 or spans[-1][0] == spans[-1][1]
                at += min(_MAX_GAP, (_GAP / 2 if empty else _GAP) + _STEEP * rise)
            spans.append((at, at + depth))
            at += depth
        return spans

    def box(self, levels: Levels, vertex: int) -> Box:
        v = levels.vertices[vertex]
        low, high = self.spans[v.level]
        return Box((low + high) / 2, self.across[vertex], v.depth, v.breadth)

    def ports(self, levels: Levels) -> dict[tuple[int, int, bool], float]:
        """Where on its nodes' sides each edge leaves and arrives, in the order of the way there."""
        ports: dict[tuple[int, int, bool], float] = {}
        for node in range(len(self.nodes)):
            for leaving, edges in ((True, self.leaving[node]), (False, self.arriving[node])):
                near = 1 if leaving else -2
                beside = {e: self.across[levels.chains[e][near]] for e in edges}
                mine = sorted(edges, key=beside.__getitem__)
                for i, e in enumerate(mine):
                    ports[node, e, leaving] = self.across[node] + (i - (len(mine) - 1) / 2) * PORT
        return ports

    def route(self, levels: Levels, number: int, ports: dict[tuple[int, int, bool], float]) -> Route:
        edge, chain = self.picture.edges[number], levels.chains[number]
        first, last = self.box(levels, chain[0]), self.box(levels, chain[-1])
        out, into = ports[chain[0], number, True], ports[chain[-1], number, False]
        level = levels.vertices[chain[0]].level
        pieces = [((first.right, out), (self.spans[level][1], out))]
        label = None
        for vertex in chain[1:-1]:
            low, high = self.spans[levels.vertices[vertex].level]
            pieces.append(((low, self.across[vertex]), (high, self.across[vertex])))
            if levels.vertices[vertex].breadth > 0:
                label = self.box(levels, vertex)
        level = levels.vertices[chain[-1]].level
        pieces.append(((self.spans[level][0], into), (last.left, into)))
        return Route(edge, tuple(pieces), label)

    def finish(self, boxes: list[Box], routes: list[Route]) -> Laid:
        depth = self.spans[-1][1] if self.spans else 0.0
        breadth = max(
            [
                0.0,
                *(b.bottom for b in boxes),
                *(r.label.bottom for r in routes if r.label),
                *(p[0][1] for r in routes for p in r.pieces),
            ]
        )
        if self.turned:
            boxes = [_turn(b) for b in boxes]
            routes = [
                Route(
                    r.edge, tuple(((y, x), (v, u)) for (x, y), (u, v) in r.pieces), _turn(r.label) if r.label else None
                )
                for r in routes
            ]
        width, height = (breadth, depth) if self.turned else (depth, breadth)
        placed = list(zip(self.picture.nodes, boxes, strict=True))
        groups = self.groups(boxes)
        return Laid(self.picture, width, height, tuple(placed), tuple(routes), tuple(groups))

    def groups(self, boxes: list[Box]) -> list[tuple[Group, Box]]:
        """The frame of each group, where no other node stands inside it."""
        found = []
        for group in self.picture.groups:
            mine = [boxes[self.index[id]] for id in group.nodes]
            left, right = min(b.left for b in mine), max(b.right for b in mine)
            top, bottom = min(b.top for b in mine), max(b.bottom for b in mine)
            frame = Box(
                (left + right) / 2, (top + bottom) / 2, right - left + 2 * GROUP_PAD, bottom - top + 2 * GROUP_PAD
            )
            others = (b for n, b in zip(self.picture.nodes, boxes, strict=True) if n.id not in group.nodes)
            if not any(frame.overlaps(b) for b in others):
                found.append((group, frame))
        return found


def _turn(box: Box) -> Box:
    return Box(box.y, box.x, box.height, box.width)
