"""Diagnostics as text: with a code frame for people, one line each for editors."""

from __future__ import annotations

from collections.abc import Iterable

from genolang.diagnostics.diagnostic import Diagnostic
from genolang.diagnostics.span import Span

MAX_COLUMNS = 160
_STYLES = {"error": "1;31", "warning": "1;33", "frame": "1;34", "help": "1;32", "bold": "1"}


class _Paint:
    def __init__(self, color: bool) -> None:
        self.color = color

    def __call__(self, style: str, text: str) -> str:
        return f"\x1b[{_STYLES[style]}m{text}\x1b[0m" if self.color else text


def printable(text: str) -> str:
    """The text with control characters shown as escapes, so that a message cannot drive a terminal."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def render_line(diagnostic: Diagnostic) -> str:
    """`file:line:col: severity[code]: message`, for editors and logs."""
    place = "" if diagnostic.span is None else f"{diagnostic.span!r}: "
    return printable(f"{place}{diagnostic.severity}[{diagnostic.code}]: {diagnostic.message}")


def render(diagnostic: Diagnostic, *, color: bool = False) -> str:
    """Message, code frames of every place, help and notes, as several lines."""
    paint = _Paint(color)
    head = paint(diagnostic.severity, f"{diagnostic.severity}[{diagnostic.code}]")
    lines = [f"{head}{paint('bold', ': ' + printable(diagnostic.message))}"]
    places: list[tuple[Span, str, bool]] = []
    if diagnostic.span is not None:
        places.append((diagnostic.span, "", True))
    places += [(label.span, label.text, False) for label in diagnostic.labels]
    width = max((len(str(span.line)) for span, _, _ in places), default=1)
    for index, (span, text, main) in enumerate(places):
        lines += _frame(span, text, main, width, paint, diagnostic.severity, first=index == 0)
    bar = " " * width
    if places:
        lines.append(f"{bar} {paint('frame', '|')}")
    if diagnostic.help:
        lines.append(f"{bar} {paint('help', '= help:')} {printable(diagnostic.help)}")
    lines += [f"{bar} {paint('frame', '= note:')} {printable(note)}" for note in diagnostic.notes]
    return "\n".join(lines)


def _frame(span: Span, text: str, main: bool, width: int, paint: _Paint, severity: str, *, first: bool) -> list[str]:
    line, column = span.source.position(span.start)
    end_line, end_column = span.source.position(span.end)
    raw = span.source.line(line)
    stop = end_column - 1 if end_line == line else len(raw)
    offset = max(0, min(column - 20, len(raw) - MAX_COLUMNS)) if len(raw) > MAX_COLUMNS else 0
    shown = raw[offset : offset + MAX_COLUMNS]
    start = column - 1 - offset
    length = max(1, min(stop - offset, len(shown)) - start)
    # Tabs count one column in positions; show them as one blank so that the marks line up.
    quoted = "".join(c if c.isprintable() else " " if c == "\t" else "\N{REPLACEMENT CHARACTER}" for c in shown)
    mark = ("^" if main else "-") * length
    arrow = "-->" if first else ":::"
    bar = paint("frame", "|")
    return [
        f"{' ' * width}{paint('frame', arrow)} {span!r}",
        f"{' ' * width} {bar}",
        f"{paint('frame', f'{line:>{width}}')} {bar} {quoted}",
        f"{' ' * width} {bar} {' ' * start}"
        f"{paint(severity if main else 'frame', mark + (' ' + printable(text) if text else ''))}",
    ]


def render_all(diagnostics: Iterable[Diagnostic], *, color: bool = False) -> str:
    return "\n\n".join(render(d, color=color) for d in diagnostics)
