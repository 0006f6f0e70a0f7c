"""The one canonical form of a file: same tree, all comments, no options."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import TypeVar

from genolang.diagnostics import GenoError, Source, Span, fail
from genolang.lang import syntax as s
from genolang.lang.comments import Comments, comment_text, spaced
from genolang.lang.documents import INDENT, LINE, Doc, OutLine, align, concat, group, lay_out, nest
from genolang.lang.parser import parse
from genolang.lang.printer import BRACKETED, PIPELINE, SUM, Printer

# Longer words stand out of their column instead of pushing the others' values to the right.
_MAX_COLUMN = 10
# Comments at the ends of neighbouring lines share a column unless the lines differ by more.
_MAX_SPREAD = 32
# So that `stem`, `nodes` and `return` have one column, whichever of them a block has.
_WORD = 6
_OPENING, _CLOSING = ("{", "(", "["), ("}", ")", "]")
# Behind `where` these are no names but say how.
_PLACEMENTS = frozenset(("all", "search", "every"))
_BETWEEN_SETTINGS = "   "
N = TypeVar("N", bound=s.Node)


def format_source(source: Source) -> str:
    """The canonical text of a source. Errors: those of its text, G004 to G012 and G507."""
    file, diagnostics = parse(source)
    if diagnostics:
        raise GenoError(diagnostics)
    return format_file(file)


def format_file(file: s.File, notes: Mapping[int, str] | None = None) -> str:
    """The canonical text of a tree, parts of which may have been replaced since it was parsed.

    A replacing node carries the place of what it replaces. `notes` gives nodes of blocks (statements,
    edges) a comment at their line's end, by `id(node)`. Error: G007 for a tree too deep to print.
    """
    try:
        lines = _Formatter(file, notes or {}).file()
    except RecursionError:
        raise _too_deep(file.source) from None
    _align_comments(lines)
    return "".join(line.text + ("" if line.comment is None else f"  {line.comment}") + "\n" for line in lines)


def _too_deep(source: Source) -> GenoError:
    return fail(
        "G007",
        "this file nests too deeply to be formatted",
        Span(source, 0, 0),
        help="name the inner parts and refer to them",
    )


def _align_comments(lines: list[OutLine]) -> None:
    """Give the comments at the ends of neighbouring lines of one depth one column."""
    at = 0
    while at < len(lines):
        depth, end = _depth(lines[at]), at + 1
        while depth is not None and end < len(lines) and _depth(lines[end]) == depth:
            end += 1
        widths = [len(line.text) for line in lines[at:end]]
        if depth is not None and max(widths) - min(widths) <= _MAX_SPREAD:
            for line in lines[at:end]:
                line.text = line.text.ljust(max(widths))
        at = end


def _depth(line: OutLine) -> int | None:
    """The indentation of a line with a comment at its end; None if that stays out of the column."""
    text = line.text.lstrip()
    if line.comment is None or text.startswith(_CLOSING) or text.endswith(_OPENING):
        return None
    return len(line.text) - len(text)


def _column(words: Sequence[str]) -> int:
    """The width that a column of words takes."""
    return max((len(word) for word in words if len(word) <= _MAX_COLUMN), default=0)


class _Formatter:
    def __init__(self, file: s.File, notes: Mapping[int, str]) -> None:
        self.items = file.items
        self.notes = notes
        self.comments = Comments(file.source, file.comments)
        self.printer = Printer(self.comments)
        self.expression = self.printer.expression

    # Files and blocks: nodes on lines of their own

    def file(self) -> list[OutLine]:
        out: list[OutLine] = []
        self.nodes(out, self.items, self.comments.limit, 0, self.item, spread=True)
        return out

    def nodes(
        self,
        out: list[OutLine],
        nodes: Sequence[N],
        end: int,
        indent: int,
        show: Callable[[N, int], list[OutLine]],
        *,
        spread: bool = False,
    ) -> None:
        """Append the lines of nodes, of what stands between them and of the comments up to `end`.

        With `spread`, nodes of several lines get a blank line above and below.
        """
        comments = self.comments
        outer, first, tall = comments.limit, len(out), False
        gap = len(out)
        for index, node in enumerate(nodes):
            start = comments.start(node)
            again = index > 0 and start <= comments.start(nodes[index - 1])
            self.gap(out, comments.take(start), indent, first)
            blank = not again and comments.blank_before(start)
            following = comments.start(nodes[index + 1]) if index + 1 < len(nodes) else end
            # New nodes share one place: the last of them takes the comments of what they replace.
            comments.limit = max(0, min(comments.statement_end(node), following, outer))
            lines = show(node, indent)
            was_tall, tall = tall, len(lines) > 1 or lines[-1].text.endswith("}")
            if note := self.notes.get(id(node)):
                self.attach(lines, spaced(note if note.startswith("#") else f"#{note}"), indent)
            if blank and len(out) > first:
                out.append(OutLine(""))
            if spread and (tall or was_tall) and first < gap and not _has_blank(out, gap):
                out.insert(gap, OutLine(""))
            out += lines
            gap = len(out)
            for comment in comments.take(comments.limit):
                self.attach(out, comment_text(comment), indent)
            comments.limit = outer
        self.gap(out, comments.take(end), indent, first)

    def gap(self, out: list[OutLine], found: list[s.Comment], indent: int, first: int) -> None:
        """Comments between two nodes: behind the line before, or on lines of their own."""
        for comment in found:
            if self.comments.is_trailing(comment) and out:
                self.attach(out, comment_text(comment), indent)
                continue
            if len(out) > first and self.comments.blank_before(comment.span.start):
                out.append(OutLine(""))
            out.append(OutLine(" " * indent + comment_text(comment)))

    def attach(self, out: list[OutLine], text: str, indent: int) -> None:
        """A comment behind the last line, or below it if that has one already."""
        if out[-1].comment is None and not out[-1].text.lstrip().startswith("#") and out[-1].text:
            out[-1].comment = text
        else:
            out.append(OutLine(" " * indent + text))

    def block(
        self, head: Doc, nodes: Sequence[N], whole: s.Node, indent: int, show: Callable[[N, int], list[OutLine]]
    ) -> list[OutLine]:
        lines = lay_out(concat(head, " {"), indent)
        count = len(lines)
        self.nodes(lines, nodes, self.comments.end(whole) - 1, indent + INDENT, show)
        if len(lines) == count and lines[-1].comment is None:
            lines[-1].text += "}"
        else:
            lines.append(OutLine(" " * indent + "}"))
        return lines

    # Items

    def item(self, item: s.Item, indent: int) -> list[OutLine]:
        match item:
            case s.Version():
                text = str(item.number) if item.number >= 0 else item.span.text.removeprefix("geno").strip()
                return [OutLine(f"geno {text}")]
            case s.Import():
                return lay_out(concat("import ", self.commas(item.names, _import_name)))
            case s.Section():
                column = _column([line.settings[0].name for line in item.lines])
                return self.block(
                    item.kind, item.lines, item, indent, lambda line, at: lay_out(self.setting_line(line, column), at)
                )
            case s.Definition():
                return self.definition(item, indent)

    def definition(self, item: s.Definition, indent: int) -> list[OutLine]:
        head: Doc = f"{item.kind} {item.name.id}"
        if item.params:
            closing = self.comments.brackets(item.params[-1])[1]
            head = concat(head, self.printer.listed("(", item.params, self.param, closing, ")"))
        if item.states:
            head = concat(head, " state ", ", ".join(name.id for name in item.states))
        if isinstance(item.body, tuple):
            columns = self.columns(item.body)
            return self.block(
                head, item.body, item, indent, lambda node, at: self.statement(node, columns[id(node)], at)
            )
        combine = f" combine {item.combine.id}" if item.combine is not None else ""
        plugs = [self.plug(plug) for plug in item.plugs]
        return lay_out(concat(head, " =", self.value(item.body), combine, *plugs), indent)

    def plug(self, plug: s.Plug) -> Doc:
        line = self.comments.breaking(self.comments.start(plug), LINE)
        docs: list[Doc] = ["with ", self.printer.at_least(plug.module, PIPELINE), f" at {plug.slot.id}"]
        if plug.shared is not None:
            docs.append(f" shared per {plug.shared.id}")
        where = plug.where
        if where is not None:
            bits = where.kind == "bits"
            docs.append(" where" if bits else f" where {where.kind}")
            if where.value is not None:
                least = BRACKETED if bits and _first_word(where.value) in _PLACEMENTS else SUM
                docs += [" ", self.printer.at_least(where.value, least)]
            if where.start is not None:
                docs += [" from ", self.printer.at_least(where.start, SUM)]
        return group(nest(line, *docs))

    def param(self, param: s.Param) -> Doc:
        name = param.name if param.kind is None else f"{param.name}: {param.kind}"
        if param.default is None:
            return name
        equals = "=" if param.kind is None else " = "
        return concat(name, equals, self.expression(param.default))

    def setting_line(self, line: s.SettingLine, column: int) -> Doc:
        first = line.settings[0]
        docs: list[Doc] = [first.name.ljust(column), " "]
        for setting, following in pairwise(line.settings):
            shown = align(self.expression(setting.value))
            # `slot` in front of a name would be one.
            docs += ["(", shown, ")"] if _ends_in_slot(setting.value) else [shown]
            docs += [_BETWEEN_SETTINGS, following.name, " "]
        return concat(*docs, align(self.expression(line.settings[-1].value)))

    def value(self, value: s.Expr) -> Doc:
        """What stands after `=`: on the same line, or below if only its own brackets need not break."""
        line = self.comments.breaking(self.comments.start(value), LINE)
        shown = self.expression(value)
        if line is LINE and isinstance(value, (s.Call, s.Sequence)):
            return concat(" ", shown)
        return group(nest(line, shown))

    # Statements

    def columns(self, body: Sequence[s.Statement]) -> dict[int, int]:
        """For every statement the width of its first word, common to neighbours of one kind."""
        found: dict[int, int] = {}
        run: list[s.Statement] = []
        for node in (*body, None):
            if run and (
                node is None or _alignment(node) != _alignment(run[-1]) or self.comments.blank_between(run[-1], node)
            ):
                kind, column = _alignment(run[0]), 0
                if kind is not None:
                    column = max(kind, _column([_word(statement) for statement in run]))
                found.update((id(statement), column) for statement in run)
                run = []
            if node is not None:
                run.append(node)
        return found

    def statement(self, node: s.Statement, column: int, indent: int) -> list[OutLine]:
        word = _word(node).ljust(column)
        if isinstance(node, s.Assign):
            return lay_out(concat(word, " =", self.value(node.value)), indent)
        if isinstance(node, s.Edges) and node.braces:
            starts = _column([edge.start.id for edge in node.edges])
            ends = _column([edge.end.id for edge in node.edges])
            return self.block(
                word, node.edges, node, indent, lambda edge, at: lay_out(self.edge(edge, starts, ends), at)
            )
        return lay_out(concat(word, " ", align(self.operands(node))), indent)

    def operands(self, node: s.Statement) -> Doc:
        """What follows a statement's first word."""
        expression = self.expression
        match node:
            case s.Require():
                condition = expression(node.condition)
                if node.message is None:
                    return condition
                line = self.comments.breaking(self.comments.start(node.message), LINE)
                return concat(condition, ",", group(line, expression(node.message)))
            case s.Inputs():
                return self.commas(node.inputs, self.input)
            case s.Nodes():
                return self.commas(node.names, lambda name: name.id)
            case s.Edges():
                return self.edge(node.edges[0], 0, 0)
            case s.Keep():
                return concat(expression(node.count), f" edges per node by {node.choice.id}")
            case s.Cells():
                count = expression(node.count)
                line = self.comments.breaking(self.comments.start(node.placed[0]), " ")
                return concat(count, " of", nest(line, self.commas(node.placed, self.placed)))
            case s.Auxiliary():
                docs = [expression(node.value), " at ", expression(node.at)]
                docs += [" weight ", expression(node.weight)]
                docs += [" when ", expression(node.when)] if node.when is not None else []
                return concat(*docs)
            case s.Return() | s.Part() | s.Assign():
                return expression(node.value)

    def input(self, node: s.Assign) -> Doc:
        line = self.comments.breaking(self.comments.start(node.value), " ")
        return concat(f"{node.name.id} =", nest(line, align(self.expression(node.value))))

    def edge(self, edge: s.Edge, starts: int, ends: int) -> Doc:
        head = f"{edge.start.id.ljust(starts)} -> {edge.end.id.ljust(ends)} :"
        line = self.comments.breaking(self.comments.start(edge.operation), " ")
        return concat(head, nest(line, align(self.expression(edge.operation))))

    def placed(self, placed: s.Placed) -> Doc:
        value = self.expression(placed.value)
        return value if placed.at is None else concat(value, " at ", self.expression(placed.at))

    def commas(self, nodes: Sequence[N], show: Callable[[N], Doc]) -> Doc:
        """Nodes with commas between, as many to a line as fit."""
        docs: list[Doc] = []
        for index, node in enumerate(nodes):
            line = self.comments.breaking(self.comments.start(node), LINE) if index else ""
            docs += [",", group(line, show(node))] if index else [show(node)]
        return align(*docs)


