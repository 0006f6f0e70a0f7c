"""Choices: alternatives in place or by name, the arguments that a use hands on to them, and the mix
of what they come to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from typing import Any

from genolang.diagnostics import Label, Span, did_you_mean
from genolang.lang import syntax as s
from genolang.primitives import ShapeProblem
from genolang.semantics.canonical import resolve
from genolang.semantics.expansion.arguments import Given, bind_definition
from genolang.semantics.expansion.builder import MapValue
from genolang.semantics.expansion.definitions import bind_params, limit_depth, used
from genolang.semantics.expansion.errors import history, problem
from genolang.semantics.expansion.frames import Frame, Within
from genolang.semantics.expansion.values import ChoiceOp, DefinedOp, Op, PrimitiveOp, has_choice, is_local
from genolang.semantics.modules import DefinitionRef
from genolang.semantics.program import Mix


def evaluate_alternatives(expr: s.Alternatives, frame: Frame) -> ChoiceOp:
    ops = _alternatives(expr.options, (), frame, frame, expr.span)
    return ChoiceOp(
        expr.span, "choice", ops, expr.options, expr.options, (), "sum", frame.home, frame.edge, frame.way(expr.span)
    )


def call_choice(expr: s.Call, args: Sequence[Given], frame: Frame) -> ChoiceOp:
    ref = _named(expr.callee, frame)
    if ref is None:
        raise problem(frame, "G208", "only a named choice takes arguments", expr.span)
    for name, _, arg in args:
        if name is None:
            raise problem(
                frame, "G406", "a choice hands on named arguments only", arg.span, help="write `operation(stride=2)`"
            )
    return use_choice(ref, expr.span, args, frame)


def _named(callee: s.Expr, frame: Frame) -> DefinitionRef | None:
    """The choice that is called, where it is called by its name."""
    found = resolve(callee, frame.module)
    return found if isinstance(found, DefinitionRef) and found.kind == "choice" else None


def use_choice(ref: DefinitionRef, span: Span, extra: Sequence[Given], frame: Frame) -> ChoiceOp:
    """A use of a named choice; `extra` arguments are for its parameters or go to every alternative."""
    body, definition = ref.syntax.body, ref.syntax
    known = _hashable((ref, tuple([(name, type(value), value) for name, value, _ in extra])))
    options: Any = body.options if isinstance(body, s.Alternatives) else (body,)
    combine = definition.combine.id if definition.combine is not None else "sum"
    names = [p.name for p in ref.value_params]
    given: dict[str, Any] = {}
    written = options
    if names:
        given = {name: value for name, value, _ in extra if name in names}
        words = {name: arg.value for name, _, arg in extra if name in names}
        extra = [item for item in extra if item[0] not in given]
        for param in ref.value_params:
            words.setdefault(param.name, _put_in(param.default, words))
        written = tuple(_put_in(option, words) for option in options)
    ops = frame.expansion.options.get(known) if known is not None else None
    if ops is None:
        limit_depth(ref, frame, span)
        inner = Frame(
            frame.expansion,
            ref.name,
            ref.module,
            frame.builder,
            frame.scope,
            {},
            used(ref, frame, span),
            None,
            frame.edge,
        )
        bind_params(ref, given, inner, span)
        for name in names:
            if isinstance(inner.names[name], Op) and has_choice(inner.names[name]):
                raise problem(
                    frame,
                    "G414",
                    f"the parameter `{name}` of a choice cannot be a choice",
                    span,
                    help="write an alternative for each",
                )
        if combine not in ("sum", "product"):
            raise problem(frame, "G205", f"alternatives combine by sum or by product, not `{combine}`", span)
        if isinstance(body, tuple) or len(options) < 2:
            raise problem(
                frame,
                "G407",
                f"the choice `{ref.name}` has fewer than two alternatives",
                span,
                labels=[Label(definition.span, "defined here")],
                help="write them with `|` between: `choice c = skip | sep_conv(3)`",
            )
        ops = _alternatives(options, extra, inner, frame, span)
        if known is not None and not any(is_local(op) or has_choice(op) for op in ops):
            frame.expansion.options[known] = ops
    added = tuple([s.Arg(arg.span, name, arg.value) for name, _, arg in extra])
    return ChoiceOp(span, ref.name, ops, options, written, added, combine, frame.home, frame.edge, frame.way(span))


def _alternatives(
    options: tuple[s.Expr, ...], extra: Sequence[Given], inner: Frame, frame: Frame, span: Span
) -> tuple[Op, ...]:
    """What the alternatives, read in the inner frame, are where `span` of another one is the choice's use."""
    ops = []
    home, way = frame.home, frame.way(span)
    for number, option in enumerate(options):
        op = inner.but(within=Within(home, way, number)).operation(option, "an alternative is an operation")
        if isinstance(op, ChoiceOp):
            raise problem(
                inner,
                "G414",
                "a choice cannot be an alternative of a choice",
                option.span,
                help="list its alternatives here",
            )
        ops.append(_bind_more(op, extra, frame) if extra else op)
    return tuple(ops)


