"""Signs between expressions: numbers computed, feature maps and operations joined by layers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from genolang.diagnostics import Span
from genolang.lang import syntax as s
from genolang.primitives import PRIMITIVES
from genolang.semantics.expansion.arithmetic import arithmetic, folded
from genolang.semantics.expansion.builder import MapValue
from genolang.semantics.expansion.errors import problem
from genolang.semantics.expansion.frames import Frame
from genolang.semantics.expansion.layers import named_layer
from genolang.semantics.expansion.values import ForkOp, Op, describe, is_number

_NEUTRAL = {"+": 0, "*": 1}
_JOINS = {"+": "add", "-": "subtract", "*": "multiply", "/": "divide"}


def evaluate_prefix(expr: s.Prefix, frame: Frame) -> Any:
    if expr.operator == "not":
        return not frame.condition(expr.operand)
    value = frame.evaluate(expr.operand)
    if is_number(value):
        return -value
    if isinstance(value, (MapValue, Op)):
        return _maker(value, expr.span, frame)("multiply", [value], constant=-1)
    raise problem(
        frame, "G205", f"a sign stands before a number, a map or an operation, not {describe(value)}", expr.span
    )


def evaluate_infix(expr: s.Infix, frame: Frame) -> Any:
    if expr.operator in ("and", "or"):
        wanted = expr.operator == "or"
        return wanted == any(frame.condition(o) == wanted for o in expr.operands)
    values: list[Any] = []
    for operand in expr.operands:
        if expr.operator == "<" and isinstance(operand, s.Prefix) and values and isinstance(values[0], (MapValue, Op)):
            raise problem(
                frame,
                "G205",
                "`<` compares numbers, not operations or maps",
                expr.span,
                help="pipelines run to the right: `a -> b`",
            )
        values.append(frame.evaluate(operand))
    if any(isinstance(v, MapValue) for v in values):
        return _join_maps(expr, values, frame)
    if any(isinstance(v, Op) for v in values):
        if expr.operator in ("==", "!=") and all(isinstance(v, Op) for v in values):
            # The same definition (or primitive) with the same arguments.
            return bool((values[0] == values[1]) == (expr.operator == "=="))
        return _join_ops(expr, values, frame)
    for value in values:
        if isinstance(value, tuple):
            frame.measure(value, expr.span)
    return arithmetic(expr, values, frame)


def _join_maps(expr: s.Infix, values: list[Any], frame: Frame) -> MapValue:
    if expr.operator not in _JOINS:
        raise problem(
            frame,
            "G205",
            f"`{expr.operator}` compares numbers, not feature maps",
            expr.span,
            help="compare sizes: `a.H == b.H`",
        )
    for value, operand in zip(values, expr.operands, strict=True):
        if isinstance(value, Op):
            raise problem(
                frame,
                "G214",
                "an operation stands here without its input",
                operand.span,
                help=f"feed it: `(x -> {operand.span.text[:40]})`",
            )
    joined: MapValue = _joined(expr, values, MapValue, frame)
    return joined


def _join_ops(expr: s.Infix, values: list[Any], frame: Frame) -> ForkOp:
    if expr.operator not in _JOINS:
        raise problem(frame, "G205", f"`{expr.operator}` compares numbers, not operations", expr.span)
    joined: ForkOp = _joined(expr, values, Op, frame)
    return joined


def _joined(expr: s.Infix, values: list[Any], kind: type[MapValue | Op], frame: Frame) -> Any:
    """Maps or operations, and numbers, under a sign that joins them."""
    sign, span = expr.operator, expr.span
    operands = [value for value in values if isinstance(value, kind)]
    constants = [value for value in values if is_number(value)]
    for value, operand in zip(values, expr.operands, strict=True):
        if not isinstance(value, kind) and not is_number(value):
            raise problem(frame, "G205", f"`{sign}` does not take {describe(value)}", operand.span)
    make = _maker(operands[0], span, frame)
    if sign in _NEUTRAL:
        return make(_JOINS[sign], operands, constant=folded(expr, [_NEUTRAL[sign], *constants], frame))
    if not constants:
        return make(_JOINS[sign], operands)
    (number,), first = constants, not is_number(values[0])
    if sign == "-" and first:
        return make("add", operands, constant=-number)
    if sign == "-":
        return make("add", [make("multiply", operands, constant=-1)], constant=number)
    if not first:
        return make("multiply", [make("power", operands, exponent=-1)], constant=number)
    if number == 0:
        raise problem(frame, "G205", "nothing is divided by 0", expr.operands[1].span)
    folded(expr, [1, number], frame)
    return make("multiply", operands, constant=1 / number)


def _maker(like: MapValue | Op, span: Span, frame: Frame) -> Callable[..., Any]:
    """What joins maps by a layer, or operations by one that all of them lead into."""
    if isinstance(like, MapValue):
        return lambda name, maps, **attrs: named_layer(name, maps, frame, span, **attrs)
    return lambda name, ops, **attrs: ForkOp(span, PRIMITIVES[name], tuple(ops), tuple(attrs.items()))
