"""Calls: of primitives, definitions, choices, networks, and of functions over numbers."""

from __future__ import annotations

from typing import Any

from genolang.lang import syntax as s
from genolang.lang.limits import limit, limit_note
from genolang.semantics.expansion.arguments import Given, bind_definition, bind_primitive
from genolang.semantics.expansion.arithmetic import whole
from genolang.semantics.expansion.builder import MapValue
from genolang.semantics.expansion.choices import call_choice
from genolang.semantics.expansion.definitions import call_definition
from genolang.semantics.expansion.errors import problem
from genolang.semantics.expansion.frames import Frame
from genolang.semantics.expansion.layers import add_layer
from genolang.semantics.expansion.values import (
    ChoiceOp,
    DefinedOp,
    ForkOp,
    Function,
    NetworkValue,
    Op,
    PipeOp,
    PrimitiveOp,
    describe,
    is_number,
)
from genolang.semantics.functions import NUMERIC_FUNCTIONS


def evaluate_call(expr: s.Call, frame: Frame) -> Any:
    callee = frame.evaluate(expr.callee)
    if isinstance(callee, PrimitiveOp):
        return _call_primitive(callee, expr, frame)
    args = _evaluated(expr, frame)
    match callee:
        case Function():
            return _call_function(callee.name, expr, args, frame)
        case NetworkValue():
            return _call_network(callee, args, expr, frame)
    maps = [value for name, value, _ in args if name is None and isinstance(value, MapValue)]
    if isinstance(callee, ChoiceOp) and (len(maps) != 1 or len(args) > 1):
        rest = [a for a in args if a[0] is not None or not isinstance(a[1], MapValue)]
        choice = call_choice(expr, rest if len(maps) == 1 else args, frame)
        return frame.apply(choice, maps[0]) if len(maps) == 1 else choice
    if isinstance(callee, DefinedOp):
        rest = [a for a in args if a[0] is not None or not isinstance(a[1], MapValue)] if maps else args
        op = DefinedOp(expr.span, callee.ref, bind_definition(callee.ref, callee.args, rest, frame))
        return call_definition(op, maps, frame) if maps else op
    if isinstance(callee, Op):
        if len(maps) == len(args) == 1:
            return frame.apply(callee, maps[0])
        raise problem(
            frame,
            "G215",
            "an operation is called with one feature map",
            expr.span,
            help="write `operation(x)` or `x -> operation`",
        )
    raise problem(frame, "G208", f"{describe(callee)} cannot be called", expr.callee.span)


def _evaluated(expr: s.Call, frame: Frame) -> list[Given]:
    return frame.each(expr.args, lambda arg: (arg.name, frame.evaluate(arg.value), arg))


def _call_network(callee: NetworkValue, args: list[Given], expr: s.Call, frame: Frame) -> NetworkValue:
    """What a network that stands for another has no parameter for is meant for the other."""
    own = {p.name for p in callee.ref.value_params}
    alias = not isinstance(callee.ref.syntax.body, tuple)
    through = {name: value for name, value, _ in args if alias and name is not None and name not in own}
    mine = [arg for arg in args if arg[0] not in through]
    kept = tuple((k, v) for k, v in callee.args if k in own)
    bound = dict(bind_definition(callee.ref, kept, mine, frame))
    bound |= {k: v for k, v in callee.args if k not in own}
    return NetworkValue(expr.span, callee.ref, tuple((bound | through).items()))


def _call_primitive(callee: PrimitiveOp, expr: s.Call, frame: Frame) -> Any:
    name = callee.primitive.name
    if name == "max" and isinstance(expr.callee, s.Name):
        # `max(channels)` is over an axis, `max(channels, 2)` of a number that is called so.
        first = frame.evaluate(expr.args[0].value) if len(expr.args) > 1 else None
        if is_number(first) or isinstance(first, tuple):
            return _call_function("max", expr, _evaluated(expr, frame), frame)
    operands, bound = bind_primitive(callee, expr, frame)
    if not operands:
        return PrimitiveOp(expr.span, callee.primitive, bound)
    if all(isinstance(o, MapValue) for o in operands):
        return add_layer(PrimitiveOp(expr.span, callee.primitive, bound), operands, frame)
    for operand, arg in zip(operands, expr.args, strict=False):
        if isinstance(operand, MapValue):
            raise problem(
                frame,
                "G214",
                "feature maps and operations without input are mixed here",
                arg.span,
                help="feed every operation: `x -> ...`",
            )
    return ForkOp(expr.span, callee.primitive, tuple(operands), bound)


def _call_function(name: str, expr: s.Call, args: list[Given], frame: Frame) -> Any:
    values = [value for _, value, _ in args]
    if name == "repeat":
        if len(values) != 2 or not isinstance(values[1], Op):
            raise problem(
                frame, "G205", "`repeat` takes a number and an operation", expr.span, help="`repeat(3, unit)`"
            )
        count = whole(values[0], expr.args[0].span, frame, minimum=0)
        if count > limit("repeat"):
            raise problem(
                frame,
                "G507",
                f"`repeat` runs at most {limit('repeat')} times, not {count}",
                expr.span,
                notes=(limit_note("repeat"),),
            )
        return PipeOp(expr.span, (values[1],) * count)
    for called, value, arg in args:
        if called is not None or not (is_number(value) or isinstance(value, tuple)):
            raise problem(frame, "G205", f"`{name}` computes with numbers, not with {describe(value)}", arg.span)
    try:
        return NUMERIC_FUNCTIONS[name](*values)
    except (TypeError, ValueError, OverflowError):
        raise problem(frame, "G205", f"`{name}` does not take these arguments", expr.span) from None
