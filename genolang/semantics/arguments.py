"""Arguments to parameters, for primitives and for definitions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from genolang.diagnostics import Label, Span, did_you_mean
from genolang.lang import syntax as s
from genolang.primitives import REQUIRED, Field
from genolang.semantics.arithmetic import simplify, whole
from genolang.semantics.frames import Frame, problem
from genolang.semantics.signatures import definition_signature, primitive_signature, reads
from genolang.semantics.values import (
    Args,
    DefinitionRef,
    MapValue,
    PrimitiveOp,
    describe,
    is_number,
    is_op,
)

if TYPE_CHECKING:
    from genolang.semantics.expand import Evaluator


def bind_primitive(
    evaluator: Evaluator, callee: PrimitiveOp, expr: s.Call, frame: Frame
) -> tuple[list[Any], Args]:
    """The maps (or operations) in front, and the other arguments by field name."""
    primitive = callee.primitive
    fields = {f.name: f for f in primitive.fields if f.name != "constant"}
    bound: dict[str, Any] = dict(callee.args)
    operands: list[Any] = []
    waiting = [name for name in fields if name not in bound]
    for arg in expr.args:
        if arg.name is not None and arg.name not in fields:
            raise problem(
                frame, "G202", f"`{primitive.name}` has no argument `{arg.name}`", arg.span,
                help=did_you_mean(arg.name, fields) or reads(primitive_signature(primitive)),
            )  # fmt: skip
        name = arg.name or (waiting[0] if waiting else None)
        words = fields[name].kind if name is not None else None
        if isinstance(words, tuple) and isinstance(arg.value, s.Name) and arg.value.id in words:
            value: Any = arg.value.id
        else:
            value = evaluator.evaluate(arg.value, frame)
            if arg.name is None and (isinstance(value, MapValue) or is_op(value)):
                operands.append(value)
                continue
        if name is None:
            raise problem(frame, "G203", f"`{primitive.name}` takes no more arguments", arg.span,
                          help=reads(primitive_signature(primitive)))  # fmt: skip
        if name in bound:
            raise problem(frame, "G204", f"`{name}` is given twice", arg.span)
        bound[name] = check_field(primitive.name, fields[name], value, arg.value.span, frame)
        waiting = [n for n in waiting if n != name]
    return operands, tuple(bound.items())


def check_field(owner: str, field: Field, value: Any, span: Span, frame: Frame) -> Any:
    """A primitive's argument, as its field's kind demands."""
    kind = field.kind
    if isinstance(kind, tuple):
        if value in kind:
            return value
        listed = " or ".join(f"`{word}`" for word in kind)
        raise problem(frame, "G205", f"`{field.name}` of `{owner}` is {listed}, not {describe(value)}",
                      span, help=f"write {owner}({field.name}={kind[0]})")  # fmt: skip
    if kind == "bool":
        if isinstance(value, bool):
            return value
        raise problem(frame, "G205", f"`{field.name}` of `{owner}` is true or false, not"
                      f" {describe(value)}", span)  # fmt: skip
    if kind == "map":
        if isinstance(value, MapValue):
            return value
        raise problem(frame, "G205", f"`{field.name}` of `{owner}` is a feature map, not"
                      f" {describe(value)}", span)  # fmt: skip
    if kind in ("number", "number0", "share"):
        if not is_number(value):
            raise problem(frame, "G205", f"`{field.name}` of `{owner}` is a number, not {describe(value)}",
                          span)  # fmt: skip
        if (kind != "number" and value < 0) or (kind == "share" and value > 1):
            wanted = "a number from 0 to 1" if kind == "share" else "no number below 0"
            raise problem(frame, "G207", f"`{field.name}` of `{owner}` is {wanted}", span)
        return float(value)
    minimum = 0 if kind in ("size0", "int0") else 1
    if kind in ("size", "size0") and isinstance(value, tuple) and len(value) == 2:
        return tuple(whole(v, span, frame, minimum=minimum) for v in value)
    return whole(value, span, frame, minimum=minimum)


def complete(op: PrimitiveOp, span: Span, frame: Frame) -> dict[str, Any]:
    """All fields of a primitive with their defaults. Error: G201 for one that must be given."""
    given = dict(op.args)
    attrs = {}
    for field in op.primitive.fields:
        value = given.get(field.name, field.default)
        if value is REQUIRED:
            raise problem(
                frame, "G201", f"`{op.primitive.name}` needs `{field.name}`", op.span,
                help=reads(primitive_signature(op.primitive)),
            )  # fmt: skip
        # Arguments handed on by a choice have not been looked at yet.
        if field.name in given and field.name != "constant" and value is not None:
            value = check_field(op.primitive.name, field, value, span, frame)
        attrs[field.name] = simplify(value)
    return attrs


def bind_definition(
    evaluator: Evaluator, ref: DefinitionRef, before: Args, args: Any, span: Span, frame: Frame
) -> Args:
    """Values of a definition's parameters by name: those bound before and those of this call."""
    bound = dict(before)
    params = [p.name for p in ref.value_params]
    maps = [m for m in ref.map_params if m != "x"]
    known = {*params, *maps}
    # A name given later in the call is no place for an argument without a name.
    named = {name for name, _, _ in args if name is not None}
    free = iter([p for p in params if p not in bound])
    for name, value, arg in args:
        if name is None:
            name = next(free, None)
            if name is None:
                raise problem(
                    frame, "G203", f"`{ref.name}` takes no more arguments", arg.span,
                    labels=[Label(ref.syntax.name.span, "defined here")],
                    help=reads(definition_signature(ref.syntax)),
                )  # fmt: skip
            if name in named:
                raise problem(frame, "G204", f"`{name}` is given twice", arg.span)
        elif name in maps and not isinstance(value, MapValue):
            raise problem(frame, "G205", f"`{name}` of `{ref.name}` is a feature map, not"
                          f" {describe(value)}", arg.span)  # fmt: skip
        elif name not in known:
            raise problem(
                frame, "G202", f"`{ref.name}` has no parameter `{name}`", arg.span,
                labels=[Label(ref.syntax.name.span, "defined here")],
                help=did_you_mean(name, params) or reads(definition_signature(ref.syntax)),
            )  # fmt: skip
        if name in bound:
            raise problem(frame, "G204", f"`{name}` is given twice", arg.span)
        bound[name] = simplify(value)
    return tuple(bound.items())
