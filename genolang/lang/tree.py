"""Syntax-tree construction: one method per grammar rule, called with what the rule matched."""

from __future__ import annotations

from collections.abc import Sequence as Seq
from fractions import Fraction
from typing import Any

from genolang.diagnostics import Diagnostic, Source, Span
from genolang.lang import syntax as s
from genolang.lang.limits import limit, limit_note
from genolang.lang.tokens import Token

_SUFFIX = {"k": 10**3, "M": 10**6, "G": 10**9}
_FLAT = {"+", "*", "and", "or"}


class TreeBuilder:
    """Rule name -> syntax node. Children are tokens and already built nodes, in source order."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.problems: list[Diagnostic] = []

    def span(self, first: Token | s.Node, last: Token | s.Node) -> Span:
        start = first.start if isinstance(first, Token) else first.span.start
        end = last.end if isinstance(last, Token) else last.span.end
        return Span(self.source, start, end)

    def over(self, children: Seq[Any]) -> Span:
        return self.span(children[0], children[-1])

    def name_of(self, token: Token) -> s.Name:
        return s.Name(self.span(token, token), token.value)

    # Lists: every list rule is left recursive, so one Python list grows along it.

    def grow(self, children: list[Any]) -> list[Any]:
        """`items: | items item NEWLINE`, `list: x | list COMMA x` and the like."""
        if not children:
            return []
        if isinstance(children[0], list):
            found: list[Any] = children[0]
            found += [c for c in children[1:] if not _is_separator(c)]
            return found
        return [children[0]]

    items = statements = lines = line = edge_lines = grow
    import_names = input_list = placed_list = args = expr_list = param_list = name_list = grow

    def file(self, children: list[Any]) -> list[s.Item]:
        items: list[s.Item] = children[0]
        return items

    # Items

    def version(self, c: list[Any]) -> s.Version:
        text = c[1].value
        return s.Version(self.over(c), int(text) if text.isdigit() and len(text) < 9 else -1)

    def import_(self, c: list[Any]) -> s.Import:
        return s.Import(self.span(c[0], c[1][-1]), tuple(c[1]))

    def import_name(self, c: list[Any]) -> s.ImportName:
        path = c[0]
        alias = c[2].value if len(c) == 3 else None
        last = c[2] if len(c) == 3 else path[-1]
        return s.ImportName(self.span(path[0], last), tuple(t.value for t in path), alias)

    def dotted(self, c: list[Any]) -> list[Token]:
        return [c[0]] if len(c) == 1 else [*c[0], c[2]]

    def first(self, c: list[Any]) -> Any:
        return c[0]

    kind = section_kind = part_keyword = first

    def definition(self, c: list[Any]) -> s.Definition:
        kind, name, params, states, (body, combine, plugs, last) = c
        return s.Definition(self.span(kind, last), kind.value, self.name_of(name), params, body, combine, plugs, states)

    def states(self, c: list[Any]) -> tuple[s.Name, ...]:
        return tuple(self.name_of(t) for t in c[1]) if c else ()

    def params(self, c: list[Any]) -> tuple[s.Param, ...]:
        return tuple(c[1]) if len(c) > 2 else ()

    def param(self, c: list[Any]) -> s.Param:
        kind = c[2].value if len(c) > 2 and c[1].type == "COLON" else None
        default = c[-1] if len(c) > 2 and c[-2].type == "ASSIGN" else None
        return s.Param(self.over(c), c[0].value, kind, default)

    def definition_body(self, c: list[Any]) -> tuple[Any, s.Name | None, tuple[s.Plug, ...], Any]:
        if len(c) == 1:
            statements, last = c[0]
            return tuple(statements), None, (), last
        if len(c) == 3:
            return c[1], None, tuple(c[2]), c[2][-1]
        combine = self.name_of(c[3]) if len(c) == 4 else None
        return c[1], combine, (), c[-1]

    plugs = grow

    def plug(self, c: list[Any]) -> s.Plug:
        sharing, where = c[4], c[5]
        last = where or sharing or c[3]
        return s.Plug(self.span(c[0], last), c[1], self.name_of(c[3]), sharing, where)

    def sharing(self, c: list[Any]) -> s.Name | None:
        return self.name_of(c[2]) if c else None

    def placement(self, c: list[Any]) -> s.Where | None:
        if not c:
            return None
        if isinstance(c[1], Token):
            start = c[4] if len(c) == 5 else None
            return s.Where(self.span(c[1], c[-1]), c[1].value, c[2] if len(c) > 2 else None, start)
        return s.Where(c[1].span, "bits", c[1])

    def block(self, c: list[Any]) -> tuple[list[s.Statement], Token]:
        return c[1], c[2]

    def section(self, c: list[Any]) -> s.Section:
        lines = [s.SettingLine(self.span(line[0], line[-1]), tuple(line)) for line in c[2]]
        return s.Section(self.over(c), c[0].value, tuple(lines))

    def setting(self, c: list[Any]) -> s.Setting:
        return s.Setting(self.over(c), c[0].value, c[1])

    # Statements

    def assign(self, c: list[Any]) -> s.Assign:
        return s.Assign(self.over(c), self.name_of(c[0]), c[2])

    def return_(self, c: list[Any]) -> s.Return:
        return s.Return(self.over(c), c[1])

    def require(self, c: list[Any]) -> s.Require:
        message = self.string([c[3]]) if len(c) == 4 else None
        return s.Require(self.over(c), c[1], message)

    def inputs(self, c: list[Any]) -> s.Inputs:
        return s.Inputs(self.span(c[0], c[1][-1]), tuple(c[1]))

    def nodes(self, c: list[Any]) -> s.Nodes:
        return s.Nodes(self.span(c[0], c[1][-1]), tuple(self.name_of(t) for t in c[1]))

    def edges(self, c: list[Any]) -> s.Edges:
        if len(c) == 2:
            return s.Edges(self.over(c), (c[1],), False)
        return s.Edges(self.over(c), tuple(c[2]), True)

    def edge(self, c: list[Any]) -> s.Edge:
        return s.Edge(self.over(c), self.name_of(c[0]), self.name_of(c[2]), c[4])

    def keep(self, c: list[Any]) -> s.Keep:
        return s.Keep(self.over(c), c[1], self.name_of(c[-1]))

    def part(self, c: list[Any]) -> s.Part:
        return s.Part(self.over(c), c[0].value, c[1])

    def cells(self, c: list[Any]) -> s.Cells:
        return s.Cells(self.span(c[0], c[3][-1]), c[1], tuple(c[3]))

    def placed(self, c: list[Any]) -> s.Placed:
        return s.Placed(self.over(c), c[0], c[2] if len(c) == 3 else None)

    def auxiliary(self, c: list[Any]) -> s.Auxiliary:
        return s.Auxiliary(self.over(c), c[1], c[3], c[5], c[7] if len(c) == 8 else None)

    # Expressions

    def joined(self, left: tuple[s.Expr, ...], right: s.Expr) -> tuple[s.Expr, ...]:
        """One more operand of a flat chain; a chain over the limit is reported once and cut."""
        most = limit("chain")
        if len(left) < most:
            return (*left, right)
        if not self.problems:
            self.problems.append(
                Diagnostic(
                    "G507",
                    f"more than {most} operands in one chain",
                    right.span,
                    help="name parts of it, or use `repeat(n, operation)`",
                    notes=(limit_note("chain"),),
                )
            )
        return left

    def if_(self, c: list[Any]) -> s.If:
        return s.If(self.over(c), c[1], c[3], c[5])

    def for_(self, c: list[Any]) -> s.For:
        return s.For(self.over(c), tuple(self.name_of(t) for t in c[1]), c[3], c[5])

    def bar(self, c: list[Any]) -> s.Alternatives:
        left = c[0].options if isinstance(c[0], s.Alternatives) else (c[0],)
        return s.Alternatives(self.over(c), self.joined(left, c[2]))

    def arrow(self, c: list[Any]) -> s.Pipeline:
        left = c[0].stages if isinstance(c[0], s.Pipeline) else (c[0],)
        return s.Pipeline(self.over(c), self.joined(left, c[2]))

    def infix(self, c: list[Any]) -> s.Infix:
        left, operator, right = c[0], c[1].value, c[2]
        if operator in _FLAT and isinstance(left, s.Infix) and left.operator == operator:
            return s.Infix(self.over(c), operator, self.joined(left.operands, right))
        return s.Infix(self.over(c), operator, (left, right))

    def prefix(self, c: list[Any]) -> s.Prefix:
        return s.Prefix(self.over(c), c[0].value, c[1])

    def call(self, c: list[Any]) -> s.Call:
        args = tuple(c[2]) if isinstance(c[2], list) else ()
        return s.Call(self.over(c), c[0], args)

    def arg(self, c: list[Any]) -> s.Arg:
        if len(c) == 1:
            return s.Arg(c[0].span, None, c[0])
        return s.Arg(self.over(c), c[0].value, c[2])

    def attribute(self, c: list[Any]) -> s.Attribute:
        return s.Attribute(self.over(c), c[0], c[2].value)

    def index(self, c: list[Any]) -> s.Index:
        return s.Index(self.over(c), c[0], c[2])

    def name(self, c: list[Any]) -> s.Name:
        return self.name_of(c[0])

    def slot(self, c: list[Any]) -> s.Slot:
        return s.Slot(self.over(c), c[1].value)

    def number(self, c: list[Any]) -> s.Number:
        text = c[0].value
        return s.Number(self.over(c), number_value(text), text)

    def string(self, c: list[Any]) -> s.String:
        return s.String(self.over(c), c[0].value[1:-1])

    def true(self, c: list[Any]) -> s.Bool:
        return s.Bool(self.over(c), True)

    def false(self, c: list[Any]) -> s.Bool:
        return s.Bool(self.over(c), False)

    def group(self, c: list[Any]) -> s.Expr:
        inner: s.Expr = c[1]
        return inner

    def tuple(self, c: list[Any]) -> s.Sequence:
        rest = c[3] if len(c) > 4 else []
        return s.Sequence(self.over(c), (c[1], *rest), False)

    def list(self, c: list[Any]) -> s.Sequence:
        return s.Sequence(self.over(c), tuple(c[1]) if len(c) > 2 else (), True)


def _is_separator(child: Any) -> bool:
    return isinstance(child, Token) and child.type in ("NEWLINE", "COMMA")


def number_value(text: str) -> int | Fraction:
    """`20k` is 20000, `3.5M` 3500000, `0.1` exactly one tenth; whole numbers come back as int."""
    scale = _SUFFIX.get(text[-1:], 1)
    value = Fraction(text[:-1] if scale > 1 else text) * scale
    return int(value) if value.denominator == 1 else value
