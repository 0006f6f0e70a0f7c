"""Where a piece of text stands: a source file and a half-open range of characters in it."""

from __future__ import annotations

from bisect import bisect_right
from functools import cached_property
from itertools import accumulate


class Source:
    """A text and the name under which messages quote it.

    `name` is what the user typed (or a library path such as `std/ops.geno`); `library` is true
    for files that ship with genolang, so that messages can point at the user's own line first.
    """

    def __init__(self, name: str, text: str, *, library: bool = False) -> None:
        self.name = name
        self.text = text
        self.library = library

    @cached_property
    def line_starts(self) -> list[int]:
        lengths = map(len, self.text.split("\n"))
        return [0, *(end + number for number, end in enumerate(accumulate(lengths), 1))][:-1]

    def position(self, offset: int) -> tuple[int, int]:
        """Line and column of a character, both counted from 1."""
        line = bisect_right(self.line_starts, offset)
        return line, offset - self.line_starts[line - 1] + 1

    def line(self, number: int) -> str:
        start = self.line_starts[number - 1]
        end = self.text.find("\n", start)
        return self.text[start:] if end < 0 else self.text[start:end]


class Span:
    """Characters `start` to `end` (exclusive) of a source."""

    __slots__ = ("end", "source", "start")

    def __init__(self, source: Source, start: int, end: int) -> None:
        self.source = source
        self.start = start
        self.end = end

    def to(self, other: Span) -> Span:
        """The span from the start of this one to the end of the other."""
        return Span(self.source, self.start, other.end)

    @property
    def text(self) -> str:
        return self.source.text[self.start : self.end]

    @property
    def line(self) -> int:
        return self.source.position(self.start)[0]

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Span)
            and self.source is other.source
            and self.start == other.start
            and self.end == other.end
        )

    def __hash__(self) -> int:
        return hash((id(self.source), self.start, self.end))

    def __repr__(self) -> str:
        line, column = self.source.position(self.start)
        return f"{self.source.name}:{line}:{column}"
