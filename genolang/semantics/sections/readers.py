"""Readers of single settings: numbers, words, calls. Errors: G501 to G504, each at its words."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Any

from genolang.diagnostics import GenoError, did_you_mean, fail
from genolang.lang import syntax as s
from genolang.semantics.settings import NetworkChoice

Read = Callable[[s.Expr], Any]


def bad(expr: s.Expr, wanted: str, example: str) -> GenoError:
    return fail(
        "G503", f"{wanted} is needed here, not `{expr.span.text[:50]}`", expr.span, help=f"for example {example}"
    )


def number(expr: s.Expr) -> float | int | Fraction:
    if isinstance(expr, s.Number):
        return expr.value
    if isinstance(expr, s.Prefix) and expr.operator == "-":
        return -number(expr.operand)
    if isinstance(expr, s.Infix) and expr.operator == "/":
        below = number(expr.operands[1])
        if below != 0:
            return Fraction(number(expr.operands[0])) / Fraction(below)
    raise bad(expr, "a number", "0.025")


def as_float(value: float | int | Fraction) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.inf


def real(low: float, high: float, *, open_low: bool = False) -> Read:
    def read(expr: s.Expr) -> float:
        value = as_float(number(expr))
        if not low <= value <= high or (open_low and value == low):
            raise fail("G503", f"{value:g} is outside of {low:g} to {high:g}", expr.span)
        return value

    return read


def count(low: int, high: int = 10**9) -> Read:
    def read(expr: s.Expr) -> int:
        value = number(expr)
        if not isinstance(value, int) or not low <= value <= high:
            raise fail(
                "G503", f"a whole number from {low} to {high} is needed here, not `{expr.span.text[:50]}`", expr.span
            )
        return value

    return read


def flag(expr: s.Expr) -> bool:
    if isinstance(expr, s.Bool):
        return expr.value
    raise bad(expr, "true or false", "`true`")


def word(*options: str) -> Read:
    def read(expr: s.Expr) -> str:
        name = expr.id if isinstance(expr, s.Name) else None
        if name in options:
            return str(name)
        listed = " or ".join(f"`{o}`" for o in options)
        raise fail("G503", f"{listed} is needed here", expr.span, help=did_you_mean(name or "", options))

    return read


def items(expr: s.Expr) -> tuple[s.Expr, ...]:
    return expr.items if isinstance(expr, s.Sequence) else (expr,)


def arguments(expr: s.Call, names: tuple[str, ...]) -> dict[str, s.Expr]:
    """Arguments of a setting's call by name."""
    found: dict[str, s.Expr] = {}
    free = list(names)
    for arg in expr.args:
        name = arg.name or (free[0] if free else None)
        if name is None or name not in names:
            raise fail(
                "G501",
                f"no argument `{arg.name or arg.value.span.text[:40]}` here",
                arg.span,
                help=did_you_mean(arg.name or "", names) or f"it takes {', '.join(names)}",
            )
        if name in found:
            raise fail("G502", f"`{name}` is given twice", arg.span)
        found[name] = arg.value
        free = [n for n in free if n != name]
    return found


def callee(expr: s.Expr, table: Mapping[str, Any], what: str) -> tuple[str, s.Call]:
    if isinstance(expr, s.Name):
        expr = s.Call(expr.span, expr, ())
    if not isinstance(expr, s.Call) or not isinstance(expr.callee, s.Name):
        raise bad(expr, f"a {what}", f"`{next(iter(table))}(...)`")
    name = expr.callee.id
    if name not in table:
        raise fail(
            "G504",
            f"there is no {what} called `{name[:40]}`",
            expr.callee.span,
            help=did_you_mean(name, table) or f"there are {', '.join(table)}",
        )
    return name, expr


def network(expr: s.Expr) -> NetworkChoice:
    """A network by its name, with some of its parameters where it is called."""
    call = expr if isinstance(expr, s.Call) else s.Call(expr.span, expr, ())
    if not isinstance(call.callee, s.Name):
        raise bad(expr, "a network of this file", "`supernet` or `supernet(channels=36)`")
    return NetworkChoice(call.callee.id, tuple((name, _text(value)) for name, value in named_arguments(call).items()))


def _text(expr: s.Expr) -> str:
    """An expression on one line, without comments."""
    text = expr.span.text
    if "\n" not in text:
        return text
    from genolang.lang.printer import print_expression

    return print_expression(expr)


def named_arguments(call: s.Call) -> dict[str, s.Expr]:
    """Arguments of a setting's call, which all say their names."""
    found: dict[str, s.Expr] = {}
    for arg in call.args:
        if arg.name is None:
            raise fail("G503", "what is given here says its name", arg.span, help="`name=value`")
        if arg.name in found:
            raise fail("G502", f"`{arg.name}` is given twice", arg.span)
        found[arg.name] = arg.value
    return found
