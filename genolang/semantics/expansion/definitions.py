"""Definitions put to feature maps: their arguments bound, their text read, each made once into a block."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from genolang.diagnostics import GenoError, Label, Span
from genolang.lang import syntax as s
from genolang.semantics.expansion.arguments import misfit
from genolang.semantics.expansion.builder import Builder, MapValue, Scope
from genolang.semantics.expansion.cells import CellBody
from genolang.semantics.expansion.dense import image_maps
from genolang.semantics.expansion.errors import POISON, Poisoned, Use, at_place, history, problem
from genolang.semantics.expansion.frames import Frame
from genolang.semantics.expansion.layers import maps_in_words, zero_state
from genolang.semantics.expansion.values import DefinedOp, Op, SharedOp, describe, has_choice, is_local
from genolang.semantics.modules import DefinitionRef
from genolang.semantics.program import Block
from genolang.semantics.reach import names_of

MAX_DEPTH = 40


def apply_definition(op: DefinedOp, value: MapValue, frame: Frame) -> MapValue:
    return call_definition(op, [value], frame)


def call_definition(op: DefinedOp, maps: list[MapValue], frame: Frame) -> MapValue:
    """A definition put to maps: a call of its block, or its text in the caller's."""
    ref, span, expansion = op.ref, op.span, frame.expansion
    expansion.budget.spend(2 + op.size // 4, frame, span)
    # One operation is put to many maps of one shape: a cell's edges leave with the same alternatives.
    free = len(maps) == 1 and not expansion.plugs.by_slot
    alike = (id(op), maps[0].type, maps[0].zero) if free else None
    known = expansion.called.get(alike)
    if known is not None:
        block = known[1]
    else:
        given = dict(op.args)
        inputs = _bind_maps(ref, given, maps, frame, span)
        limit_depth(ref, frame, span)
        local = bool(given) and any(is_local(value) for value in given.values())
        if local or ref.syntax.states or expansion.plugs.concerns(op):
            return expand_in_place(ref, given, inputs, frame, frame.scope.child(ref.name), span)
        block = block_of(ref, given, inputs, frame, span)
        maps = list(inputs.values())
        if alike is not None:
            # The operation is kept too, so that its number stays its own.
            expansion.called[alike] = op, block
    if block.nodes[block.outputs[0]].kind == "input":
        return maps[block.outputs[0]]
    if any(m.builder is not frame.builder for m in maps):
        raise problem(frame, "G205", "a feature map of another definition cannot be used here", span)
    expansion.budget.spend(block.weighted // 4, frame, span)
    path = frame.scope.name(ref.name) if block.weighted else ()
    try:
        return frame.builder.call(block, maps, path, span)
    except GenoError as error:
        raise at_place(frame, error, span) from None


def expand_in_place(
    ref: DefinitionRef, given: dict[str, Any], inputs: dict[str, MapValue], frame: Frame, scope: Scope, span: Span
) -> MapValue:
    """The definition expanded in the caller's block, its weights named under a scope."""
    inner = Frame(frame.expansion, ref.name, ref.module, frame.builder, scope, {}, used(ref, frame, span))
    return _read(ref, given, inputs, inner, span)


def block_of(ref: DefinitionRef, given: dict[str, Any], inputs: dict[str, MapValue], frame: Frame, span: Span) -> Block:
    """The definition expanded at these arguments and shapes, made once."""
    expansion = frame.expansion
    shapes = tuple([(m.type, m.zero) for m in inputs.values()])
    # The types stand in the key because True == 1 and 2 == 2.0 in Python.
    key: object = (ref, tuple([(n, type(v), v) for n, v in given.items()]), shapes, expansion.initialiser)
    try:
        found = expansion.closed.get(key) or expansion.memo.get(key)
    except TypeError:
        key = found = None
    if found is not None:
        return found
    expansion.budget.spend(20, frame, span)
    builder = Builder(ref.name)
    inner = Frame(expansion, ref.name, ref.module, builder, Scope(), {}, used(ref, frame, span))
    own = {name: builder.input(m.type, ref.syntax.name.span, zero=m.zero) for name, m in inputs.items()}
    block = builder.finish([_read(ref, given, own, inner, span)])
    if key is not None:
        (expansion.memo if block.open else expansion.closed)[key] = block
    return block


def used(ref: DefinitionRef, frame: Frame, span: Span) -> tuple[Use, ...]:
    """The way into a definition that a frame's text uses."""
    return (*frame.uses, Use(ref.name, span))


def limit_depth(ref: DefinitionRef, frame: Frame, span: Span) -> None:
    if len(frame.uses) >= MAX_DEPTH:
        raise misfit(
            frame,
            ref,
            "G210",
            f"`{ref.name}` is used inside itself without end",
            span,
            help="end the recursion with `if levels == 0 then ... else ...`; inside a definition"
            " that replaces a primitive, write `core.name` for the primitive",
        )


# Arguments


def _bind_maps(
    ref: DefinitionRef, given: dict[str, Any], maps: list[MapValue], frame: Frame, span: Span
) -> dict[str, MapValue]:
    """The maps by parameter: those given by name, the others first to last."""
    params = ref.map_params
    if len(params) == len(maps) == 1 and params[0] not in given:
        return {params[0]: maps[0]}
    given |= image_maps(ref, given, len(maps), frame)
    free = [name for name in params if name not in given]
    if len(maps) != len(free):
        message = f"`{ref.name}` takes {maps_in_words(len(free))}, not {len(maps)}"
        raise misfit(frame, ref, "G215", message, span)
    inputs = dict(zip(free, maps, strict=True))
    return {name: given.pop(name) if name in given else inputs[name] for name in params}


def bind_params(ref: DefinitionRef, given: Mapping[str, Any], frame: Frame, span: Span) -> None:
    """Give a definition's frame its parameters. Error: G201 for one that must be given."""
    for param in ref.value_params:
        if param.name in given:
            frame.names[param.name] = given[param.name]
            if param.default is not None:
                frame.expansion.given.setdefault((ref, param.name), span)
        elif param.default is not None:
            value = frame.names[param.name] = frame.evaluate(param.default)
            if isinstance(value, Op) and has_choice(value):
                frame.defaults = {**(frame.defaults or {}), param.name: (ref, param.default, frame)}
        else:
            raise misfit(
                frame,
                ref,
                "G201",
                f"`{ref.name}` needs `{param.name}`",
                span,
                label=Label(param.span, "it has no default"),
            )


# Texts


def _read(ref: DefinitionRef, given: dict[str, Any], inputs: dict[str, MapValue], frame: Frame, span: Span) -> MapValue:
    """What a definition's text comes to in a fresh frame."""
    deepest = frame.expansion.deepest
    if deepest is None or len(deepest.uses) < len(frame.uses):
        frame.expansion.deepest = frame
    frame.names = dict(inputs)
    if ref.map_params[:1] == ["x"]:
        frame.main = frame.names.pop("x")
    bind_params(ref, given, frame, span)
    states = ref.syntax.states
    if states:
        _read_states(states, inputs, frame)
    text = ref.syntax.body
    if isinstance(text, tuple):
        found = _statements(ref, text, frame)
    else:
        found = _result(ref, frame.evaluate(text), text.span, frame)
    if ref.kind == "attention" and frame.main is not None and found.type != frame.main.type:
        raise problem(
            frame,
            "G301",
            f"the attention module `{ref.name}` turns {frame.main.type} into {found.type}",
            ref.syntax.name.span,
            help="attention keeps the shape of its map; define anything else as an `op`",
            labels=[history(found)],
        )
    if states:
        _write_states(states, frame)
    return found


def _read_states(states: tuple[s.Name, ...], inputs: dict[str, MapValue], frame: Frame) -> None:
    """What the last use of this instance left, zeros before the first."""
    held = frame.builder.states.get(frame.scope.path)
    if held is None:
        zero = zero_state(next(iter(inputs.values())), frame, states[0].span)
        held = frame.builder.states[frame.scope.path] = (zero,) * len(states)
    frame.names.update({name.id: value for name, value in zip(states, held, strict=True)})


def _write_states(states: tuple[s.Name, ...], frame: Frame) -> None:
    held = frame.builder.states[frame.scope.path]
    now = []
    for name, old in zip(states, held, strict=True):
        value = frame.names[name.id]
        if value is POISON:
            raise Poisoned
        if not isinstance(value, MapValue) or value.type != old.type:
            raise problem(
                frame,
                "G420",
                f"the state `{name.id}` is {old.type} and becomes {describe(value)}",
                name.span,
                help="a state is one number per channel of the first map, before and after",
                labels=[history(value)] if isinstance(value, MapValue) else [],
            )
        now.append(value)
    frame.builder.states[frame.scope.path] = tuple(now)


def _result(ref: DefinitionRef, value: Any, span: Span, frame: Frame) -> MapValue:
    if isinstance(value, MapValue):
        return value
    if isinstance(value, Op) and frame.main is not None:
        return frame.apply(value, frame.main)
    raise problem(frame, "G205", f"`{ref.name}` returns a feature map, not {describe(value)}", span)


def _statements(ref: DefinitionRef, body: tuple[s.Statement, ...], frame: Frame) -> MapValue:
    cell = CellBody(ref, body, frame)
    failed = False
    for statement in body:
        try:
            match statement:
                case s.Return() if failed:
                    raise Poisoned
                case s.Return():
                    return _result(ref, frame.evaluate(statement.value), statement.span, frame)
                case s.Assign():
                    assign(statement, frame)
                case s.Require():
                    require(statement, frame, {})
                case s.Inputs():
                    for item in statement.inputs:
                        assign(item, frame)
                    cell.set_inputs(statement)
                case s.Nodes():
                    cell.build(statement)
                case _:
                    pass  # edges and keep are read where the nodes are declared
        except (GenoError, Poisoned) as error:
            if isinstance(error, GenoError):
                if ref.module.source.library:
                    raise
                frame.expansion.report(error)
            failed = True
            _poison(statement, frame)
    if failed:
        raise Poisoned
    raise problem(frame, "G109", f"`{ref.name}` returns nothing", ref.syntax.name.span)


def _poison(statement: s.Statement, frame: Frame) -> None:
    """Names that a wrong statement would have given stay silent where they are used."""
    names: list[s.Name] = []
    match statement:
        case s.Assign():
            names = [statement.name]
        case s.Inputs():
            names = [item.name for item in statement.inputs]
        case s.Nodes():
            names = list(statement.names)
    for name in names:
        if not isinstance(frame.names.get(name.id), MapValue):
            frame.names[name.id] = POISON


def assign(statement: s.Assign, frame: Frame) -> None:
    name = statement.name.id
    inner = frame.under(name)
    value = inner.evaluate(statement.value)
    if isinstance(value, Op):
        # A name for an operation is one instance: its uses share the weights.
        value = SharedOp(statement.span, value, inner.scope.path)
        frame.builder.reserve(inner.scope.path)
    frame.names[name] = value


def require(statement: s.Require, frame: Frame, names: dict[str, Any]) -> None:
    """Error: G212 where it does not hold; `names` are known to it besides those of the frame."""
    inner = frame.but(names=names)
    if inner.condition(statement.condition):
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
