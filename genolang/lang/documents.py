"""Where lines break: documents of text, possible breaks and brackets, laid out to a width.

Source: the algebra is Wadler's ("A prettier printer", 2003), with three additions: hanging indents,
brackets that indent from the line on which they open, and links of a chain, which break where their
brackets need not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import field
from typing import Union

from genolang.records import record

WIDTH = 100
INDENT = 2
# Beyond this column hanging indents would leave no room: continue near the left instead.
MAX_HANG = 56


@record(frozen=True)
class Line:
    """A possible line break, `flat` where it is not taken; `hard` ones are always taken."""

    flat: str = " "
    hard: bool = False

    @property
    def forced(self) -> bool:
        return self.hard


@record(frozen=True)
class Trailing:
    """A comment for the end of the line; the line must end soon after."""

    text: str
    forced: bool = True


@record(frozen=True)
class IfBroken:
    """Text that is there only where the group around it is broken."""

    text: str
    forced: bool = False


@record(frozen=True)
class Concat:
    parts: tuple[Doc, ...]
    forced: bool


@record(frozen=True)
class Nest:
    """Line breaks inside indent by `by` more; with `hang`, counted from the current column."""

    by: int
    hang: bool
    content: Doc
    forced: bool


@record(frozen=True)
class Group:
    """On one line if that fits, else with all of its own line breaks taken."""

    content: Doc
    forced: bool


@record(frozen=True)
class Bracket:
    """A group in brackets; broken, its content stands on lines of its own."""

    opening: str
    content: Doc
    closing: str
    forced: bool


@record(frozen=True)
class Link:
    """What follows in a chain: on this line; else on the next; else on this with brackets broken."""

    by: int
    content: Doc
    forced: bool


Doc = Union[str, Line, Trailing, IfBroken, Concat, Nest, Group, Bracket, Link]
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


def link(*parts: Doc, by: int = INDENT) -> Doc:
    content = concat(*parts)
    return Link(by, content, is_forced(content))


@record
class OutLine:
    """One line of output and the comment at its end."""

    text: str
    comment: str | None = None


# (indent, is the group around it broken, document)
_Item = tuple[int, bool, Doc]


@record
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
                    broken = broken and not self.fits((doc.content,), stack)
                    stack.append((indent, broken, doc.content))
                case Bracket():
                    whole = (doc.opening, doc.content, doc.closing)
                    self.push_bracket(doc, broken and not self.fits(whole, stack), stack)
                case Link():
                    self.push_link(doc, indent, broken, stack)
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
        first = self.trailing[0] if self.trailing else None
        self.lines.append(OutLine("".join(self.parts).rstrip(" "), first))
        self.lines += [OutLine(" " * indent + text) for text in self.trailing[1:]]
        self.trailing = []
        if not last:
            self.start_line(indent)

    def push_link(self, doc: Link, indent: int, broken: bool, stack: list[_Item]) -> None:
        content, below = doc.content, indent + doc.by
        here = not broken or self.fits((LINE, content), stack)
        if here or not (
            self.fits((content,), stack, column=below) or not self.fits((LINE, content), stack, flat=False)
        ):
            stack += [(indent, not here, content), (indent, False, LINE)]
        else:
            stack += [(below, True, content), (below, True, LINE)]

    def fits(self, docs: Sequence[Doc], rest: list[_Item], *, column: int | None = None, flat: bool = True) -> bool:
        """Whether documents on one line, and what follows up to a possible break, fit the width.

        With `flat` false, whether they fit up to their own first break.
        """
        if flat and any(map(is_forced, docs)):
            return False
        room = self.width - (self.column if column is None else column)
        at = len(rest)
        stack: list[tuple[bool, Doc]] = [(not flat, doc) for doc in reversed(docs)]
        if not flat:
            stack[-1] = (False, docs[0])
        while room >= 0:
            if not stack:
                if at == 0:
                    return True
                at -= 1
                stack.append((rest[at][1], rest[at][2]))
            broken, doc = stack.pop()
            match doc:
                case str():
                    room -= len(doc)
                case Line():
                    if broken or doc.hard:
                        return True
                    room -= len(doc.flat)
                case Trailing():
                    return True
                case IfBroken():
                    room -= len(doc.text) if broken else 0
                case Concat():
                    stack += [(broken, part) for part in reversed(doc.parts)]
                case Nest() | Group():
                    stack.append((broken, doc.content))
                case Bracket():
                    if broken:
                        return room >= len(doc.opening)
                    stack += [(False, doc.closing), (False, doc.content), (False, doc.opening)]
                case Link():
                    if broken:
                        return True
                    stack += [(False, doc.content), (False, LINE)]
        return False


def lay_out(doc: Doc, indent: int = 0, width: int = WIDTH) -> list[OutLine]:
    """The lines of a document, the first one indented too."""
    return _Layout(width, indent).run(doc)
