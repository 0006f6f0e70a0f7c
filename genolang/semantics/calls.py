"""Calls: of primitives, definitions, choices, networks, and of functions over numbers."""

from __future__ import annotations

from typing import Any

from genolang.lang import syntax as s
from genolang.lang.limits import limit, limit_note
from genolang.semantics.arguments import bind_definition, bind_primitive
from genolang.semantics.arithmetic import NUMERIC_FUNCTIONS, whole
from genolang.semantics.choices import ChoiceEvaluator
from genolang.semantics.expand import Function
from genolang.semantics.frames import Frame, problem
from genolang.semantics.values import (
    ChoiceOp,
    DefinedOp,
    ForkOp,
    MapValue,
    NetworkValue,
    PipeOp,
    PrimitiveOp,
    describe,
    is_number,
    is_op,
)


class CallEvaluator(ChoiceEvaluator):
    """The evaluator with calls."""

    def eval_call(self, expr: s.Call, frame: Frame) -> Any:
        callee = self.evaluate(expr.callee, frame)
        if isinstance(callee, PrimitiveOp):
            return self.call_primitive(callee, expr, frame)
        args = [(a.name, self.evaluate(a.value, frame), a) for a in expr.args]
        if isinstance(callee, Function):
            return self.call_function(callee.name, expr, args, frame)
        if isinstance(callee, ChoiceOp):
            return self.call_choice(expr, args, frame)
        maps = [a for a in args if a[0] is None and isinstance(a[1], MapValue)]
        if isinstance(callee, NetworkValue):
            return self.call_network(callee, args, expr, frame)
        if isinstance(callee, DefinedOp):
            rest = [a for a in args if a not in maps]
            bound = bind_definition(self, callee.ref, callee.args, rest, expr.span, frame)
            op = DefinedOp(callee.ref, bound, expr.span)
            if not maps:
                return op
            return self.apply_maps(op, [m[1] for m in maps], frame, expr.span)
        if is_op(callee) and len(maps) == 1 and len(args) == 1:
            return self.apply(callee, maps[0][1], frame, expr.span)
        if is_op(callee):
            raise problem(frame, "G215", "an operation is called with one feature map", expr.span,
                          help="write `operation(x)` or `x -> operation`")  # fmt: skip
        raise problem(frame, "G208", f"{describe(callee)} cannot be called", expr.callee.span)

    def call_network(
        self, callee: NetworkValue, args: list[Any], expr: s.Call, frame: Frame
    ) -> NetworkValue:
        """What a network that stands for another has no parameter for is meant for the other."""
        own = {p.name for p in callee.ref.value_params}
        alias = not isinstance(callee.ref.syntax.body, tuple)
        through = [a for a in args if alias and a[0] is not None and a[0] not in own]
        mine = [a for a in args if a not in through]
        kept = tuple((k, v) for k, v in callee.args if k in own)
        bound = dict(bind_definition(self, callee.ref, kept, mine, expr.span, frame))
        bound |= {k: v for k, v in callee.args if k not in own}
        return NetworkValue(callee.ref, tuple({**bound, **{k: v for k, v, _ in through}}.items()), expr.span)

    def call_primitive(self, callee: PrimitiveOp, expr: s.Call, frame: Frame) -> Any:
        name = callee.primitive.name
        if name == "max" and isinstance(expr.callee, s.Name):
            # `max(channels)` is over an axis, `max(channels, 2)` of a number that is called so.
            first = self.evaluate(expr.args[0].value, frame) if len(expr.args) > 1 else None
            if is_number(first) or isinstance(first, tuple):
                args = [(a.name, self.evaluate(a.value, frame), a) for a in expr.args]
                return self.call_function("max", expr, args, frame)
        operands, bound = bind_primitive(self, callee, expr, frame)
        if not operands:
            return PrimitiveOp(callee.primitive, bound, expr.span)
        if all(isinstance(o, MapValue) for o in operands):
            return self.apply_primitive(
                PrimitiveOp(callee.primitive, bound, expr.span), operands, frame, expr.span
            )
        for operand, arg in zip(operands, expr.args, strict=False):
            if isinstance(operand, MapValue):
                raise problem(frame, "G214", "feature maps and operations without input are mixed here",
                              arg.span, help="feed every operation: `x -> ...`")  # fmt: skip
        return ForkOp(callee.primitive, tuple(operands), bound, expr.span)

    def call_function(self, name: str, expr: s.Call, args: list[Any], frame: Frame) -> Any:
        values = [value for _, value, _ in args]
        if name == "repeat":
            if len(values) != 2 or not is_op(values[1]):
                raise problem(frame, "G205", "`repeat` takes a number and an operation", expr.span,
                              help="`repeat(3, unit)`")  # fmt: skip
            count = whole(values[0], expr.args[0].span, frame, minimum=0)
            if count > limit("repeat"):
                raise problem(frame, "G507", f"`repeat` runs at most {limit('repeat')} times, not {count}",
                              expr.span, notes=(limit_note("repeat"),))  # fmt: skip
            return PipeOp((values[1],) * count, expr.span)
        bad = next((a for a in args if a[0] is not None or not (is_number(a[1]) or isinstance(a[1], tuple))),
                   None)  # fmt: skip
        if bad is not None:
            raise problem(frame, "G205", f"`{name}` computes with numbers, not with {describe(bad[1])}",
                          bad[2].span)  # fmt: skip
        try:
            return NUMERIC_FUNCTIONS[name](*values)
        except (TypeError, ValueError, OverflowError):
            raise problem(frame, "G205", f"`{name}` does not take these arguments", expr.span) from None
