"""Pictures as SVG: self-contained, every text escaped, on a background of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

from genolang.diagnostics import printable
from genolang.drawing.layout import (
    DETAIL_FONT,
    LABEL_FONT,
    LINE,
    TITLE_FONT,
    Box,
    Laid,
    Point,
    Route,
    edge_font,
    lay_out,
    text_width,
)
from genolang.drawing.picture import Node, Picture

MARGIN, SPACE = 28.0, 48.0
ROW_WIDTH = 1400.0
NOTE_WIDTH = 460.0
INK, SOFT, PAPER = "#1f2933", "#52606d", "#ffffff"
MONO = "'DejaVu Sans Mono', Menlo, Consolas, 'Liberation Mono', monospace"
SANS = "Helvetica, Arial, 'DejaVu Sans', sans-serif"
HUES = ("#1d5fa8", "#b4540a", "#0b7a55", "#a3246b", "#6a3fbf", "#0d7285", "#7d5a10", "#505c6b")
FLOW = "#66727f"
LINE_INK = {"operation": INK, "attention": "#0a6847", "choice": "#6a3fbf", "shape": SOFT}
FILL = {
    "input": ("#e3edf8", "#4a7ab0"),
    "node": ("#fdf3d8", "#b08a2e"),
    "output": ("#e6e9ed", "#66727f"),
    "layer": ("#f6f7f9", "#8a96a3"),
    "join": ("#ffffff", "#52606d"),
    "module": ("#fdf3d8", "#b08a2e"),
    "attention": ("#dff3ea", "#2f8a66"),
    "choice": ("#efe8fb", "#6a3fbf"),
    "cell": ("#fdf3d8", "#b08a2e"),
}


def write_svg(pictures: Sequence[Picture]) -> str:
    """One document with all pictures, in rows, each under its title."""
    framed = [_Framed(picture) for picture in pictures]
    width, height, places = _rows(framed)
    parts = [part for f, at in zip(framed, places, strict=True) for part in f.draw(at)]
    return _document(width, height, parts, ", ".join(p.title for p in pictures))


def _rows(framed: Sequence[_Framed]) -> tuple[float, float, list[Point]]:
    """Places in order, row by row; a new row where the last one is full."""
    limit = max([ROW_WIDTH, *(f.width + 2 * MARGIN for f in framed)])
    x, y, row, width = MARGIN, MARGIN, 0.0, 0.0
    places = []
    for f in framed:
        if x > MARGIN and x + f.width + MARGIN > limit:
            x, y, row = MARGIN, y + row + SPACE, 0.0
        places.append((x, y))
        x += f.width + SPACE
        row, width = max(row, f.height), max(width, x - SPACE + MARGIN)
    return width, y + row + MARGIN, places


def _document(width: float, height: float, parts: list[str], title: str) -> str:
    size = f'width="{_n(width)}" height="{_n(height)}" viewBox="0 0 {_n(width)} {_n(height)}"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" font-family="{_mono()}">'
    paper = f'<rect width="{_n(width)}" height="{_n(height)}" fill="{PAPER}"/>'
    return "\n".join([head, f"<title>{safe(title)}</title>", paper, *parts, "</svg>"]) + "\n"


def _mono() -> str:
    return MONO.replace('"', "&quot;")


def safe(text: str) -> str:
    """The text for XML or HTML: control characters shown as escapes, markup as entities."""
    return escape(printable(text), {'"': "&quot;", "'": "&#39;"})


def _n(value: float) -> str:
    """A number with one decimal at most, so that files are small and equal everywhere."""
    text = f"{value:.1f}"
    return text[:-2] if text.endswith(".0") else text


@dataclass(frozen=True, slots=True)
class _Piece:
    """One text of a picture's frame: its title or a line of notes."""

    text: str
    y: float
    font: float


