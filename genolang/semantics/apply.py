"""Operations put to feature maps: layers, pipelines, forks, choices, and calls of definitions."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from genolang.diagnostics import GenoError, Label, Span, did_you_mean
from genolang.lang import syntax as s
from genolang.primitives import MapType, ShapeProblem, pair
from genolang.semantics.arguments import complete
from genolang.semantics.builder import Builder, Scope
from genolang.semantics.calls import CallEvaluator
from genolang.semantics.cells import CellBody
from genolang.semantics.dense import image_maps
from genolang.semantics.frames import POISON, Frame, Poisoned, Use, history, problem
from genolang.semantics.program import Block, Mix
from genolang.semantics.reach import names_of
from genolang.semantics.signatures import definition_signature, reads
from genolang.semantics.slots import fill_slot, zero_state
from genolang.semantics.values import (
    ChoiceOp,
    DefinedOp,
    DefinitionRef,
    ForkOp,
    MapValue,
    Op,
    PipeOp,
    PrimitiveOp,
    SharedOp,
    SlotOp,
    describe,
    has_choice,
    is_local,
    is_op,
)


class Applier(CallEvaluator):
    """The evaluator with everything that builds blocks."""

    def apply(self, op: Op, value: MapValue, frame: Frame, span: Span) -> MapValue:
        self.expansion.budget.spend(2, frame, op.span)
        match op:
            case PrimitiveOp():
                return self.apply_primitive(op, [value], frame, op.span)
            case DefinedOp():
                return self.apply_maps(op, [value], frame, op.span)
            case PipeOp():
                return self.apply_pipe(op, value, frame)
            case ForkOp():
                maps = [self.apply(o, value, frame, o.span) for o in op.operands]
                return self.apply_primitive(
                    PrimitiveOp(op.primitive, op.args, op.span), maps, frame, op.span
                )
            case ChoiceOp():
                return self.apply_choice(op, value, frame)
            case SharedOp():
                # Naming starts afresh at each use, so that every use finds the same weights.
                return self.apply(op.op, value, frame.named(Scope(op.path)), span)
            case SlotOp():
                return fill_slot(self, op, value, frame)

    def apply_pipe(self, op: PipeOp, value: MapValue, frame: Frame) -> MapValue:
        identity = False
        for stage in op.stages:
            drops = isinstance(stage, PrimitiveOp) and stage.primitive.name == "drop_path"
            if drops and identity:
                continue
            result = self.apply(stage, value, frame, stage.span)
            identity = identity or result == value
            value = result
        return value

    def apply_primitive(
        self, op: PrimitiveOp, maps: list[MapValue], frame: Frame, span: Span
    ) -> MapValue:
        primitive = op.primitive
        self.expansion.budget.spend(4, frame, span)
        if primitive.name == "identity":
            return maps[0]
        expected = primitive.maps
        if expected is not None and len(maps) != expected:
            raise problem(frame, "G215", f"`{primitive.name}` takes {_maps(expected)}, not {len(maps)}", span,
                          help=_maps_help(primitive.name, expected))  # fmt: skip
        attrs = complete(op, span, frame)
        if isinstance(attrs.get("like"), MapValue):
            maps = [*maps, attrs["like"]]
            attrs["like"] = True
        if any(m.builder is not frame.builder for m in maps):
            raise problem(frame, "G205", "a feature map of another definition cannot be used here", span,
                          help="hand it over as a parameter: `op gate(g: map) = ...`")  # fmt: skip
        if len(maps) == 1 and _does_nothing(primitive.name, attrs, maps[0].type):
            return maps[0]
        try:
            return frame.builder.layer(primitive, attrs, maps, frame.scope, span)
        except ShapeProblem as error:
            labels = [history(m) for m in dict.fromkeys(maps)][:3]
            raise problem(frame, error.code, error.message, span, help=error.help, labels=labels) from None
        except GenoError as error:
            raise at_place(frame, error, span) from None

    def apply_choice(self, op: ChoiceOp, value: MapValue, frame: Frame) -> MapValue:
        inner = frame.under(op.name)
        results: list[MapValue] = []
        for option in op.options:
            result = self.apply(option, value, inner, option.span)
            if results and result.type != results[0].type and op.combine == "sum":
                first, other = (op.syntax[i].span.text[:60] for i in (0, len(results)))
                raise problem(
                    frame, "G308",
                    f"the alternatives of a choice give one shape, but `{first}` gives {results[0].type}"
                    f" and `{other}` gives {result.type}",
                    op.span, labels=[Label(option.span, f"this gives {result.type}")],
                    help="give every alternative the same channels and stride",
                )  # fmt: skip
            results.append(result)
        decision = self.expansion.decision(op, tuple([r.zero and not value.zero for r in results]))
        if op.combine == "product":
            self._check_product(op, results, frame)
        try:
            return frame.builder.mix(Mix(*decision, op.combine), results, op.span)
        except ShapeProblem as error:
            labels = [history(result) for result in dict.fromkeys(results)][:3]
            raise problem(frame, "G308", error.message, op.span, labels=labels) from None

    def _check_product(self, op: ChoiceOp, results: list[MapValue], frame: Frame) -> None:
        if any(r.zero for r in results):
            raise problem(frame, "G205", "a product of masks cannot include zeros", op.span,
                          help="leave `none` out of a choice that combines by product")  # fmt: skip

    # Definitions

    def apply_maps(self, op: DefinedOp, maps: list[MapValue], frame: Frame, span: Span) -> MapValue:
        ref = op.ref
        self.expansion.budget.spend(2 + op.size // 4, frame, span)
        # One operation is put to many maps of one shape: a cell's edges leave with the same alternatives.
        free = len(maps) == 1 and not self.expansion.plugs.by_slot
        alike = (id(op), maps[0].type, maps[0].zero) if free else None
        known = self.expansion.called.get(alike)
        if known is not None:
            block = known[1]
        else:
            given = dict(op.args)
            inputs = self.bind_maps(ref, given, maps, frame, span)
            self.limit_depth(ref, frame, span)
            local = bool(given) and any(is_local(value) for value in given.values())
            if local or ref.syntax.states or self.expansion.plugs.concerns(op):
                return self.in_place(ref, given, inputs, frame, frame.scope.child(ref.name), span)
            block = self.block(ref, given, inputs, frame, span)
            maps = list(inputs.values())
            if alike is not None:
                # The operation is kept too, so that its number stays its own.
                self.expansion.called[alike] = op, block
        if block.nodes[block.outputs[0]].kind == "input":
            return maps[block.outputs[0]]
        if any(m.builder is not frame.builder for m in maps):
            raise problem(frame, "G205", "a feature map of another definition cannot be used here", span)
        self.expansion.budget.spend(block.weighted // 4, frame, span)
        path = frame.scope.name(ref.name) if block.weighted else ()
        try:
            return frame.builder.call(block, maps, path, span)
        except GenoError as error:
            raise at_place(frame, error, span) from None

    def in_place(
        self, ref: DefinitionRef, given: dict[str, Any], inputs: dict[str, MapValue], frame: Frame,
        scope: Scope, span: Span,
    ) -> MapValue:  # fmt: skip
        """The definition expanded in the caller's block, its weights named under a scope."""
        inner = Frame(ref.name, ref.module, frame.builder, scope, {}, self.uses(ref, frame, span),
                      None, None)  # fmt: skip
        return self.body(ref, given, inputs, inner, span)

    def bind_maps(
        self, ref: DefinitionRef, given: dict[str, Any], maps: list[MapValue], frame: Frame, span: Span
    ) -> dict[str, MapValue]:
        """The maps by parameter: those given by name, the others first to last."""
        params = ref.map_params
        if len(params) == len(maps) == 1 and params[0] not in given:
            return {params[0]: maps[0]}
        given |= image_maps(ref, given, len(maps), frame)
        free = [name for name in params if name not in given]
        if len(maps) != len(free):
            raise problem(
                frame, "G215", f"`{ref.name}` takes {_maps(len(free))}, not {len(maps)}", span,
                labels=[Label(ref.syntax.name.span, "defined here")],
                help=reads(definition_signature(ref.syntax)),
            )  # fmt: skip
        inputs = dict(zip(free, maps, strict=True))
        return {name: given.pop(name) if name in given else inputs[name] for name in params}

    def uses(self, ref: DefinitionRef, frame: Frame, span: Span) -> tuple[Use, ...]:
        return (*frame.uses, Use(ref.name, span))

    def block(
        self, ref: DefinitionRef, given: dict[str, Any], inputs: dict[str, MapValue], frame: Frame,
        span: Span,
    ) -> Block:  # fmt: skip
        """The definition expanded at these arguments and shapes, made once."""
        shapes = tuple((m.type, m.zero) for m in inputs.values())
        # The types stand in the key because True == 1 and 2 == 2.0 in Python.
        key = (ref, tuple((n, type(v), v) for n, v in given.items()), shapes)
        try:
            found = self.expansion.closed.get(key) or self.expansion.memo.get(key)
        except TypeError:
            key, found = None, None  # type: ignore[assignment]
        if found is not None:
            return found
        self.expansion.budget.spend(20, frame, span)
        builder = Builder(ref.name)
        inner = Frame(ref.name, ref.module, builder, Scope(), {}, self.uses(ref, frame, span), None, None)
        own = {
            name: builder.input(m.type, ref.syntax.name.span, zero=m.zero) for name, m in inputs.items()
        }
        output = self.body(ref, given, own, inner, span)
        block = builder.finish([output])
        if key is not None:
            (self.expansion.memo if block.open else self.expansion.closed)[key] = block
        return block

    def body(
        self, ref: DefinitionRef, given: dict[str, Any], inputs: dict[str, MapValue], frame: Frame,
        span: Span,
    ) -> MapValue:  # fmt: skip
        """Evaluate a definition's text in a fresh frame."""
        deepest = self.expansion.deepest
        if deepest is None or len(deepest.uses) < len(frame.uses):
            self.expansion.deepest = frame
        frame.names = dict(inputs)
        if ref.map_params == ["x"] or (ref.map_params[:1] == ["x"]):
            frame.main = inputs["x"]
            del frame.names["x"]
        self.bind_params(ref, given, frame, span)
        states = ref.syntax.states
        if states:
            self.read_states(states, inputs, frame)
        text = ref.syntax.body
        if isinstance(text, tuple):
            found = self.statements(ref, text, frame, span)
        else:
            found = self.result(ref, self.evaluate(text, frame), text.span, frame)
        if states:
            self.write_states(states, frame)
        return found

    def read_states(
        self, states: tuple[s.Name, ...], inputs: dict[str, MapValue], frame: Frame
    ) -> None:
        """What the last use of this instance left, zeros before the first."""
        held = frame.builder.states.get(frame.scope.path)
        if held is None:
            first = next(iter(inputs.values()))
            zero = zero_state(self, first, frame, states[0].span)
            held = frame.builder.states[frame.scope.path] = (zero,) * len(states)
        frame.names.update({name.id: value for name, value in zip(states, held, strict=True)})

    def write_states(self, states: tuple[s.Name, ...], frame: Frame) -> None:
        held = frame.builder.states[frame.scope.path]
        now = []
        for name, old in zip(states, held, strict=True):
            value = frame.names[name.id]
            if value is POISON:
                raise Poisoned
            if not isinstance(value, MapValue) or value.type != old.type:
                raise problem(
                    frame, "G420", f"the state `{name.id}` is {old.type} and becomes {describe(value)}",
                    name.span, help="a state is one number per channel of the first map, before and after",
                    labels=[history(value)] if isinstance(value, MapValue) else [],
                )  # fmt: skip
            now.append(value)
        frame.builder.states[frame.scope.path] = tuple(now)

    def bind_params(self, ref: DefinitionRef, given: dict[str, Any], frame: Frame, span: Span) -> None:
        for param in ref.value_params:
            if param.name in given:
                frame.names[param.name] = given[param.name]
                if param.default is not None:
                    self.expansion.given.setdefault((ref, param.name), span)
            elif param.default is not None:
                value = frame.names[param.name] = self.evaluate(param.default, frame)
                if is_op(value) and has_choice(value):
                    frame.defaults = {**(frame.defaults or {}), param.name: (ref, param.default, frame)}
            else:
                raise problem(
                    frame, "G201", f"`{ref.name}` needs `{param.name}`", span,
                    labels=[Label(param.span, "it has no default")],
                    help=reads(definition_signature(ref.syntax)),
                )  # fmt: skip

    def result(self, ref: DefinitionRef, value: Any, span: Span, frame: Frame) -> MapValue:
        if isinstance(value, MapValue):
            return value
        if is_op(value) and frame.main is not None:
            return self.apply(value, frame.main, frame, span)
        raise problem(frame, "G205", f"`{ref.name}` returns a feature map, not {describe(value)}", span)

    def statements(
        self, ref: DefinitionRef, body: tuple[s.Statement, ...], frame: Frame, span: Span
    ) -> MapValue:
        cell = CellBody(self, ref, body, frame)
        failed = False
        for statement in body:
            try:
                if isinstance(statement, s.Return):
                    if not failed:
                        value = self.evaluate(statement.value, frame)
                        return self.result(ref, value, statement.span, frame)
                    raise Poisoned
                self.statement(cell, statement, frame)
            except GenoError as error:
                if ref.module.source.library:
                    raise
                self.expansion.report(error)
                failed = True
                self.poison(statement, frame)
            except Poisoned:
                failed = True
                self.poison(statement, frame)
        if failed:
            raise Poisoned
        raise problem(frame, "G109", f"`{ref.name}` returns nothing", ref.syntax.name.span)

    def poison(self, statement: s.Statement, frame: Frame) -> None:
        """Names that a wrong statement would have given stay silent where they are used."""
        names: list[s.Name] = []
        if isinstance(statement, s.Assign):
            names = [statement.name]
        elif isinstance(statement, s.Inputs):
            names = [item.name for item in statement.inputs]
        elif isinstance(statement, s.Nodes):
            names = list(statement.names)
        for name in names:
            if not isinstance(frame.names.get(name.id), MapValue):
                frame.names[name.id] = POISON

    def statement(self, cell: CellBody, statement: s.Statement, frame: Frame) -> None:
        match statement:
            case s.Assign():
                self.assign(statement, frame)
            case s.Require():
                self.require(statement, frame, {})
            case s.Inputs():
                for item in statement.inputs:
                    self.assign(item, frame)
                cell.set_inputs(statement)
            case s.Nodes():
                cell.build(statement)
            case _:
                pass  # edges and keep are read where the nodes are declared

    def assign(self, statement: s.Assign, frame: Frame) -> None:
        name = statement.name.id
        inner = frame.under(name)
        value = self.evaluate(statement.value, inner)
        if is_op(value):
            # A name for an operation is one instance: its uses share the weights.
            value = SharedOp(value, inner.scope.path, statement.span)
            frame.builder.reserve(inner.scope.path)
        frame.names[name] = value

    def require(self, statement: s.Require, frame: Frame, names: dict[str, Any]) -> None:
        inner = replace(frame, names=frame.names | names)
        if self.condition(statement.condition, inner):
            return
        text = statement.condition.span.text
        notes = []
        for name in names_of(statement.condition):
            value = inner.names.get(name)
            if value is None and inner.main is not None and name in "CHW":
                value = getattr(inner.main.type, name)
            if isinstance(value, int):
                notes.append(f"{name} is {value:,}")
        message = statement.message.value if statement.message else f"this does not hold: {text[:80]}"
        raise problem(frame, "G212", message, statement.span, notes=notes)


def at_place(frame: Frame, error: GenoError, span: Span) -> GenoError:
    """An error of the block under construction, said at the words that led to it."""
    first = error.diagnostics[0]
    return problem(frame, first.code, first.message, span, help=first.help, notes=first.notes)


def _maps(count: int) -> str:
    return {0: "no feature map", 1: "one feature map"}.get(count, f"{count} feature maps")


def _maps_help(name: str, count: int) -> str | None:
    return f"write `{name}(a, b)`" if count == 2 else None


def _does_nothing(name: str, attrs: dict[str, Any], type: MapType) -> bool:
    """Layers that return their input: a sum of one, a product by one, a stride of one."""
    if name in ("add", "multiply"):
        return bool(attrs["constant"] == (0 if name == "add" else 1))
    if name == "subsample":
        return bool(attrs["stride"] == 1 and attrs["offset"] == 0)
    if name == "slice":
        return bool((attrs["start"], attrs["stop"]) == (0, type.C))
    if name == "pad_channels":
        return bool(attrs["out"] == type.C)
    if name == "repeat_channels":
        return bool(attrs["times"] == 1)
    return bool(name == "resize" and attrs["size"] is not None and type[1:] == pair(attrs["size"]))


__all__ = ["Applier", "did_you_mean"]