def _has_blank(out: list[OutLine], start: int) -> bool:
    return any(not line.text for line in out[start:])


def _import_name(name: s.ImportName) -> Doc:
    path = ".".join(name.path)
    return path if name.alias is None else f"{path} as {name.alias}"


def _first_word(expr: s.Expr) -> str | None:
    """The name that an expression begins with, if it begins with one."""
    while not isinstance(expr, s.Name):
        match expr:
            case s.Infix():
                expr = expr.operands[0]
            case s.Call():
                expr = expr.callee
            case s.Attribute() | s.Index():
                expr = expr.base
            case _:
                return None
    return expr.id


def _word(node: s.Statement) -> str:
    """A statement's first word."""
    if isinstance(node, s.Assign):
        return node.name.id
    return node.keyword if isinstance(node, s.Part) else type(node).__name__.lower()


def _alignment(node: s.Statement) -> int | None:
    """The least width of a statement's first word; None for statements that share no column."""
    if isinstance(node, s.Assign):
        return 1
    if isinstance(node, s.Require) or (isinstance(node, s.Edges) and node.braces):
        return None
    return _WORD


def _ends_in_slot(expr: s.Expr) -> bool:
    """Whether the last word of an expression is a name that is spelled like the word of the language."""
    match expr:
        case s.Pipeline(stages=parts) | s.Alternatives(options=parts) | s.Infix(operands=parts):
            return _ends_in_slot(parts[-1])
        case s.Prefix(operand=last) | s.If(otherwise=last) | s.For(body=last):
            return _ends_in_slot(last)
    return isinstance(expr, s.Name) and expr.id == "slot"
