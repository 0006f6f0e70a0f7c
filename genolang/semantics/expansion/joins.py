"""Signs between expressions: numbers computed, feature maps and operations joined by layers."""

from __future__ import annotations

from typing import Any

from genolang.lang import syntax as s
from genolang.primitives import PRIMITIVES
from genolang.semantics.expansion.arithmetic import arithmetic, folded
from genolang.semantics.expansion.builder import MapValue
from genolang.semantics.expansion.errors import problem
from genolang.semantics.expansion.frames import Frame
from genolang.semantics.expansion.layers import named_layer
from genolang.semantics.expansion.values import Args, ForkOp, Op, describe, is_number

_NEUTRAL = {"+": 0, "*": 1}
_JOINS = {"+": "add", "-": "subtract", "*": "multiply", "/": "divide"}


def evaluate_prefix(expr: s.Prefix, frame: Frame) -> Any:
    if expr.operator == "not":
        return not frame.condition(expr.operand)
    value = frame.evaluate(expr.operand)
    if is_number(value):
        return -value
    if isinstance(value, MapValue):
        return named_layer("multiply", [value], frame, expr.span, constant=-1)
    raise problem(frame, "G205", f"a sign stands before a number, not {describe(value)}", expr.span)


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
    sign, span = expr.operator, expr.span
    if sign not in _JOINS:
        raise problem(
            frame, "G205", f"`{sign}` compares numbers, not feature maps", span, help="compare sizes: `a.H == b.H`"
        )
    maps: list[MapValue] = []
    constants: list[Any] = []
    for value, operand in zip(values, expr.operands, strict=True):
        if isinstance(value, Op):
            raise problem(
                frame,
                "G214",
                "an operation stands here without its input",
                operand.span,
                help=f"feed it: `(x -> {operand.span.text[:40]})`",
            )
        if isinstance(value, MapValue):
            maps.append(value)
        elif is_number(value):
            constants.append(value)
        else:
            raise problem(frame, "G205", f"`{sign}` does not take {describe(value)}", operand.span)
    if sign in _NEUTRAL:
        constant = folded(expr, [_NEUTRAL[sign], *constants], frame)
        return named_layer(_JOINS[sign], maps, frame, span, constant=constant)
    if not constants:
        return named_layer(_JOINS[sign], maps, frame, span)
    # map - number, number - map, map / number; number / map has no use here.
    number, first = constants[0], isinstance(values[0], MapValue)
    if sign == "-":
        if first:
            return named_layer("add", maps, frame, span, constant=-number)
        negative = named_layer("multiply", maps, frame, span, constant=-1)
        return named_layer("add", [negative], frame, span, constant=number)
    if not first or number == 0:
        raise problem(frame, "G205", "a number is not divided by a feature map, nor a map by 0", span)
    folded(expr, [1, number], frame)
    return named_layer("multiply", maps, frame, span, constant=1 / number)


def _join_ops(expr: s.Infix, values: list[Any], frame: Frame) -> ForkOp:
    sign = expr.operator
    if sign not in _JOINS:
        raise problem(frame, "G205", f"`{sign}` compares numbers, not operations", expr.span)
    ops: list[Op] = []
    constants = []
    for value, operand in zip(values, expr.operands, strict=True):
        if isinstance(value, Op):
            ops.append(value)
        elif is_number(value) and sign in _NEUTRAL:
            constants.append(value)
        else:
            raise problem(frame, "G205", f"`{sign}` does not take {describe(value)} here", operand.span)
    args: Args = ()
    if sign in _NEUTRAL:
        args = (("constant", folded(expr, [_NEUTRAL[sign], *constants], frame)),)
    return ForkOp(expr.span, PRIMITIVES[_JOINS[sign]], tuple(ops), args)
