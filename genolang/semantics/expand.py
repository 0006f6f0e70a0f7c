"""Expressions and definitions to blocks: the evaluator of the language.

It is total: repetition is over compile-time numbers with a limit, recursion has a depth limit, and
every operation is expanded once per set of arguments and input shapes.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from genolang.diagnostics import Label, Span, did_you_mean
from genolang.lang import syntax as s
from genolang.lang.limits import limit, limit_note
from genolang.primitives import PRIMITIVES
from genolang.semantics.arithmetic import NUMERIC_FUNCTIONS, arithmetic, folded
from genolang.semantics.frames import POISON, Expansion, Frame, Poisoned, Use, problem
from genolang.semantics.modules import Module, core_names
from genolang.semantics.names import names_in_scope
from genolang.semantics.reach import holds_choice, names_of
from genolang.semantics.values import (
    ChoiceOp,
    DefinedOp,
    DefinitionRef,
    ForkOp,
    MapValue,
    NetworkValue,
    Op,
    PipeOp,
    PrimitiveOp,
    SlotOp,
    describe,
    is_number,
    is_op,
    size_of,
)

# Expressions that put values together.
_MAKERS = (s.Sequence, s.Infix, s.Pipeline, s.For, s.Call, s.Alternatives)
MAX_DEPTH = 40
_NEUTRAL = {"+": 0, "*": 1}
_JOINS = {"+": "add", "-": "subtract", "*": "multiply", "/": "divide"}


class ModuleValue:
    """An import alias, or `core`, in front of a dot."""

    def __init__(self, module: Module | None) -> None:
        self.module = module


class Function:
    """A function over compile-time numbers, or `repeat`."""

    def __init__(self, name: str) -> None:
        self.name = name


class Evaluator:
    """Evaluates expressions in a frame; `Applier` (a subclass) puts operations to maps."""

    def __init__(self, expansion: Expansion) -> None:
        self.expansion = expansion

    def evaluate(self, expr: s.Expr, frame: Frame) -> Any:
        budget = self.expansion.budget
        budget.left -= 1
        if budget.left < 0:
            budget.spend(0, frame, expr.span)
        kind = type(expr)
        value = getattr(self, "eval_" + kind.__name__.lower())(expr, frame)
        if kind in _MAKERS and (isinstance(value, tuple) or is_op(value)):
            self.measure(value, expr.span, frame)
        return value

    def measure(self, value: Any, span: Span, frame: Frame) -> None:
        """Pay for a value made of others; one that doubles again and again is refused."""
        size = size_of(value)
        self.expansion.budget.spend(size // 8, frame, span)
        if size > limit("parts"):
            raise problem(frame, "G507", f"a value of more than {limit('parts'):,} parts", span,
                          help="repeat less, or split it into definitions",
                          notes=(limit_note("parts"),))  # fmt: skip

    # Names

    def eval_name(self, expr: s.Name, frame: Frame) -> Any:
        name = expr.id
        if name in frame.names:
            value = frame.names[name]
            if value is POISON:
                raise Poisoned
            return self.spread(expr, value, frame) if frame.edge is not None else value
        if frame.main is not None and name in "xCHW":
            return frame.main if name == "x" else getattr(frame.main.type, name)
        if name == "searching":
            return self.expansion.searching
        return self.global_name(name, expr.span, frame)

    def spread(self, expr: s.Name, value: Any, frame: Frame) -> Any:
        """A name on an edge: choices of a parameter's default are decided for each edge apart."""
        if frame.defaults is None or expr.id not in frame.defaults:
            return value
        ref, default, bound = frame.defaults[expr.id]
        self.expansion.spread.setdefault((ref, expr.id), expr.span)
        here = frame.inside(expr.span)
        return self.evaluate(default, replace(bound, edge=frame.edge, within=here.within))

    def global_name(self, name: str, span: Span, frame: Frame) -> Any:
        found = frame.module.lookup(name)
        if len(found) > 1:
            files = " and ".join(ref.module.source.name for ref in found)
            raise problem(
                frame, "G105", f"`{name}` is defined by several imports: {files}", span,
                help="import one of them `as` a name and write `that.name`",
            )  # fmt: skip
        if found:
            return self.reference(found[0], span, frame)
        if name in core_names():
            return PrimitiveOp(PRIMITIVES[name], (), span)
        if name in NUMERIC_FUNCTIONS or name == "repeat":
            return Function(name)
        if name in frame.module.aliases:
            return ModuleValue(frame.module.aliases[name])
        if name == "core":
            return ModuleValue(None)
        known = names_in_scope(frame.module) | set(frame.names)
        sizes = name in ("C", "H", "W", "x")
        raise problem(
            frame, "G101", f"nothing here is called `{name[:60]}`", span,
            help="a map's size is written `name.C`, `name.H`, `name.W` where there is no single `x`"
            if sizes else did_you_mean(name, known),
        )  # fmt: skip

    def reference(self, ref: DefinitionRef, span: Span, frame: Frame) -> Any:
        if ref.kind == "choice":
            return self.choice(ref, span, (), frame)
        if ref.kind == "network":
            return NetworkValue(ref, (), span)
        return DefinedOp(ref, (), span)

    def eval_attribute(self, expr: s.Attribute, frame: Frame) -> Any:
        base = self.evaluate(expr.base, frame)
        if isinstance(base, ModuleValue):
            if base.module is None and expr.name in core_names():
                return PrimitiveOp(PRIMITIVES[expr.name], (), expr.span)
            names = core_names() if base.module is None else set(base.module.definitions)
            if base.module is not None and expr.name in names:
                return self.reference(base.module.definitions[expr.name], expr.span, frame)
            raise problem(frame, "G101", f"it has nothing called `{expr.name}`", expr.span,
                          help=did_you_mean(expr.name, names))  # fmt: skip
        if isinstance(base, MapValue) and expr.name in ("C", "H", "W"):
            return getattr(base.type, expr.name)
        raise problem(frame, "G213", f"{describe(base)} has no `.{expr.name}`", expr.span,
                      help="a feature map has `.C`, `.H` and `.W`")  # fmt: skip

    # Literals, arithmetic, conditions

    def eval_number(self, expr: s.Number, frame: Frame) -> Any:
        return expr.value

    def eval_string(self, expr: s.String, frame: Frame) -> Any:
        return expr.value

    eval_bool = eval_number

    def eval_slot(self, expr: s.Slot, frame: Frame) -> SlotOp:
        return SlotOp(expr.name, expr.span)

    def eval_sequence(self, expr: s.Sequence, frame: Frame) -> Any:
        return tuple(self.evaluate(item, frame) for item in expr.items)

    def eval_index(self, expr: s.Index, frame: Frame) -> Any:
        base, index = self.evaluate(expr.base, frame), self.evaluate(expr.index, frame)
        if not isinstance(base, tuple) or not isinstance(index, int):
            raise problem(frame, "G205", f"{describe(base)} cannot be indexed", expr.span,
                          help="an index picks an item of a list: `sizes[0]`")  # fmt: skip
        if not 0 <= index < len(base):
            raise problem(frame, "G207", f"there is no item {index} in a list of {len(base)}", expr.span)
        return base[index]

    def eval_if(self, expr: s.If, frame: Frame) -> Any:
        taken = self.condition(expr.condition, frame)
        if self.expansion.searching and id(expr) not in self.expansion.conditions:
            # Looked at once, as texts live as long as their expansion.
            self.expansion.conditions.add(id(expr))
            branches = (expr.then, expr.otherwise) if "searching" in names_of(expr.condition) else ()
            for branch in branches:
                if "searching" not in frame.names and holds_choice(frame.module, branch):
                    raise problem(
                        frame, "G421", "a choice stands in a branch on `searching`", branch.span,
                        help="put the choice before the `if`: the answer reads the other branch, so nothing"
                        " would be decided",
                    )  # fmt: skip
        return self.evaluate(expr.then if taken else expr.otherwise, frame)

    def condition(self, expr: s.Expr, frame: Frame) -> bool:
        value = self.evaluate(expr, frame)
        if not isinstance(value, bool):
            raise problem(frame, "G211", f"a condition is true or false, not {describe(value)}",
                          expr.span, help="compare it: `levels == 0`")  # fmt: skip
        return value

    def eval_prefix(self, expr: s.Prefix, frame: Frame) -> Any:
        if expr.operator == "not":
            return not self.condition(expr.operand, frame)
        value = self.evaluate(expr.operand, frame)
        if is_number(value):
            return -value
        if isinstance(value, MapValue):
            return self.layer("multiply", {"constant": -1}, [value], frame, expr.span)
        raise problem(frame, "G205", f"a sign stands before a number, not {describe(value)}", expr.span)

    def eval_infix(self, expr: s.Infix, frame: Frame) -> Any:
        if expr.operator in ("and", "or"):
            wanted = expr.operator == "or"
            return wanted == any(self.condition(o, frame) == wanted for o in expr.operands)
        values: list[Any] = []
        for operand in expr.operands:
            if expr.operator == "<" and isinstance(operand, s.Prefix) and values and _flows(values[0]):
                raise problem(frame, "G205", "`<` compares numbers, not operations or maps", expr.span,
                              help="pipelines run to the right: `a -> b`")  # fmt: skip
            values.append(self.evaluate(operand, frame))
        if any(isinstance(v, MapValue) for v in values):
            return self.join_maps(expr, values, frame)
        if expr.operator in ("==", "!=") and all(is_op(v) for v in values):
            # The same definition (or primitive) with the same arguments.
            return bool((values[0] == values[1]) == (expr.operator == "=="))
        if any(is_op(v) for v in values):
            return self.join_ops(expr, values, frame)
        for value in values:
            if isinstance(value, tuple):
                self.measure(value, expr.span, frame)
        return arithmetic(expr, values, frame)

    def join_maps(self, expr: s.Infix, values: list[Any], frame: Frame) -> MapValue:
        if expr.operator not in _JOINS:
            raise problem(frame, "G205", f"`{expr.operator}` compares numbers, not feature maps", expr.span,
                          help="compare sizes: `a.H == b.H`")  # fmt: skip
        maps: list[MapValue] = []
        constants: list[Any] = []
        for value, operand in zip(values, expr.operands, strict=True):
            if is_op(value):
                raise problem(
                    frame, "G214", "an operation stands here without its input", operand.span,
                    help=f"feed it: `(x -> {operand.span.text[:40]})`",
                )  # fmt: skip
            if isinstance(value, MapValue):
                maps.append(value)
            elif is_number(value):
                constants.append(value)
            else:
                raise problem(frame, "G205", f"`{expr.operator}` does not take {describe(value)}",
                              operand.span)  # fmt: skip
        return self.elementwise(expr, maps, constants, values, frame)

    def elementwise(
        self, expr: s.Infix, maps: list[MapValue], constants: list[Any], values: list[Any],
        frame: Frame,
    ) -> MapValue:  # fmt: skip
        name, attrs = _JOINS[expr.operator], {}
        if expr.operator in _NEUTRAL:
            attrs = {"constant": folded(expr, [_NEUTRAL[expr.operator], *constants], frame)}
        elif constants:
            # map - number, number - map, map / number; number / map has no use here.
            number, first = constants[0], isinstance(values[0], MapValue)
            if expr.operator == "-":
                sign = maps[0] if first else self.layer(
                    "multiply", {"constant": -1}, maps, frame, expr.span)  # fmt: skip
                return self.layer("add", {"constant": -number if first else number}, [sign], frame,
                                  expr.span)  # fmt: skip
            if not first or number == 0:
                raise problem(frame, "G205", "a number is not divided by a feature map, nor a map by 0",
                              expr.span)  # fmt: skip
            folded(expr, [1, number], frame)
            return self.layer("multiply", {"constant": 1 / number}, maps, frame, expr.span)
        return self.layer(name, attrs, maps, frame, expr.span)

    def join_ops(self, expr: s.Infix, values: list[Any], frame: Frame) -> ForkOp:
        if expr.operator not in _JOINS:
            raise problem(frame, "G205", f"`{expr.operator}` compares numbers, not operations", expr.span)
        ops: list[Op] = []
        constants = []
        for value, operand in zip(values, expr.operands, strict=True):
            if is_op(value):
                ops.append(value)
            elif is_number(value) and expr.operator in "+*":
                constants.append(value)
            else:
                raise problem(frame, "G205", f"`{expr.operator}` does not take {describe(value)} here",
                              operand.span)  # fmt: skip
        args: tuple[tuple[str, Any], ...] = ()
        if expr.operator in _NEUTRAL:
            args = (("constant", folded(expr, [_NEUTRAL[expr.operator], *constants], frame)),)
        return ForkOp(PRIMITIVES[_JOINS[expr.operator]], tuple(ops), args, expr.span)

    # Pipelines, repetition

    def eval_pipeline(self, expr: s.Pipeline, frame: Frame) -> Any:
        first = self.evaluate(expr.stages[0], frame)
        ops = []
        for stage in expr.stages[1:]:
            op = self.evaluate(stage, frame)
            if not is_op(op):
                raise problem(
                    frame, "G205", f"a pipeline leads into operations, not into {describe(op)}",
                    stage.span, help="a map can only stand at its beginning"
                    if isinstance(op, MapValue) else None,
                )  # fmt: skip
            ops.append(op)
        if isinstance(first, MapValue):
            return self.apply(PipeOp(tuple(ops), expr.span), first, frame, expr.span)
        if not is_op(first):
            message = f"a pipeline begins with a map or an operation, not {describe(first)}"
            raise problem(frame, "G205", message, expr.stages[0].span)
        return PipeOp((first, *ops), expr.span)

    def eval_for(self, expr: s.For, frame: Frame) -> PipeOp:
        values = self.evaluate(expr.values, frame)
        if not isinstance(values, tuple):
            raise problem(frame, "G205", f"`for` runs over a list, not {describe(values)}", expr.values.span)
        stages = []
        for value in values:
            self.expansion.budget.spend(1 + len(frame.names) // 16, frame, expr.span)
            items = value if len(expr.names) > 1 and isinstance(value, tuple) else (value,)
            if len(items) != len(expr.names):
                raise problem(frame, "G205", f"{len(expr.names)} names for {len(items)} values", expr.span)
            names = frame.names | {n.id: v for n, v in zip(expr.names, items, strict=True)}
            defaults = frame.defaults
            if defaults is not None:
                named = {n.id for n in expr.names}
                defaults = {name: bound for name, bound in defaults.items() if name not in named}
            inner = Frame(frame.definition, frame.module, frame.builder, frame.scope, names,
                          frame.uses, frame.main, frame.edge, frame.within, defaults)  # fmt: skip
            op = self.evaluate(expr.body, inner)
            if not is_op(op):
                raise problem(frame, "G205", f"`for` repeats an operation, not {describe(op)}",
                              expr.body.span)  # fmt: skip
            stages.append(op)
        return PipeOp(tuple(stages), expr.span)

    # Depth, and what subclasses give

    def limit_depth(self, ref: DefinitionRef, frame: Frame, span: Span) -> None:
        if len(frame.uses) >= MAX_DEPTH:
            raise problem(
                frame, "G210", f"`{ref.name}` is used inside itself without end", span,
                labels=[Label(ref.syntax.name.span, "defined here")],
                help="end the recursion with `if levels == 0 then ... else ...`; inside a definition"
                " that replaces a primitive, write `core.name` for the primitive",
            )  # fmt: skip

    def inner_frame(self, ref: DefinitionRef, names: dict[str, Any], frame: Frame, span: Span) -> Frame:
        """A frame for a definition's own text that builds into the caller's block."""
        self.limit_depth(ref, frame, span)
        return Frame(ref.name, ref.module, frame.builder, frame.scope, names,
                     (*frame.uses, Use(ref.name, span)), None, frame.edge)  # fmt: skip

    def choice(self, ref: DefinitionRef, span: Span, extra: Any, frame: Frame) -> ChoiceOp:
        raise AssertionError("given by ChoiceEvaluator")

    def bind_params(self, ref: DefinitionRef, given: dict[str, Any], frame: Frame, span: Span) -> None:
        raise AssertionError("given by Applier")

    def apply(self, op: Op, value: MapValue, frame: Frame, span: Span) -> MapValue:
        raise AssertionError("given by Applier")

    def apply_maps(self, op: DefinedOp, maps: list[MapValue], frame: Frame, span: Span) -> MapValue:
        raise AssertionError("given by Applier")

    def apply_primitive(
        self, op: PrimitiveOp, maps: list[MapValue], frame: Frame, span: Span
    ) -> MapValue:
        raise AssertionError("given by Applier")

    def layer(
        self, name: str, attrs: dict[str, Any], maps: list[MapValue], frame: Frame, span: Span
    ) -> MapValue:
        args = tuple(attrs.items())
        return self.apply_primitive(PrimitiveOp(PRIMITIVES[name], args, span), maps, frame, span)


def _flows(value: object) -> bool:
    return is_op(value) or isinstance(value, MapValue)
