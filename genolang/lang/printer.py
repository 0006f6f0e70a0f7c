"""Expressions back to text, with no more brackets than needed."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from genolang.lang import syntax as s
from genolang.lang.comments import Comments
from genolang.lang.documents import (
    INDENT,
    LINE,
    SOFT,
    Doc,
    IfBroken,
    align,
    bracket,
    concat,
    group,
    lay_out,
    link,
    nest,
)

_LEVELS = {
    "or": 3,
    "and": 4,
    "==": 6,
    "!=": 6,
    "<": 6,
    "<=": 6,
    ">": 6,
    ">=": 6,
    "+": 7,
    "-": 7,
    "*": 8,
    "/": 8,
    "//": 8,
    "%": 8,
}
_COMPARISON = 6
_ATOM = 10
# How tightly an expression binds at least where the grammar asks for a pipeline, for a sum, for brackets.
PIPELINE, SUM, BRACKETED = 2, 7, 11
# After these words a line goes on, so one that is a name may not end it without a bracket.
_JOINING = frozenset(("then", "else", "and", "or", "not", "of", "in"))
_COMMA = IfBroken(",")
_ONE_LINE = 1 << 60
N = TypeVar("N", bound=s.Node)


def level(expr: s.Expr) -> int:
    """How tightly an expression binds: a looser one needs brackets inside a tighter one."""
    match expr:
        case s.If() | s.For():
            return 0
        case s.Alternatives():
            return 1
        case s.Pipeline():
            return 2
        case s.Infix():
            return _LEVELS[expr.operator]
        case s.Prefix():
            return 5 if expr.operator == "not" else 9
        case _:
            return _ATOM


def print_expression(expr: s.Expr) -> str:
    """The one canonical form of an expression, on one line."""
    lines = lay_out(Printer(Comments()).expression(expr), width=_ONE_LINE)
    return lines[0].text


def number_text(number: s.Number) -> str:
    """As written, in lower case `e`, with a digit before the point."""
    text = number.text.replace("E", "e")
    return f"0{text}" if text.startswith(".") else text


class Printer:
    """Expressions as documents; their comments come along where a line may end."""

    def __init__(self, comments: Comments) -> None:
        self.comments = comments

    def expression(self, expr: s.Expr) -> Doc:
        match expr:
            case s.Number():
                return number_text(expr)
            case s.String():
                return f'"{expr.value}"'
            case s.Bool():
                return "true" if expr.value else "false"
            case s.Name():
                return f"({expr.id})" if expr.id in _JOINING else expr.id
            case s.Attribute():
                base = self.at_least(expr.base, _ATOM)
                if expr.name in _JOINING:
                    return concat("(", base, f".{expr.name})")
                return concat(base, f".{expr.name}")
            case s.Index():
                base = self.at_least(expr.base, _ATOM)
                index, end = (expr.index,), self.comments.end(expr) - 1
                return concat(base, self.listed("[", index, self.expression, end, "]", comma=""))
            case s.Call():
                callee, end = self.at_least(expr.callee, _ATOM), self.comments.end(expr) - 1
                return concat(callee, self.listed("(", expr.args, self.arg, end, ")"))
            case s.Sequence():
                return self.sequence(expr)
            case s.Pipeline():
                stages = expr.stages
                if isinstance(stages[0], s.Pipeline):
                    stages = stages[0].stages + stages[1:]
                return self.chain([("->", stage) for stage in stages], 3)
            case s.Alternatives():
                options = expr.options
                if isinstance(options[0], s.Alternatives):
                    options = options[0].options + options[1:]
                return self.chain([("|", option) for option in options], 2, lead="  ")
            case s.Infix():
                return self.infix(expr)
            case s.Prefix():
                word = "not " if expr.operator == "not" else expr.operator
                return concat(word, self.at_least(expr.operand, level(expr)))
            case s.If():
                return self.if_(expr)
            case s.For():
                return self.for_(expr)
            case s.Slot():
                return f"slot {expr.name}"

    def at_least(self, expr: s.Expr, minimum: int) -> Doc:
        """An expression, in brackets if it binds more loosely than its place asks for."""
        if level(expr) >= minimum:
            return self.expression(expr)
        comments = self.comments
        parts = [comments.breaking(comments.start(expr), SOFT), self.expression(expr)]
        parts += comments.lines(comments.take(comments.brackets(expr)[1]))
        return bracket("(", parts, ")")

    def arg(self, arg: s.Arg) -> Doc:
        value = self.expression(arg.value)
        return value if arg.name is None else concat(f"{arg.name}=", value)

    def listed(
        self,
        opening: str,
        nodes: tuple[N, ...],
        show: Callable[[N], Doc],
        end: int,
        closing: str,
        *,
        comma: Doc = _COMMA,
        fill: bool = False,
    ) -> Doc:
        """Nodes with commas in brackets, of which the closing one stands at `end`."""
        comments = self.comments
        parts: list[Doc] = []
        for index, node in enumerate(nodes):
            line = comments.breaking(comments.start(node), LINE if index else SOFT)
            shown = show(node)
            if index:
                parts += [",", group(line, shown) if fill else concat(line, shown)]
            else:
                parts += [line, shown]
        inside = comments.lines(comments.take(end))
        if len(parts) == 2 and parts[0] is SOFT and not inside and _is_list(nodes[0]):
            # One list alone: its own brackets break, as in `f([` ... `])`.
            return concat(opening, parts[1], closing)
        if nodes:
            parts.append(comma)
        parts += inside
        return bracket(opening, parts, closing) if parts else opening + closing

    def sequence(self, expr: s.Sequence) -> Doc:
        opening, closing = ("[", "]") if expr.brackets else ("(", ")")
        single = len(expr.items) == 1 and not expr.brackets
        plain = all(isinstance(item, (s.Number, s.Name, s.Bool)) for item in expr.items)
        return self.listed(
            opening,
            expr.items,
            self.expression,
            self.comments.end(expr) - 1,
            closing,
            comma="," if single else _COMMA,
            fill=plain,
        )

    def chain(self, parts: list[tuple[str, s.Expr]], minimum: int, lead: str = "") -> Doc:
        """Operands with a sign before each but the first.

        A chain too long for a line keeps the lines into which its author grouped it; lines that are
        still too long are filled.
        """
        before = parts[0][1]
        docs: list[Doc] = [IfBroken(lead), self.at_least(before, minimum)]
        for sign, operand in parts[1:]:
            docs.append(self.link(sign, before, operand, minimum, 0 if lead else INDENT))
            before = operand
        return group(align(*docs))

    def link(self, sign: str, before: s.Expr, operand: s.Expr, minimum: int, by: int) -> Doc:
        comments = self.comments
        place = comments.start(operand)
        if level(operand) < minimum:
            place = comments.brackets(operand)[0]
        broken = comments.breaking(place, LINE)
        shown = concat(f"{sign} ", self.at_least(operand, minimum))
        if broken is not LINE or comments.broken_between(before, operand):
            return nest(broken, shown, by=by)
        return link(shown, by=by)

    def infix(self, expr: s.Infix) -> Doc:
        own = _LEVELS[expr.operator]
        if expr.operator == "/" and all(isinstance(o, s.Number) for o in expr.operands):
            return "/".join(number_text(o) for o in expr.operands if isinstance(o, s.Number))
        # Comparisons do not chain; other signs of one level read from left to right.
        backwards: list[tuple[str, s.Expr]] = []
        left: s.Expr = expr
        while isinstance(left, s.Infix) and _LEVELS[left.operator] == own:
            first, *others = left.operands
            backwards += [(left.operator, operand) for operand in reversed(others)]
            left = first
            if own == _COMPARISON:
                break
        return self.chain([("", left), *reversed(backwards)], own + 1)

    def if_(self, expr: s.If) -> Doc:
        """`if a then b`, `else if c then d`, `else e`: broken, each on a line of its own."""
        comments = self.comments
        docs: list[Doc] = []
        current: s.Expr = expr
        word = "if "
        while isinstance(current, s.If):
            docs += [word, self.at_least(current.condition, 1)]
            line = comments.breaking(comments.start(current.then), LINE)
            docs.append(group(nest(line, "then ", self.expression(current.then))))
            current = current.otherwise
            line = comments.breaking(comments.start(current), LINE)
            docs.append(line)
            word = "else if "
        return group(align(*docs, "else ", self.expression(current)))

    def for_(self, expr: s.For) -> Doc:
        comments = self.comments
        names = ", ".join(n.id for n in expr.names)
        line = comments.breaking(comments.start(expr.values), LINE)
        head: Doc = f"for {names} in "
        if line is not LINE:
            head = concat(f"for {names} in", nest(line))
        values = self.at_least(expr.values, 1)
        line = comments.breaking(comments.start(expr.body), LINE)
        body = group(nest(line, self.expression(expr.body)))
        return group(align(head, values, " :", body))


def _is_list(node: s.Node) -> bool:
    return isinstance(node, s.Arg) and isinstance(node.value, s.Sequence)
