"""Arguments to parameters, for primitives and for definitions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from genolang.diagnostics import GenoError, Label, Span, did_you_mean
from genolang.lang import syntax as s
from genolang.primitives import INITIALISERS, NUMBERS, REQUIRED, Field, initialiser, out_of_range
from genolang.semantics.expansion.arithmetic import simplify, whole
from genolang.semantics.expansion.builder import MapValue
from genolang.semantics.expansion.errors import Site, problem
from genolang.semantics.expansion.frames import Frame
from genolang.semantics.expansion.values import Args, Op, PrimitiveOp, describe, is_number
from genolang.semantics.modules import DefinitionRef
from genolang.semantics.signatures import definition_signature, primitive_signature, reads

# An argument of a call: its name, if it has one, its value, and its words.
Given = tuple[str | None, Any, s.Arg]


def misfit(
    site: Site,
    ref: DefinitionRef,
    code: str,
    message: str,
    span: Span,
    help: str | None = None,
    label: Label | None = None,
) -> GenoError:
    """An error of a use of a definition, with how it reads."""
    return problem(
        site,
        code,
        message,
        span,
        labels=[label or Label(ref.syntax.name.span, "defined here")],
        help=help or reads(definition_signature(ref.syntax)),
    )


def bind_primitive(callee: PrimitiveOp, expr: s.Call, frame: Frame) -> tuple[list[Any], Args]:
    """The maps (or operations) in front, and the other arguments by field name."""
    primitive = callee.primitive
    fields = {f.name: f for f in primitive.fields if f.name != "constant"}
    bound: dict[str, Any] = dict(callee.args)
    operands: list[Any] = []
    waiting = [name for name in fields if name not in bound]

    def bind(arg: s.Arg) -> None:
        nonlocal waiting
        if arg.name is not None and arg.name not in fields:
            raise problem(
                frame,
                "G202",
                f"`{primitive.name}` has no argument `{arg.name}`",
                arg.span,
                help=did_you_mean(arg.name, fields) or reads(primitive_signature(primitive)),
            )
        before, name = waiting, arg.name or (waiting[0] if waiting else None)
        # A wrong argument takes its place as well.
        waiting = [n for n in waiting if n != name]
        words = fields[name].kind if name is not None else None
        if isinstance(words, tuple) and isinstance(arg.value, s.Name) and arg.value.id in words:
            value: Any = arg.value.id
        elif words == "init" and (spoken := initialiser_in_words(arg.value, frame)) is not None:
            value = spoken
        else:
            value = frame.evaluate(arg.value)
            if arg.name is None and isinstance(value, (MapValue, Op)):
                operands.append(value)
                waiting = before
                return
        if name is None:
            raise problem(
                frame,
                "G203",
                f"`{primitive.name}` takes no more arguments",
                arg.span,
                help=reads(primitive_signature(primitive)),
            )
        if name in bound:
            raise problem(frame, "G204", f"`{name}` is given twice", arg.span)
        bound[name] = check_field(primitive.name, fields[name], value, arg.value.span, frame)

    frame.each(expr.args, bind)
    return operands, tuple(bound.items())


def initialiser_in_words(expr: s.Expr, frame: Frame) -> str | None:
    """The text of `he_normal` or `trunc_normal(0.02)`, which are words of no other meaning there."""
    callee = expr.callee if isinstance(expr, s.Call) else expr
    if not isinstance(callee, s.Name) or callee.id not in INITIALISERS:
        return None
    given = [frame.evaluate(arg.value) for arg in expr.args] if isinstance(expr, s.Call) else []
    shown = ", ".join(str(float(v)) if is_number(v) else describe(v) for v in given)
    return f"{callee.id}({shown})" if given else callee.id


def check_field(owner: str, field: Field, value: Any, span: Span, site: Site) -> Any:
    """A primitive's argument, as its field's kind demands. Errors: G205, G206, G207."""
    kind, help = field.kind, None
    match kind:
        case tuple():
            fits, wanted = value in kind, " or ".join([f"`{word}`" for word in kind])
            help = f"write {owner}({field.name}={kind[0]})"
        case "init":
            if is_number(value):
                return float(value)
            fits, wanted = isinstance(value, str) and initialiser(value) is not None, "what weights begin as"
            help = (
                "a number, `zeros`, `ones`, `normal(std)`, `uniform(bound)`, `trunc_normal(std)`, `orthogonal`, or"
                " `glorot`, `xavier`, `he`, `kaiming` or `lecun` with `_normal` or `_uniform`"
            )
        case "bool":
            fits, wanted = isinstance(value, bool), "true or false"
        case "shape":
            if isinstance(value, tuple) and len(value) == 3:
                return tuple([whole(v, span, site, minimum=1) for v in value])
            fits, wanted = False, "channels, height and width"
            help = f"write {owner}((C, 1, 1)) for one number per channel"
        case "map":
            fits, wanted = isinstance(value, MapValue), "a feature map"
        case _ if kind in NUMBERS:
            fits, wanted = is_number(value), "a number"
        case _:
            minimum = 0 if kind in ("size0", "int0") else 1
            if kind in ("size", "size0") and isinstance(value, tuple) and len(value) == 2:
                return tuple([whole(v, span, site, minimum=minimum) for v in value])
            return whole(value, span, site, minimum=minimum)
    if not fits:
        raise problem(site, "G205", f"`{field.name}` of `{owner}` is {wanted}, not {describe(value)}", span, help=help)
    if kind not in NUMBERS:
        return value
    if asked := out_of_range(kind, value):
        raise problem(site, "G207", f"`{field.name}` of `{owner}` is {asked}", span)
    return float(value)


def complete(op: PrimitiveOp, site: Site) -> dict[str, Any]:
    """All fields of a primitive with their defaults. Error: G201 for one that must be given."""
    given = dict(op.args)
    attrs = {}
    for field in op.primitive.fields:
        value = given.get(field.name, field.default)
        if value is REQUIRED:
            raise problem(
                site,
                "G201",
                f"`{op.primitive.name}` needs `{field.name}`",
                op.span,
                help=reads(primitive_signature(op.primitive)),
            )
        # Arguments handed on by a choice have not been looked at yet.
        if field.name in given and field.name != "constant" and value is not None:
            value = check_field(op.primitive.name, field, value, op.span, site)
        attrs[field.name] = simplify(value)
    return attrs


def bind_definition(ref: DefinitionRef, before: Args, args: Sequence[Given], site: Site) -> Args:
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
                raise misfit(site, ref, "G203", f"`{ref.name}` takes no more arguments", arg.span)
            if name in named:
                raise problem(site, "G204", f"`{name}` is given twice", arg.span)
        elif name in maps and not isinstance(value, MapValue):
            raise problem(site, "G205", f"`{name}` of `{ref.name}` is a feature map, not {describe(value)}", arg.span)
        elif name not in known:
            raise misfit(
                site, ref, "G202", f"`{ref.name}` has no parameter `{name}`", arg.span, did_you_mean(name, params)
            )
        if name in bound:
            raise problem(site, "G204", f"`{name}` is given twice", arg.span)
        bound[name] = simplify(value)
    return tuple(bound.items())
