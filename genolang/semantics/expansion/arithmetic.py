"""Compile-time numbers: exact (whole numbers and fractions), so that sizes never round by accident."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any

from genolang.diagnostics import Span
from genolang.lang import syntax as s
from genolang.semantics.expansion.errors import Site, problem
from genolang.semantics.expansion.values import describe, is_number

MAX_MAGNITUDE = 10**15
MAX_DENOMINATOR = 10**40


def _divided(a: Any, b: Any) -> Any:
    return a / b if isinstance(a, float) or isinstance(b, float) else Fraction(a) / Fraction(b)


_STEPS: dict[str, Callable[[Any, Any], Any]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": _divided,
    "//": operator.floordiv,
    "%": operator.mod,
}
_COMPARE = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def simplify(value: Any) -> Any:
    """A fraction that is whole, as an int."""
    if isinstance(value, Fraction) and value.denominator == 1:
        return int(value)
    return value


def arithmetic(expr: s.Infix, values: list[Any], site: Site) -> Any:
    """The value of an infix expression over compile-time values."""
    sign = expr.operator
    if sign in _COMPARE:
        return _compare(expr, values, site)
    if sign == "+" and all(isinstance(v, tuple) for v in values):
        return tuple(item for value in values for item in value)
    for value, operand in zip(values, expr.operands, strict=True):
        if not is_number(value):
            raise problem(site, "G205", f"`{sign}` does not take {describe(value)}", operand.span)
    return folded(expr, values, site)


def folded(expr: s.Infix, values: Sequence[Any], site: Site) -> Any:
    """Numbers joined from left to right by the sign of an expression. Errors: G207, G209."""
    sign, result = expr.operator, values[0]
    for value in values[1:]:
        if sign in ("/", "//", "%") and value == 0:
            raise problem(site, "G209", f"division by zero: `{expr.span.text[:60]}`", expr.span)
        result = _STEPS[sign](result, value)
        if abs(result) > MAX_MAGNITUDE:
            raise problem(site, "G207", f"`{expr.span.text[:40]}` is a number beyond 1e15", expr.span)
        if isinstance(result, Fraction) and result.denominator > MAX_DENOMINATOR:
            raise problem(
                site,
                "G207",
                f"`{expr.span.text[:40]}` is a fraction too fine to be exact",
                expr.span,
                help="round it: `floor`, `ceil`, `round` or `//`",
            )
    return simplify(result)


def _compare(expr: s.Infix, values: list[Any], site: Site) -> bool:
    a, b = values
    comparable = (is_number(a) and is_number(b)) or (
        expr.operator in ("==", "!=") and type(a) is type(b) and isinstance(a, (str, bool, tuple))
    )
    if not comparable:
        raise problem(site, "G205", f"{describe(a)} and {describe(b)} cannot be compared", expr.span)
    return bool(_COMPARE[expr.operator](a, b))


def whole(value: Any, span: Span, site: Site, *, minimum: int = 1) -> int:
    """A whole number of at least `minimum`. Errors: G205, G206, G207."""
    if not is_number(value):
        raise problem(site, "G205", f"a whole number is needed here, not {describe(value)}", span)
    value = simplify(value)
    if not isinstance(value, int):
        shown = f"{value} = {float(value):g}" if isinstance(value, Fraction) else f"{value:g}"
        raise problem(
            site,
            "G206",
            f"a whole number is needed here, not {shown}",
            span,
            help="`//` divides and rounds down: `max(1, C // r)`",
        )
    if value < minimum:
        raise problem(site, "G207", f"at least {minimum} is needed here, not {value}", span)
    return value
