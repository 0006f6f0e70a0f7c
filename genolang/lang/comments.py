"""The comments of a file, handed out once each and in order while its tree is printed."""

from __future__ import annotations

import re
from bisect import bisect_left
from functools import cached_property

from genolang.diagnostics import Source
from genolang.lang import syntax as s
from genolang.lang.documents import HARD, Doc, Trailing, concat

_SKIP = r"[ \t\r\f,\n]|#[^\n]*+"
_BRACKETS = re.compile(r"#[^\n]*+|\"[^\"\n]*+\"?|[()\[\]{}]")
_COMMENT = re.compile(r"#[^\n]*+")
_CLOSED = re.compile(rf"(?:(?:{_SKIP})*+\))*+")
_BETWEEN = re.compile(rf"(?:{_SKIP}|[-()|+*/%<>=!]|and|or)*+")
_BEFORE_OPENING = re.compile(r"(?:[^(#]|#[^\n]*+)*+")


class Comments:
    """A cursor over a file's comments.

    Whoever prints a node first takes the comments that stand before it, so the order is kept and none
    is lost; `limit` is the end of the statement under way, which takes none of the next one's.
    """

    def __init__(self, source: Source | None = None, comments: tuple[s.Comment, ...] = ()) -> None:
        self.source = source
        self.comments = sorted(comments, key=lambda comment: comment.span.start)
        self.starts = [comment.span.start for comment in self.comments]
        self.at = 0
        self.limit = 0 if source is None else len(source.text)

    def start(self, node: s.Node) -> int:
        """Where a node begins; 0, which no comment precedes, for one that is not of this text."""
        return node.span.start if node.span.source is self.source else 0

    def end(self, node: s.Node) -> int:
        return node.span.end if node.span.source is self.source else 0

    def statement_end(self, node: s.Node) -> int:
        """Where a statement ends, with the round brackets that spans leave out."""
        end = self.end(node)
        match = _CLOSED.match(self.source.text, end) if self.source is not None and end else None
        return end if match is None else match.end()

    def take(self, before: int) -> list[s.Comment]:
        """The comments not yet taken that begin before a place."""
        first = self.at
        self.at = bisect_left(self.starts, min(before, self.limit), lo=first)
        return self.comments[first : self.at]

    def breaking(self, before: int, line: Doc) -> Doc:
        """A possible line break, which becomes lines of comments where there are any."""
        found = self.take(before)
        if not found:
            return line
        return concat(*self.lines(found), HARD)

    def lines(self, found: list[s.Comment]) -> list[Doc]:
        """Comments inside a statement: the first stays behind the code that it stands behind."""
        docs: list[Doc] = []
        for index, comment in enumerate(found):
            text = comment_text(comment)
            if index == 0 and self.is_trailing(comment):
                docs.append(Trailing(text))
            else:
                docs += [HARD, text]
        return docs

    def is_trailing(self, comment: s.Comment) -> bool:
        text, start = comment.span.source.text, comment.span.start
        return bool(text[text.rfind("\n", 0, start) + 1 : start].strip())

    def blank_before(self, start: int) -> bool:
        """Whether what begins here is first on its line, with a blank line above."""
        text = "" if self.source is None else self.source.text
        line = text.rfind("\n", 0, start) + 1
        if line == 0 or text[line:start].strip():
            return False
        above = text.rfind("\n", 0, line - 1) + 1
        return not text[above : line - 1].strip()

    def blank_between(self, before: s.Node, after: s.Node) -> bool:
        """Whether a blank line is kept somewhere between two statements."""
        start, end = self.start(after), self.statement_end(before)
        if self.start(before) >= start:
            return False
        first = bisect_left(self.starts, end)
        between = self.comments[first : max(first, bisect_left(self.starts, start))]
        return self.blank_before(start) or any(
            self.blank_before(c.span.start) for c in between if not self.is_trailing(c)
        )

    def brackets(self, node: s.Node) -> tuple[int, int]:
        """Where the brackets right around a node open and close; spans leave out round ones."""
        if node.span.source is not self.source:
            return 0, 0
        opens, closes, parents = self.pairs
        at = bisect_left(opens, node.span.start) - 1
        while at >= 0 and closes[at] < node.span.end:
            at = parents[at]
        return (opens[at], closes[at]) if at >= 0 else (0, 0)

    @cached_property
    def pairs(self) -> tuple[list[int], list[int], list[int]]:
        """Every bracket of the text: where it opens, where it closes, and the one around it."""
        text = "" if self.source is None else self.source.text
        opens: list[int] = []
        closes: list[int] = []
        parents: list[int] = []
        around = -1
        for match in _BRACKETS.finditer(text):
            sign = match.group()
            if sign in "([{":
                opens.append(match.start())
                closes.append(len(text))
                parents.append(around)
                around = len(opens) - 1
            elif sign in ")]}" and around >= 0:
                closes[around] = match.start()
                around = parents[around]
        return opens, closes, parents

    def broken_between(self, before: s.Node, after: s.Node) -> bool:
        """Whether the text has the second of two neighbours, with its brackets, on a later line."""
        start, end = self.start(after), self.end(before)
        if self.source is None or not 0 < end <= start:
            return False
        text = self.source.text
        match = _BEFORE_OPENING.match(text, end, start)
        assert match is not None
        outside = _COMMENT.sub("", match.group()).rpartition(")")[2]
        return "\n" in outside and _BETWEEN.fullmatch(text, end, start) is not None


def comment_text(comment: s.Comment) -> str:
    return spaced(comment.text)


def spaced(text: str) -> str:
    """A comment with a blank after its sign, except in `##` and `#!`."""
    if len(text) < 2 or text[1].isspace() or text[1] in "#!":
        return text
    return f"# {text[1:]}"
