"""Expressions back to text, with no more brackets than needed."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from genolang.lang import syntax as s
from genolang.lang.comments import Comments
from genolang.lang.layout import (
    HARD,
    LINE,
    SOFT,
    Doc,
    IfBroken,
    align,
    bracket,
    concat,
    group,
    lay_out,
    nest,
)

_LEVELS = {"or": 3, "and": 4, "==": 6, "!=": 6, "<": 6, "<=": 6, ">": 6, ">=": 6, "+": 7, "-": 7,
           "*": 8, "/": 8, "//": 8, "%": 8}  # fmt: skip
_FLAT = {"+", "*", "and", "or"}
_COMPARISON = 6
_ATOM = 10
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
                return expr.id
            case s.Attribute():
                return concat(self.at_least(expr.base, _ATOM), f".{expr.name}")
            case s.Index():
                base = self.at_least(expr.base, _ATOM)
                index = (expr.index,)
                return concat(base, self.listed("[", index, self.expression, expr, "]", comma=""))
            case s.Call():
                callee = self.at_least(expr.callee, _ATOM)
                return concat(callee, self.listed("(", expr.args, self.arg, expr, ")"))
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

    def at_least(self, expr: s.Expr, minimum: int) -> Doc:
        """An expression, in brackets if it binds more loosely than its place asks for."""
        if level(expr) >= minimum:
            return self.expression(expr)
        comments = self.comments
        parts = [comments.breaking(comments.start(expr), SOFT), self.expression(expr)]
        parts += comments.lines(comments.take(comments.closing(expr)))
        return bracket("(", parts, ")")

    def arg(self, arg: s.Arg) -> Doc:
        value = self.expression(arg.value)
        return value if arg.name is None else concat(f"{arg.name}=", value)

    def listed(
        self, opening: str, nodes: tuple[N, ...], show: Callable[[N], Doc], whole: s.Node | None,
        closing: str, *, comma: Doc = IfBroken(","), fill: bool = False,
    ) -> Doc:  # fmt: skip
        """Nodes with commas in brackets, which end where `whole` ends."""
        comments = self.comments
        parts: list[Doc] = []
        for index, node in enumerate(nodes):
            line = (group(LINE) if fill else LINE) if index else SOFT
            broken = comments.breaking(comments.start(node), line)
            shown = show(node)
            if index:
                parts.append(",")
            parts += [group(broken, shown)] if fill and index else [broken, shown]
        if nodes:
            parts.append(comma)
        if whole is not None:
            parts += comments.lines(comments.take(comments.end(whole) - 1))
        return bracket(opening, parts, closing) if parts else opening + closing

    def sequence(self, expr: s.Sequence) -> Doc:
        opening, closing = ("[", "]") if expr.brackets else ("(", ")")
        single = len(expr.items) == 1 and not expr.brackets
        plain = all(isinstance(item, (s.Number, s.Name, s.Bool)) for item in expr.items)
        return self.listed(
            opening, expr.items, self.expression, expr, closing,
            comma="," if single else IfBroken(","), fill=plain,
        )  # fmt: skip

    def chain(self, parts: list[tuple[str, s.Expr]], minimum: int, *, first: int = -1,
              lead: str = "") -> Doc:  # fmt: skip
        """Operands with a sign before each but the first.

        A chain too long for a line keeps the lines into which its author grouped it; lines that are
        still too long are filled.
        """
        before = parts[0][1]
        docs: list[Doc] = [IfBroken(lead)] if lead else []
        docs.append(self.at_least(before, first if first >= 0 else minimum))
        by = 0 if lead else INDENT
        for sign, operand in parts[1:]:
            docs.append(self.link(sign, before, operand, minimum, by))
            before = operand
        return group(align(*docs))

    def link(self, sign: str, before: s.Expr, operand: s.Expr, minimum: int, by: int) -> Doc:
        comments = self.comments
        if level(operand) < minimum:
            # `x * (` ... `)`: the brackets break, and the comments before them move inside.
            return concat(f" {sign} ", self.at_least(operand, minimum))
        broken = comments.breaking(comments.start(operand), LINE)
        line = nest(broken, by=by)
        shown = self.at_least(operand, minimum)
        if broken is not LINE or comments.broken_between(before, operand):
            return concat(line, f"{sign} ", shown)
        return group(line, f"{sign} ", shown)

    def infix(self, expr: s.Infix) -> Doc:
        own = _LEVELS[expr.operator]
        operands = expr.operands
        if expr.operator == "/" and all(isinstance(o, s.Number) for o in operands):
            return "/".join(number_text(o) for o in operands if isinstance(o, s.Number))
        # Comparisons do not chain, so both sides bind tighter; of the others the left may be equal.
        first = own + 1 if own == _COMPARISON else own
        parts = [(expr.operator, operand) for operand in operands]
        while isinstance(left := parts[0][1], s.Infix) and _LEVELS[left.operator] == first:
            inner = [(left.operator, operand) for operand in left.operands]
            parts = [*inner, (parts[0][0], parts[1][1]), *parts[2:]] if len(parts) > 1 else inner
        return self.chain(parts, own + 1, first=first)

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
