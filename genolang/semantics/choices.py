"""Choices: alternatives in place or by name, and the arguments that a use hands on to them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any

from genolang.diagnostics import Label, Span, did_you_mean
from genolang.lang import syntax as s
from genolang.semantics.arguments import bind_definition
from genolang.semantics.expand import Evaluator
from genolang.semantics.frames import Frame, Within, problem
from genolang.semantics.values import (
    ChoiceOp,
    DefinedOp,
    DefinitionRef,
    Op,
    PrimitiveOp,
    describe,
    has_choice,
    is_local,
    is_op,
)


class ChoiceEvaluator(Evaluator):
    """The evaluator with choices."""

    def eval_alternatives(self, expr: s.Alternatives, frame: Frame) -> ChoiceOp:
        return self.make_choice("choice", expr.options, expr.options, "sum", (), frame, frame, expr.span)

    def choice(self, ref: DefinitionRef, span: Span, extra: Any, frame: Frame) -> ChoiceOp:
        """A use of a named choice; `extra` arguments are for its parameters or go to every alternative."""
        body, definition = ref.syntax.body, ref.syntax
        known = (ref, tuple((name, type(value), value) for name, value, _ in extra))
        names = [p.name for p in ref.value_params]
        options: Any = body.options if isinstance(body, s.Alternatives) else (body,)
        given: dict[str, tuple[Any, s.Arg]] = {}
        written = options
        if names:
            given = {name: (value, arg) for name, value, arg in extra if name in names}
            extra = tuple(item for item in extra if item[0] not in given)
            words = {name: arg.value for name, (_, arg) in given.items()}
            for param in ref.value_params:
                words.setdefault(param.name, _put_in(param.default, words))
            written = tuple(_put_in(option, words) for option in options)
        ready = self.expansion.options.get(known) if _hashable(known) else None
        combine = definition.combine.id if definition.combine is not None else "sum"
        if ready is not None:
            return self.place_choice(ref.name, ready, options, written, combine, extra, frame, span)
        inner = self.inner_frame(ref, {}, frame, span)
        self.bind_params(ref, {name: value for name, (value, _) in given.items()}, inner, span)
        for name in names:
            if is_op(inner.names[name]) and has_choice(inner.names[name]):
                raise problem(frame, "G414", f"the parameter `{name}` of a choice cannot be a choice", span,
                              help="write an alternative for each")  # fmt: skip
        if combine not in ("sum", "product"):
            raise problem(frame, "G205", f"alternatives combine by sum or by product, not `{combine}`", span)
        if isinstance(body, tuple) or len(options) < 2:
            raise problem(
                frame, "G407", f"the choice `{ref.name}` has fewer than two alternatives", span,
                labels=[Label(definition.span, "defined here")],
                help="write them with `|` between: `choice c = skip | sep_conv(3)`",
            )  # fmt: skip
        made = self.make_choice(ref.name, options, written, combine, extra, inner, frame, span)
        if _hashable(known) and not any(is_local(op) or has_choice(op) for op in made.options):
            self.expansion.options[known] = made.options
        return made

    def make_choice(
        self, name: str, options: Any, written: Any, combine: str, extra: Any, inner: Frame, frame: Frame,
        span: Span,
    ) -> ChoiceOp:  # fmt: skip
        ops = []
        home, way = frame.home, frame.way(span)
        for number, option in enumerate(options):
            op = self.evaluate(option, inner.standing_in(Within(home, way, number)))
            if not is_op(op):
                raise problem(inner, "G205", f"an alternative is an operation, not {describe(op)}",
                              option.span)  # fmt: skip
            if isinstance(op, ChoiceOp):
                raise problem(inner, "G414", "a choice cannot be an alternative of a choice", option.span,
                              help="list its alternatives here")  # fmt: skip
            ops.append(self.bind_more(op, extra, frame, span) if extra else op)
        return self.place_choice(name, tuple(ops), options, written, combine, extra, frame, span)

    def place_choice(
        self, name: str, ops: tuple[Op, ...], options: tuple[s.Expr, ...], written: tuple[s.Expr, ...],
        combine: str, extra: Any, frame: Frame, span: Span,
    ) -> ChoiceOp:  # fmt: skip
        added = tuple(s.Arg(arg.span, name, arg.value) for name, _, arg in extra)
        return ChoiceOp(name, ops, options, written, added, combine, frame.home, frame.edge, frame.way(span),
                        span)  # fmt: skip

    def call_choice(self, expr: s.Call, args: list[Any], frame: Frame) -> ChoiceOp:
        ref = self.choice_ref(expr.callee, frame)
        if ref is None:
            raise problem(frame, "G208", "only a named choice takes arguments", expr.span)
        for name, _, arg in args:
            if name is None:
                raise problem(frame, "G406", "a choice hands on named arguments only", arg.span,
                              help="write `operation(stride=2)`")  # fmt: skip
        extra = tuple((name, value, arg) for name, value, arg in args)
        return self.choice(ref, expr.span, extra, frame)

    def choice_ref(self, callee: s.Expr, frame: Frame) -> DefinitionRef | None:
        if isinstance(callee, s.Name):
            found = frame.module.lookup(callee.id)
            return found[0] if found and found[0].kind == "choice" else None
        if isinstance(callee, s.Attribute) and isinstance(callee.base, s.Name):
            module = frame.module.aliases.get(callee.base.id)
            ref = module.definitions.get(callee.name) if module else None
            return ref if ref is not None and ref.kind == "choice" else None
        return None

    def bind_more(self, op: Op, extra: Any, frame: Frame, span: Span) -> Op:
        """An alternative with the choice's arguments added; it must take every one of them."""
        for name, _, arg in extra:
            takes = (
                {f.name for f in op.primitive.fields} - {"constant"}
                if isinstance(op, PrimitiveOp)
                else {p.name for p in op.ref.value_params} if isinstance(op, DefinedOp) else set()
            )
            if name not in takes or name in {n for n, _ in getattr(op, "args", ())}:
                raise problem(
                    frame, "G406", f"an alternative of this choice does not take `{name}`", arg.span,
                    labels=[Label(op.span, "this one")],
                    help=did_you_mean(name, takes) or f"give every alternative a parameter `{name}`",
                )  # fmt: skip
        args = [(name, value) for name, value, _ in extra]
        if isinstance(op, DefinedOp):
            bound = bind_definition(self, op.ref, op.args, extra, span, frame)
            return DefinedOp(op.ref, bound, op.span)
        assert isinstance(op, PrimitiveOp)
        return PrimitiveOp(op.primitive, (*op.args, *args), op.span)


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
    changes = {f.name: _put_in(getattr(node, f.name), words) for f in fields(node)
               if f.name not in ("span", "names")}  # fmt: skip
    return replace(node, **changes)


def _hashable(value: object) -> bool:
    try:
        hash(value)
    except TypeError:
        return False
    return True
