"""Where lines break: documents of text, possible breaks and brackets, laid out to a width.

Source: the algebra is Wadler's ("A prettier printer", 2003), with two additions. An `Align` hangs what
follows a first word; a `Bracket` that breaks indents from the line on which it opens.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Union

WIDTH = 100
INDENT = 2
# Beyond this column hanging indents would leave no room: continue near the left instead.
MAX_HANG = 56


@dataclass(frozen=True, slots=True)
class Line:
    """A possible line break, `flat` where it is not taken; `hard` ones are always taken."""

    flat: str = " "
    hard: bool = False

    @property
    def forced(self) -> bool:
        return self.hard


@dataclass(frozen=True, slots=True)
class Trailing:
    """A comment for the end of the line; the line must end soon after."""

    text: str
    forced: bool = True


@dataclass(frozen=True, slots=True)
class IfBroken:
    """Text that is there only where the group around it is broken."""

    text: str
    forced: bool = False


@dataclass(frozen=True, slots=True)
class Concat:
    parts: tuple[Doc, ...]
    forced: bool


@dataclass(frozen=True, slots=True)
class Nest:
    """Line breaks inside indent by `by` more; with `hang`, counted from the current column."""

    by: int
    hang: bool
    content: Doc
    forced: bool


@dataclass(frozen=True, slots=True)
class Group:
    """On one line if that fits, else with all of its own line breaks taken."""

    content: Doc
    forced: bool


@dataclass(frozen=True, slots=True)
class Bracket:
    """A group in brackets; broken, its content stands on lines of its own."""

    opening: str
    content: Doc
    closing: str
    forced: bool


Doc = Union[str, Line, Trailing, IfBroken, Concat, Nest, Group, Bracket]
LINE = Line()
SOFT = Line("")
HARD = Line("", hard=True)


def is_forced(doc: Doc) -> bool:
    """Whether a document holds a break that is always taken."""
    return not isinstance(doc, str) and doc.forced


def concat(*parts: Doc) -> Doc:
    return parts[0] if len(parts) == 1 else Concat(parts, any(map(is_forced, parts)))


def nest(*parts: Doc, by: int = INDENT) -> Doc:
    content = concat(*parts)
    return Nest(by, False, content, is_forced(content))


def align(*parts: Doc) -> Doc:
    content = concat(*parts)
    return Nest(0, True, content, is_forced(content))


def group(*parts: Doc) -> Doc:
    content = concat(*parts)
    return Group(content, is_forced(content))


def bracket(opening: str, parts: Sequence[Doc], closing: str) -> Doc:
    content = concat(*parts) if parts else ""
    return Bracket(opening, content, closing, is_forced(content))


@dataclass(slots=True)
class OutLine:
    """One line of output and the comment at its end."""

    text: str
    comment: str | None = None


# (indent, is the group around it broken, document)
_Item = tuple[int, bool, Doc]


@dataclass(slots=True)
class _Layout:
    width: int
    indent: int
    lines: list[OutLine] = field(default_factory=list)
    parts: list[str] = field(default_factory=list)
    column: int = 0
    line_indent: int = 0
    trailing: list[str] = field(default_factory=list)

    def run(self, doc: Doc) -> list[OutLine]:
        self.start_line(self.indent)
        stack: list[_Item] = [(self.indent, True, doc)]
        while stack:
            indent, broken, doc = stack.pop()
            match doc:
                case str():
                    self.parts.append(doc)
                    self.column += len(doc)
                case Line():
                    if broken or doc.hard:
                        self.end_line(indent)
                    else:
                        self.parts.append(doc.flat)
                        self.column += len(doc.flat)
                case Trailing():
                    self.trailing.append(doc.text)
                case IfBroken():
                    if broken:
                        self.parts.append(doc.text)
                        self.column += len(doc.text)
                case Concat():
                    stack += [(indent, broken, part) for part in reversed(doc.parts)]
                case Nest():
                    stack.append((self.nested(doc, indent), broken, doc.content))
                case Group():
                    stack.append((indent, broken and not self.fits(doc, stack), doc.content))
                case Bracket():
                    self.push_bracket(doc, broken and not self.fits(doc, stack), stack)
        self.end_line(self.indent, last=True)
        return self.lines

    def nested(self, doc: Nest, indent: int) -> int:
        if not doc.hang:
            return indent + doc.by
        return self.column if self.column <= MAX_HANG else max(indent, self.line_indent + 2 * INDENT)

    def push_bracket(self, doc: Bracket, broken: bool, stack: list[_Item]) -> None:
        outer, inner = self.line_indent, self.line_indent + INDENT
        if broken:
            stack += [(outer, False, doc.closing), (outer, True, SOFT)]
        else:
            stack.append((outer, False, doc.closing))
        stack += [(inner, broken, doc.content), (inner, broken, doc.opening)]

    def start_line(self, indent: int) -> None:
        self.parts = [" " * indent]
        self.column = self.line_indent = indent

    def end_line(self, indent: int, *, last: bool = False) -> None:
        first, *others = self.trailing or [None]
        self.lines.append(OutLine("".join(self.parts).rstrip(" "), first))
        self.lines += [OutLine(" " * indent + str(text)) for text in others]
        self.trailing = []
        if not last:
            self.start_line(indent)

    def fits(self, doc: Group | Bracket, rest: list[_Item]) -> bool:
        """Whether a group on one line, and what follows up to a possible break, fits the width."""
        if doc.forced:
            return False
        room = self.width - self.column
        at = len(rest)
        stack: list[tuple[bool, Doc]] = [(False, doc.content)]
        if isinstance(doc, Bracket):
            stack = [(False, doc.closing), (False, doc.content), (False, doc.opening)]
        while room >= 0:
            if not stack:
                if at == 0:
                    return True
                at -= 1
                stack.append((rest[at][1], rest[at][2]))
            broken, doc_ = stack.pop()
            match doc_:
                case str():
                    room -= len(doc_)
                case Line():
                    if broken or doc_.hard:
                        return True
                    room -= len(doc_.flat)
                case Trailing():
                    return True
                case IfBroken():
                    room -= len(doc_.text) if broken else 0
                case Concat():
                    stack += [(broken, part) for part in reversed(doc_.parts)]
                case Nest() | Group():
                    stack.append((broken, doc_.content))
                case Bracket():
                    if broken:
                        return room >= len(doc_.opening)
                    stack += [(False, doc_.closing), (False, doc_.content), (False, doc_.opening)]
        return False


def lay_out(doc: Doc, indent: int = 0, width: int = WIDTH) -> list[OutLine]:
    """The lines of a document, the first one indented too."""
    return _Layout(width, indent).run(doc)
