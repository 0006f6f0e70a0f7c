"""Charts as SVG: curves with a legend that says where each one ends, and scores on one line."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from types import MappingProxyType

from genolang.cli.reporting.reading import Point
from genolang.drawing.svg import HUES, INK, PAPER, SANS, SOFT, safe

GRID = "#e4e8ec"
FAINT = "#9aa5b1"
WIDTH, HEIGHT = 300.0, 180.0
LEFT, TOP, BOTTOM = 54.0, 34.0, 40.0
ROW = 16.0
FONT = 11.0
_NONE: Mapping[str, Sequence[Point]] = MappingProxyType({})


def line_chart(
    title: str, unit: str, curves: Mapping[str, Sequence[Point]], control: Mapping[str, Sequence[Point]] = _NONE
) -> str:
    """Curves over epochs or steps; those of the control are grey and have one line of the legend."""
    points = [point for curve in (*curves.values(), *control.values()) for point in curve]
    assert points, "a chart has something to show"
    first, last = min(x for x, _ in points), max(x for x, _ in points)
    ticks = nice_ticks(min(y for _, y in points), max(y for _, y in points))
    low, high = ticks[0], ticks[-1]

    def place(point: Point) -> tuple[float, float]:
        share = 0.5 if last == first else (point[0] - first) / (last - first)
        return LEFT + share * WIDTH, TOP + HEIGHT * (1 - (point[1] - low) / (high - low))

    parts = [text(LEFT, 16, title, INK, "bold")]
    for tick in ticks:
        y = place((first, tick))[1]
        parts.append(f'<path d="M{LEFT:g} {y:.1f}h{WIDTH:g}" stroke="{GRID}"/>')
        parts.append(text(LEFT - 6, y + 4, f"{tick:g}", SOFT, anchor="end"))
    for x in _whole_ticks(first, last):
        at = place((x, low))[0]
        parts.append(text(at, TOP + HEIGHT + 16, f"{x:g}", SOFT, anchor="middle"))
    parts.append(text(LEFT + WIDTH / 2, TOP + HEIGHT + 32, unit, SOFT, anchor="middle"))
    parts += [_curve(name, [place(point) for point in curve], FAINT) for name, curve in control.items()]
    looks = [_look(number) for number in range(len(curves))]
    for (name, curve), look in reversed(list(zip(curves.items(), looks, strict=True))):
        parts.append(_curve(name, [place(point) for point in curve], look))
    rows = [(name, curve[-1][1], look) for (name, curve), look in zip(curves.items(), looks, strict=True)]
    if control:
        ends = [curve[-1][1] for curve in control.values()]
        rows.append((f"{len(control)} at random, mean", sum(ends) / len(ends), FAINT))
    legend, width = _legend(rows)
    height = max(TOP + HEIGHT + BOTTOM, TOP + ROW * len(rows) + 8)
    return document(LEFT + WIDTH + 16 + width, height, title, [*parts, *legend])


def _look(number: int) -> str:
    """A curve's colour; after all colours they come again, dashed."""
    hue = HUES[number % len(HUES)]
    return hue if number < len(HUES) else f'{hue}" stroke-dasharray="{4 * (number // len(HUES))} 3'


def _curve(name: str, places: Sequence[tuple[float, float]], look: str) -> str:
    tip = f"<title>{safe(name)}</title>"
    if len(places) == 1:
        x, y = places[0]
        return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="none" stroke="{look}">{tip}</circle>'
    path = "L".join(f"{x:.1f} {y:.1f}" for x, y in places)
    return f'<path d="M{path}" fill="none" stroke-width="1.6" stroke="{look}">{tip}</path>'


def _legend(rows: Sequence[tuple[str, float, str]]) -> tuple[list[str], float]:
    """The curves by where they end, the highest first, and the width that they take."""
    left, widest = LEFT + WIDTH + 16, 0
    parts = []
    for number, (name, end, look) in enumerate(sorted(rows, key=lambda row: -row[1])):
        y = TOP + ROW * number + 8
        shown = f"{name}  {short(end)}"
        widest = max(widest, len(shown))
        parts.append(f'<path d="M{left:g} {y:g}h14" stroke-width="2.4" stroke="{look}"/>')
        parts.append(text(left + 20, y + 4, shown, INK))
    return parts, 20 + 6.6 * widest + 12


def score_chart(title: str, rows: Sequence[tuple[str, Sequence[float], bool]]) -> str:
    """Scores as dots on one axis, a row for each kind: (name, scores, whether they stand out)."""
    scores = [score for _, found, _ in rows for score in found]
    assert scores, "a chart has something to show"
    ticks = nice_ticks(min(scores), max(scores))
    left = 30 + 6.6 * max(len(name) for name, _, _ in rows)
    height = TOP + 30 * len(rows)

    def across(score: float) -> float:
        return left + WIDTH * (score - ticks[0]) / (ticks[-1] - ticks[0])

    parts = [text(12, 16, title, INK, "bold")]
    for tick in ticks:
        parts.append(f'<path d="M{across(tick):.1f} {TOP:g}V{height:g}" stroke="{GRID}"/>')
        parts.append(text(across(tick), height + 16, f"{tick:g}", SOFT, anchor="middle"))
    for number, (name, found, bold) in enumerate(rows):
        y = TOP + 30 * number + 15
        parts.append(text(left - 14, y + 4, name, INK, anchor="end"))
        look = f'r="5.5" fill="{HUES[0]}"' if bold else f'r="4.5" fill="{PAPER}" stroke="{SOFT}"'
        for score in found:
            tip = f"<title>{short(score)}</title>"
            parts.append(f'<circle cx="{across(score):.1f}" cy="{y:g}" {look}>{tip}</circle>')
    return document(left + WIDTH + 30, height + 28, title, parts)


def nice_ticks(low: float, high: float) -> list[float]:
    """Round numbers in equal steps, at most seven, the first not above `low`, the last not below `high`."""
    if high - low <= 1e-9 * max(abs(low), abs(high)):
        pad = abs(low) / 10 or 0.5
        low, high = low - pad, high + pad
    rough = (high - low) / 5
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough * (1 - 1e-9))
    start, end = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [float(f"{number * step:.12g}") for number in range(start, end + 1)]


def _whole_ticks(first: float, last: float) -> list[float]:
    step = max(1, math.ceil((last - first) / 6))
    return [first + step * number for number in range(int((last - first) // step) + 1)]


def short(value: float) -> str:
    """A number in four digits."""
    return f"{value:.4g}"


def text(x: float, y: float, words: str, ink: str, weight: str = "normal", anchor: str = "start") -> str:
    """Words at a place."""
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="{FONT:g}" fill="{ink}" font-weight="{weight}"'
        f' text-anchor="{anchor}" xml:space="preserve">{safe(words)}</text>'
    )


def document(width: float, height: float, title: str, parts: Sequence[str]) -> str:
    """A whole picture."""
    size = f'width="{width:.0f}" height="{height:.0f}" viewBox="0 0 {width:.0f} {height:.0f}"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" font-family="{safe(SANS)}">'
    paper = f'<rect width="{width:.0f}" height="{height:.0f}" fill="{PAPER}"/>'
    return "\n".join([head, f"<title>{safe(title)}</title>", paper, *parts, "</svg>"])