def _bind_more(op: Op, extra: Sequence[Given], frame: Frame) -> Op:
    """An alternative with the choice's arguments added; it must take every one of them."""
    takes: set[str] = set()
    if isinstance(op, PrimitiveOp):
        takes = {f.name for f in op.primitive.fields} - {"constant"}
    elif isinstance(op, DefinedOp):
        takes = {p.name for p in op.ref.value_params}
    free = takes - {name for name, _ in getattr(op, "args", ())}
    for name, _, arg in extra:
        if name not in free:
            raise problem(
                frame,
                "G406",
                f"an alternative of this choice does not take `{name}`",
                arg.span,
                labels=[Label(op.span, "this one")],
                help=did_you_mean(name or "", takes) or f"give every alternative a parameter `{name}`",
            )
    if isinstance(op, DefinedOp):
        return DefinedOp(op.span, op.ref, bind_definition(op.ref, op.args, extra, frame))
    assert isinstance(op, PrimitiveOp)
    more = [(name, value) for name, value, _ in extra if name is not None]
    return PrimitiveOp(op.span, op.primitive, (*op.args, *more))


def apply_choice(op: ChoiceOp, value: MapValue, frame: Frame) -> MapValue:
    """The mix of what the alternatives come to. Errors: G205, G308."""
    inner = frame.under(op.name)
    results: list[MapValue] = []
    for option in op.options:
        result = inner.apply(option, value)
        if results and result.type != results[0].type and op.combine == "sum":
            first, other = (op.syntax[i].span.text[:60] for i in (0, len(results)))
            raise problem(
                frame,
                "G308",
                f"the alternatives of a choice give one shape, but `{first}` gives {results[0].type}"
                f" and `{other}` gives {result.type}",
                op.span,
                labels=[Label(option.span, f"this gives {result.type}")],
                help="give every alternative the same channels and stride",
            )
        results.append(result)
    zeros = tuple([r.zero and not value.zero for r in results])
    decision = frame.expansion.decisions.of_choice(op, zeros)
    if op.combine == "product" and any(r.zero for r in results):
        raise problem(
            frame,
            "G205",
            "a product of masks cannot include zeros",
            op.span,
            help="leave `none` out of a choice that combines by product",
        )
    try:
        return frame.builder.mix(Mix(*decision, op.combine), results, op.span)
    except ShapeProblem as error:
        labels = [history(result) for result in dict.fromkeys(results)][:3]
        raise problem(frame, "G308", error.message, op.span, labels=labels) from None


def _put_in(node: Any, words: Mapping[str, s.Expr]) -> Any:
    """A tree with expressions in the place of names."""
    if isinstance(node, tuple):
        return tuple(_put_in(item, words) for item in node)
    if isinstance(node, s.Name):
        return words.get(node.id, node)
    if not isinstance(node, s.Node):
        return node
    if isinstance(node, s.For):
        bound = {name.id for name in node.names}
        words = {name: expr for name, expr in words.items() if name not in bound}
    changes = {f.name: _put_in(getattr(node, f.name), words) for f in fields(node) if f.name not in ("span", "names")}
    return replace(node, **changes)


def _hashable(value: object) -> object | None:
    """The value, or None for one that cannot be a key."""
    try:
        hash(value)
    except TypeError:
        return None
    return value
