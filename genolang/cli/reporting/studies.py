"""Charts of studies: pairs as dots in a plane, and heat maps of two networks side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from genolang.cli.reporting.charts import BOTTOM, GRID, HEIGHT, LEFT, TOP, WIDTH, document, nice_ticks, short, text
from genolang.drawing.pixels import Colour, blended, heat, image
from genolang.drawing.svg import HUES, INK, SOFT, safe

TILE, GAP = 96.0, 8.0


def scatter_chart(title: str, across: str, up: str, pairs: Sequence[tuple[float, float, str]]) -> str:
    """Pairs (x, y, what they are) as dots; the last shows to a pointer."""
    xs, ys = (nice_ticks(min(v), max(v)) for v in ([p[0] for p in pairs], [p[1] for p in pairs]))
    left = LEFT + 14

    def place(x: float, y: float) -> tuple[float, float]:
        return (left + WIDTH * (x - xs[0]) / (xs[-1] - xs[0]), TOP + HEIGHT * (1 - (y - ys[0]) / (ys[-1] - ys[0])))

    parts = [text(left, 16, title, INK, "bold")]
    for tick in ys:
        at = place(xs[0], tick)[1]
        parts.append(f'<path d="M{left:g} {at:.1f}h{WIDTH:g}" stroke="{GRID}"/>')
        parts.append(text(left - 6, at + 4, f"{tick:g}", SOFT, anchor="end"))
    for tick in xs:
        at = place(tick, ys[0])[0]
        parts.append(f'<path d="M{at:.1f} {TOP:g}v{HEIGHT:g}" stroke="{GRID}"/>')
        parts.append(text(at, TOP + HEIGHT + 16, f"{tick:g}", SOFT, anchor="middle"))
    parts.append(text(left + WIDTH / 2, TOP + HEIGHT + 32, across, SOFT, anchor="middle"))
    middle = TOP + HEIGHT / 2
    turned = text(12, middle, up, SOFT, anchor="middle")
    parts.append(f'<g transform="rotate(-90 12 {middle:g})">{turned}</g>')
    for x, y, name in pairs:
        at, above = place(x, y)
        tip = f"<title>{safe(f'{name}: {short(x)}, {short(y)}')}</title>"
        parts.append(f'<circle cx="{at:.1f}" cy="{above:.1f}" r="4" fill="{HUES[0]}" fill-opacity="0.6">{tip}</circle>')
    return document(left + WIDTH + 24, TOP + HEIGHT + BOTTOM, title, parts)


@dataclass(frozen=True, slots=True)
class Explained:
    """An image (rows of colours), its heat maps by network (rows of 0 to 1), lines under each tile."""

    pixels: Sequence[Sequence[Colour]]
    maps: Sequence[Sequence[Sequence[float]]]
    captions: Sequence[str]


def heat_chart(title: str, heads: Sequence[str], rows: Sequence[Explained]) -> str:
    """A row per image: the image, then each network's heat map over it, red where it matters most."""
    parts = [text(GAP, 16, title, INK, "bold")]
    for column, head in enumerate(heads):
        parts.append(text(GAP + column * (TILE + GAP), 34, head, SOFT))
    for number, row in enumerate(rows):
        y = 42 + number * (TILE + GAP + 16)
        tiles = [row.pixels, *(_over(row.pixels, found) for found in row.maps)]
        for column, (tile, caption) in enumerate(zip(tiles, row.captions, strict=True)):
            x = GAP + column * (TILE + GAP)
            parts.append(image(tile, x, y, TILE))
            parts.append(text(x, y + TILE + 14, caption, INK))
    width = max(GAP + len(heads) * (TILE + GAP), 2 * GAP + 6.6 * len(title))
    return document(width, 42 + len(rows) * (TILE + GAP + 16) + GAP, title, parts)


def _over(pixels: Sequence[Sequence[Colour]], found: Sequence[Sequence[float]]) -> list[list[Colour]]:
    return [
        [blended(colour, heat(value), 0.55) for colour, value in zip(line, values, strict=True)]
        for line, values in zip(pixels, found, strict=True)
    ]
