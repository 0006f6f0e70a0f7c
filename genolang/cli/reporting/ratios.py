"""Charts of benchmarks: how many times as fast each form of a thing is, with quartiles."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from genolang.cli.reporting.charts import FAINT, GRID, TOP, WIDTH, document, nice_ticks, short, text
from genolang.drawing.svg import HUES, INK, SOFT, safe

BAR, GAP = 7.0, 10.0
# The forms in the order of their colours; any other is grey.
FORMS = (
    "fused",
    "compiled",
    "compiled_graphs",
    "augmented",
    "flex",
    "module",
    "eager_captured",
    "fused_captured",
    "plain",
)


class Interval(NamedTuple):
    """First quartile, median, third quartile."""

    low: float
    middle: float
    high: float


def ratio_chart(title: str, rows: Sequence[tuple[str, Mapping[str, Interval]]]) -> str:
    """A group of bars for each row, from 1 (as fast as the plain form) to the median, quartiles as lines."""
    assert rows, "a chart has something to show"
    ends = [value for _, forms in rows for one in forms.values() for value in one]
    ticks = nice_ticks(min([*ends, 1.0]), max([*ends, 1.0]))
    used = [form for form in FORMS if any(form in forms for _, forms in rows)]
    left = 24 + 6.2 * max(len(name) for name, _ in rows)
    top = TOP + 18

    def across(ratio: float) -> float:
        return left + WIDTH * (ratio - ticks[0]) / (ticks[-1] - ticks[0])

    parts, y = [], top + GAP
    for name, forms in rows:
        height = BAR * len(forms)
        parts.append(text(left - 12, y + height / 2 + 4, name, INK, anchor="end"))
        for form, one in forms.items():
            parts += _bar(form, one, y, across)
            y += BAR
        y += GAP
    grid = []
    for tick in ticks:
        grid.append(f'<path d="M{across(tick):.1f} {top:g}V{y:g}" stroke="{GRID}"/>')
        grid.append(text(across(tick), y + 16, f"{tick:g}", SOFT, anchor="middle"))
    base = f'<path d="M{across(1.0):.1f} {top:g}V{y:g}" stroke="{SOFT}"/>'
    head = [text(12, 16, title, INK, "bold"), *_legend(used)]
    width = max(left + WIDTH + 30, 24 + 6.6 * len(title))
    return document(width, y + 28, title, [*head, *grid, *parts, base])


def _bar(form: str, one: Interval, y: float, across: Callable[[float], float]) -> list[str]:
    start, end = sorted((across(1.0), across(one.middle)))
    tip = f"<title>{safe(f'{form} {short(one.middle)} ({short(one.low)} to {short(one.high)})')}</title>"
    middle = y + (BAR - 1) / 2
    return [
        f'<rect x="{start:.1f}" y="{y:g}" width="{max(end - start, 0.5):.1f}" height="{BAR - 1:g}"'
        f' fill="{_hue(form)}" fill-opacity="0.75">{tip}</rect>',
        f'<path d="M{across(one.low):.1f} {middle:g}H{across(one.high):.1f}" stroke="{INK}"/>',
    ]


def _hue(form: str) -> str:
    return HUES[FORMS.index(form) % len(HUES)] if form in FORMS else FAINT


def _legend(forms: Sequence[str]) -> list[str]:
    parts, x = [], 12.0
    for form in forms:
        shown = form.replace("_", " ")
        parts.append(f'<rect x="{x:g}" y="26" width="10" height="10" fill="{_hue(form)}"/>')
        parts.append(text(x + 15, 35, shown, SOFT))
        x += 30 + 6.6 * len(shown)
    return parts