class _Framed:
    """A picture with its title above and its notes below."""

    def __init__(self, picture: Picture) -> None:
        self.laid: Laid = lay_out(picture)
        pad = max([0.0, *(-b.left for _, b in self.laid.groups)])
        self.left = pad
        top = max([0.0, *(-b.top for _, b in self.laid.groups)])
        self.top = TITLE_FONT * 2.4 + top + (16 if self.laid.groups else 0)
        notes = _wrap(picture.notes, max(self.laid.width, NOTE_WIDTH))
        step = DETAIL_FONT * 1.5
        below = self.top + max([self.laid.height, *(b.bottom for _, b in self.laid.groups)]) + 26
        self.texts = [_Piece(line, below + i * step, DETAIL_FONT) for i, line in enumerate(notes)]
        wide = [text_width(t.text, t.font) for t in self.texts]
        title = text_width(picture.title, TITLE_FONT)
        inner = max([self.laid.width, *(b.right for _, b in self.laid.groups)]) + pad
        self.width = max([inner, title, *wide])
        self.inner = inner
        self.height = below - 26 + (len(notes) * step + 14 if notes else 0.0)

    def draw(self, at: Point) -> list[str]:
        x, y = at
        out = [
            f'<g transform="translate({_n(x)} {_n(y)})">',
            f'<text x="0" y="{_n(TITLE_FONT)}" font-family="{SANS}" font-size="{_n(TITLE_FONT)}"'
            f' font-weight="bold" fill="{INK}">{safe(self.laid.picture.title)}</text>',
        ]
        out += [
            f'<text x="0" y="{_n(t.y)}" font-size="{_n(t.font)}" fill="{SOFT}">{safe(t.text)}</text>'
            for t in self.texts
        ]
        # A picture narrower than its title or notes stands in the middle above them.
        left = self.left + (self.width - self.inner) / 2
        out.append(f'<g transform="translate({_n(left)} {_n(self.top)})">')
        for group, box in self.laid.groups:
            out += _group(group.label, box)
        down = self.laid.picture.direction == "down"
        for route in self.laid.routes:
            out += _route(route, down)
        for route in self.laid.routes:
            out += _label(route)
        for node, box in self.laid.boxes:
            out += _node(node, box)
        return [*out, "</g>", "</g>"]


def _wrap(notes: Sequence[str], width: float) -> list[str]:
    """Notes broken between words, continued lines indented."""
    lines: list[str] = []
    for note in notes:
        line = ""
        for word in note.split():
            longer = f"{line} {word}" if line.strip() else line + word
            if text_width(longer, DETAIL_FONT) > width and line.strip():
                lines.append(line)
                longer = f"    {word}"
            line = longer
        lines.append(line)
    return lines


def _group(label: str, box: Box) -> list[str]:
    return [
        f'<rect x="{_n(box.left)}" y="{_n(box.top)}" width="{_n(box.width)}" height="{_n(box.height)}"'
        f' rx="8" fill="none" stroke="#b9b08f" stroke-dasharray="2 3"/>',
        f'<text x="{_n(box.left + 4)}" y="{_n(box.top - 6)}" font-size="{_n(DETAIL_FONT)}"'
        f' fill="{SOFT}">{safe(label)}</text>',
    ]


def _colour(route: Route) -> str:
    hue = route.edge.hue
    return FLOW if hue is None else HUES[hue % len(HUES)]


def _route(route: Route, down: bool) -> list[str]:
    """The line, a light one under it that parts it from lines it crosses, and its head."""
    path = _path(route.pieces, down)
    colour = _colour(route)
    plain = not route.edge.lines and route.edge.hue is not None
    width, opacity = ("1.1", ' stroke-opacity="0.75"') if plain else ("1.5", "")
    dash = ' stroke-dasharray="5 3"' if route.edge.kind == "choice" else ""
    tip = f"<title>{safe(route.edge.tip)}</title>" if route.edge.tip else ""
    x, y = route.pieces[-1][1]
    head = [(x, y), (x - 8, y - 3.6), (x - 8, y + 3.6)]
    if down:
        head = [(x, y), (x - 3.6, y - 8), (x + 3.6, y - 8)]
    points = " ".join(f"{_n(a)},{_n(b)}" for a, b in head)
    return [
        f'<path d="{path}" fill="none" stroke="{PAPER}" stroke-width="4.5"/>',
        f'<path d="{path}" fill="none" stroke="{colour}" stroke-width="{width}"{opacity}{dash}>{tip}</path>',
        f'<polygon points="{points}" fill="{colour}"/>',
    ]


