"""What expressions stand for: names, literals, conditions, pipelines and repetition.

Evaluation is total: repetition is over compile-time numbers with a limit, recursion has a depth limit,
and every operation is expanded once per set of arguments and input shapes.
"""

from __future__ import annotations

from typing import Any

from genolang.diagnostics import Span, did_you_mean
from genolang.lang import syntax as s
from genolang.primitives import PRIMITIVES
from genolang.semantics.expansion.builder import MapValue
from genolang.semantics.expansion.choices import use_choice
from genolang.semantics.expansion.errors import POISON, Poisoned, problem
from genolang.semantics.expansion.frames import Frame
from genolang.semantics.expansion.values import (
    DefinedOp,
    Function,
    ModuleValue,
    NetworkValue,
    Op,
    PipeOp,
    PrimitiveOp,
    SlotOp,
    describe,
)
from genolang.semantics.functions import NUMERIC_FUNCTIONS
from genolang.semantics.modules import DefinitionRef, core_names
from genolang.semantics.names import names_in_scope
from genolang.semantics.reach import holds_choice, names_of


def evaluate_literal(expr: s.Number | s.String | s.Bool, frame: Frame) -> Any:
    return expr.value


def evaluate_slot(expr: s.Slot, frame: Frame) -> SlotOp:
    return SlotOp(expr.span, expr.name)


def evaluate_sequence(expr: s.Sequence, frame: Frame) -> Any:
    return tuple(frame.each(expr.items, frame.evaluate))


# Names


def evaluate_name(expr: s.Name, frame: Frame) -> Any:
    name = expr.id
    if name in frame.names:
        value = frame.names[name]
        if value is POISON:
            raise Poisoned
        return value if frame.edge is None else _spread(expr, value, frame)
    if frame.main is not None and name in "xCHW":
        return frame.main if name == "x" else getattr(frame.main.type, name)
    if name == "searching":
        return frame.expansion.searching
    return _global_name(name, expr.span, frame)


def _spread(expr: s.Name, value: Any, frame: Frame) -> Any:
    """A name on an edge: choices of a parameter's default are decided for each edge apart."""
    if frame.defaults is None or expr.id not in frame.defaults:
        return value
    ref, default, bound = frame.defaults[expr.id]
    frame.expansion.spread.setdefault((ref, expr.id), expr.span)
    return bound.but(edge=frame.edge, within=frame.inside(expr.span)).evaluate(default)


def _global_name(name: str, span: Span, frame: Frame) -> Any:
    found = frame.module.lookup(name)
    if len(found) > 1:
        files = " and ".join(ref.module.source.name for ref in found)
        raise problem(
            frame,
            "G105",
            f"`{name}` is defined by several imports: {files}",
            span,
            help="import one of them `as` a name and write `that.name`",
        )
    if found:
        return _reference(found[0], span, frame)
    if name in core_names():
        return PrimitiveOp(span, PRIMITIVES[name], ())
    if name in NUMERIC_FUNCTIONS or name == "repeat":
        return Function(name)
    if name in frame.module.aliases:
        return ModuleValue(frame.module.aliases[name])
    if name == "core":
        return ModuleValue(None)
    known = names_in_scope(frame.module) | set(frame.names)
    sizes = name in ("C", "H", "W", "x")
    raise problem(
        frame,
        "G101",
        f"nothing here is called `{name[:60]}`",
        span,
        help="a map's size is written `name.C`, `name.H`, `name.W` where there is no single `x`"
        if sizes
        else did_you_mean(name, known),
    )


def _reference(ref: DefinitionRef, span: Span, frame: Frame) -> Any:
    if ref.kind == "choice":
        return use_choice(ref, span, (), frame)
    return (NetworkValue if ref.kind == "network" else DefinedOp)(span, ref, ())


def evaluate_attribute(expr: s.Attribute, frame: Frame) -> Any:
    base = frame.evaluate(expr.base)
    if isinstance(base, ModuleValue):
        module = base.module
        names = core_names() if module is None else set(module.definitions)
        if expr.name not in names:
            raise problem(
                frame, "G101", f"it has nothing called `{expr.name}`", expr.span, help=did_you_mean(expr.name, names)
            )
        if module is None:
            return PrimitiveOp(expr.span, PRIMITIVES[expr.name], ())
        return _reference(module.definitions[expr.name], expr.span, frame)
    if isinstance(base, MapValue) and expr.name in ("C", "H", "W"):
        return getattr(base.type, expr.name)
    raise problem(
        frame,
        "G213",
        f"{describe(base)} has no `.{expr.name}`",
        expr.span,
        help="a feature map has `.C`, `.H` and `.W`",
    )


def evaluate_index(expr: s.Index, frame: Frame) -> Any:
    base, index = frame.evaluate(expr.base), frame.evaluate(expr.index)
    if not isinstance(base, tuple) or type(index) is not int:
        raise problem(
            frame,
            "G205",
            f"{describe(base)} cannot be indexed",
            expr.span,
            help="an index picks an item of a list: `sizes[0]`",
        )
    if not 0 <= index < len(base):
        raise problem(frame, "G207", f"there is no item {index} in a list of {len(base)}", expr.span)
    return base[index]


# Conditions, pipelines, repetition


def evaluate_if(expr: s.If, frame: Frame) -> Any:
    taken, expansion = frame.condition(expr.condition), frame.expansion
    if expansion.searching and id(expr) not in expansion.conditions:
        # Looked at once, as texts live as long as their expansion.
        expansion.conditions.add(id(expr))
        branches = (expr.then, expr.otherwise) if "searching" in names_of(expr.condition) else ()
        for branch in branches:
            if "searching" not in frame.names and holds_choice(frame.module, branch):
                raise problem(
                    frame,
                    "G421",
                    "a choice stands in a branch on `searching`",
                    branch.span,
                    help="put the choice before the `if`: the answer reads the other branch, so nothing"
                    " would be decided",
                )
    return frame.evaluate(expr.then if taken else expr.otherwise)


def evaluate_pipeline(expr: s.Pipeline, frame: Frame) -> Any:

    def stage_of(stage: s.Expr) -> Any:
        value = frame.evaluate(stage)
        if stage is not expr.stages[0] and not isinstance(value, Op):
            raise problem(
                frame,
                "G205",
                f"a pipeline leads into operations, not into {describe(value)}",
                stage.span,
                help="a map can only stand at its beginning" if isinstance(value, MapValue) else None,
            )
        return value

    first, *ops = frame.each(expr.stages, stage_of)
    if isinstance(first, MapValue):
        return frame.apply(PipeOp(expr.span, tuple(ops)), first)
    if not isinstance(first, Op):
        message = f"a pipeline begins with a map or an operation, not {describe(first)}"
        raise problem(frame, "G205", message, expr.stages[0].span)
    return PipeOp(expr.span, (first, *ops))


def evaluate_for(expr: s.For, frame: Frame) -> PipeOp:
    values = frame.evaluate(expr.values)
    if not isinstance(values, tuple):
        raise problem(frame, "G205", f"`for` runs over a list, not {describe(values)}", expr.values.span)
    stages = []
    for value in values:
        frame.expansion.budget.spend(1 + len(frame.names) // 16, frame, expr.span)
        items = value if len(expr.names) > 1 and isinstance(value, tuple) else (value,)
        if len(items) != len(expr.names):
            raise problem(frame, "G205", f"{len(expr.names)} names for {len(items)} values", expr.span)
        names = {name.id: item for name, item in zip(expr.names, items, strict=True)}
        stages.append(frame.but(names=names).operation(expr.body, "`for` repeats an operation"))
    return PipeOp(expr.span, tuple(stages))
