"""Primitive layers put to feature maps, and operations made of others: pipelines, forks, named ones."""

from __future__ import annotations

from typing import Any

from genolang.diagnostics import GenoError, Span
from genolang.primitives import PRIMITIVES, MapType, ShapeProblem, pair
from genolang.semantics.expansion.arguments import complete
from genolang.semantics.expansion.builder import MapValue, Scope
from genolang.semantics.expansion.errors import at_place, history, problem
from genolang.semantics.expansion.frames import Frame
from genolang.semantics.expansion.values import ForkOp, PipeOp, PrimitiveOp, SharedOp


def apply_primitive(op: PrimitiveOp, value: MapValue, frame: Frame) -> MapValue:
    return add_layer(op, [value], frame)


def apply_pipe(op: PipeOp, value: MapValue, frame: Frame) -> MapValue:
    identity = False
    for stage in op.stages:
        drops = isinstance(stage, PrimitiveOp) and stage.primitive.name == "drop_path"
        if drops and identity:
            continue
        result = frame.apply(stage, value)
        identity = identity or result == value
        value = result
    return value


def apply_fork(op: ForkOp, value: MapValue, frame: Frame) -> MapValue:
    maps = [frame.apply(operand, value) for operand in op.operands]
    return add_layer(PrimitiveOp(op.span, op.primitive, op.args), maps, frame)


def apply_shared(op: SharedOp, value: MapValue, frame: Frame) -> MapValue:
    # Naming starts afresh at each use, so that every use finds the same weights.
    return frame.but(scope=Scope(op.path)).apply(op.op, value)


def add_layer(op: PrimitiveOp, maps: list[MapValue], frame: Frame) -> MapValue:
    """A primitive layer over maps of the frame's block. Errors: G201, G205, G215, those of its shape."""
    primitive, span = op.primitive, op.span
    frame.expansion.budget.spend(4, frame, span)
    if primitive.name == "identity":
        return maps[0]
    expected = primitive.maps
    if expected is not None and len(maps) != expected:
        raise problem(
            frame,
            "G215",
            f"`{primitive.name}` takes {maps_in_words(expected)}, not {len(maps)}",
            span,
            help=f"write `{primitive.name}(a, b)`" if expected == 2 else None,
        )
    attrs = complete(op, frame)
    if attrs.get("init", 0) is None:
        attrs["init"] = frame.expansion.initialiser
    if isinstance(attrs.get("like"), MapValue):
        maps = [*maps, attrs["like"]]
        attrs["like"] = True
    if any(m.builder is not frame.builder for m in maps):
        raise problem(
            frame,
            "G205",
            "a feature map of another definition cannot be used here",
            span,
            help="hand it over as a parameter: `op gate(g: map) = ...`",
        )
    if len(maps) == 1 and _does_nothing(primitive.name, attrs, maps[0].type):
        return maps[0]
    try:
        return frame.builder.layer(primitive, attrs, maps, frame.scope, span)
    except ShapeProblem as error:
        labels = [history(m) for m in dict.fromkeys(maps)][:3]
        raise problem(frame, error.code, error.message, span, help=error.help, labels=labels) from None
    except GenoError as error:
        raise at_place(frame, error, span) from None


def named_layer(name: str, maps: list[MapValue], frame: Frame, span: Span, **attrs: Any) -> MapValue:
    """A primitive layer by its name."""
    return add_layer(PrimitiveOp(span, PRIMITIVES[name], tuple(attrs.items())), maps, frame)


def zero_state(like: MapValue, frame: Frame, span: Span) -> MapValue:
    """A state before its first use: zeros, one per channel of a map."""
    return named_layer("zeros", [named_layer("global_avg_pool", [like], frame, span)], frame, span)


def maps_in_words(count: int) -> str:
    return {0: "no feature map", 1: "one feature map"}.get(count, f"{count} feature maps")


def _does_nothing(name: str, attrs: dict[str, Any], type: MapType) -> bool:
    """Layers that return their input: a sum of one, a product by one, a stride of one."""
    match name:
        case "add" | "multiply":
            return bool(attrs["constant"] == (0 if name == "add" else 1))
        case "subsample":
            return bool(attrs["stride"] == 1 and attrs["offset"] == 0)
        case "slice":
            return bool((attrs["start"], attrs["stop"]) == (0, type.C))
        case "pad_channels":
            return bool(attrs["out"] == type.C)
        case "repeat_channels":
            return bool(attrs["times"] == 1)
        case "resize":
            return bool(attrs["size"] is not None and type[1:] == pair(attrs["size"]))
    return False