def _path(pieces: Sequence[tuple[Point, Point]], down: bool) -> str:
    """Straight along the pieces, and between them a curve that leaves and arrives straight."""
    steps = [f"M{_n(pieces[0][0][0])} {_n(pieces[0][0][1])}"]
    at = pieces[0][0]
    for index, (start, end) in enumerate(pieces):
        if index:
            (x1, y1), (x2, y2) = at, start
            if down:
                middle = (y1 + y2) / 2
                bend = (x1, middle, x2, middle, x2, y2)
            else:
                middle = (x1 + x2) / 2
                bend = (middle, y1, middle, y2, x2, y2)
            steps.append("C" + " ".join(_n(v) for v in bend))
        if index == len(pieces) - 1:
            # The line ends inside its head, not at the tip.
            end = (end[0], end[1] - 4) if down else (end[0] - 4, end[1])
        steps.append(f"L{_n(end[0])} {_n(end[1])}")
        at = end
    return "".join(steps)


def _label(route: Route) -> list[str]:
    box, lines = route.label, route.edge.lines
    if box is None:
        return []
    font = edge_font(route.edge)
    if all(line.kind == "shape" for line in lines):
        edge = f'fill="{PAPER}"'
    else:
        dash = ' stroke-dasharray="4 3"' if route.edge.kind == "choice" else ""
        edge = f'fill="{PAPER}" stroke="{_colour(route)}" stroke-width="1"{dash}'
    rect = (
        f'<rect x="{_n(box.left)}" y="{_n(box.top)}" width="{_n(box.width)}" height="{_n(box.height)}" rx="5" {edge}/>'
    )
    texts = [(line.text, font, LINE_INK[line.kind], "") for line in lines]
    return [*_wrapped(route.edge.tip, [rect, *_stack(box, texts)])]


def _node(node: Node, box: Box) -> list[str]:
    fill, stroke = FILL[node.kind]
    dash = ' stroke-dasharray="5 3"' if node.kind == "choice" else ""
    round_ = box.height / 2 if node.kind == "join" else 7 if node.kind != "layer" else 4
    rect = (
        f'<rect x="{_n(box.left)}" y="{_n(box.top)}" width="{_n(box.width)}"'
        f' height="{_n(box.height)}" rx="{_n(round_)}" fill="{fill}" stroke="{stroke}"'
        f' stroke-width="1.3"{dash}/>'
    )
    bold = ' font-weight="bold"' if node.kind in ("input", "node", "output", "cell", "join") else ""
    texts = [(node.label, LABEL_FONT, INK, bold)]
    texts += [(d, DETAIL_FONT, SOFT, "") for d in node.details]
    return _wrapped(node.tip, [rect, *_stack(box, texts)])


def _wrapped(tip: str, parts: list[str]) -> list[str]:
    if not tip:
        return parts
    return ["<g>", f"<title>{safe(tip)}</title>", *parts, "</g>"]


def _stack(box: Box, texts: Sequence[tuple[str, float, str, str]]) -> list[str]:
    """Lines of text one below the other in the middle of a box."""
    height = sum(font * LINE for _, font, _, _ in texts)
    y, out = box.y - height / 2, []
    for text, font, ink, extra in texts:
        y += font * LINE
        out.append(
            f'<text x="{_n(box.x)}" y="{_n(y - font * 0.36)}" font-size="{_n(font)}" fill="{ink}"'
            f' text-anchor="middle"{extra}>{safe(text)}</text>'
        )
    return out
