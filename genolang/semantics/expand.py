"""Expressions and definitions to blocks: the evaluator of the language.

It is total: repetition is over compile-time numbers with a limit, recursion has a depth limit, and
every operation is expanded once per set of arguments and input shapes.
"""

from __future__ import annotations

from typing import Any

from genolang.diagnostics import Label, Span, did_you_mean
from genolang.lang import syntax as s
from genolang.lang.limits import limit, limit_note
from genolang.lang.printer import print_expression
from genolang.primitives import PRIMITIVES
from genolang.semantics.arguments import bind_definition, bind_primitive
from genolang.semantics.arithmetic import NUMERIC_FUNCTIONS, arithmetic, whole
from genolang.semantics.frames import POISON, Expansion, Frame, Poisoned, Use, problem
from genolang.semantics.modules import Module, core_names
from genolang.semantics.names import names_in_scope
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
    describe,
    is_local,
    is_number,
    is_op,
    size_of,
)

# Expressions that put values together.
_MAKERS = (s.Sequence, s.Infix, s.Pipeline, s.For, s.Call, s.Alternatives)
MAX_DEPTH = 40
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
            return value
        if frame.main is not None and name in "xCHW":
            return frame.main if name == "x" else getattr(frame.main.type, name)
        if name == "searching":
            return self.expansion.searching
        return self.global_name(name, expr.span, frame)

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
        return self.evaluate(
            expr.then if self.condition(expr.condition, frame) else expr.otherwise, frame
        )

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
                    help=f"feed it: `(x -> {print_expression(operand)[:40]})`",
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
        if expr.operator == "+":
            attrs = {"constant": sum(constants)}
        elif expr.operator == "*":
            product: Any = 1
            for constant in constants:
                product *= constant
            attrs = {"constant": product}
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
        if expr.operator == "+":
            args = (("constant", sum(constants)),)
        elif expr.operator == "*":
            product: Any = 1
            for constant in constants:
                product *= constant
            args = (("constant", product),)
        return ForkOp(PRIMITIVES[_JOINS[expr.operator]], tuple(ops), args, expr.span)

    # Pipelines, choices, repetition

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

    def eval_alternatives(self, expr: s.Alternatives, frame: Frame) -> ChoiceOp:
        return self.make_choice("choice", expr.options, "sum", (), frame, frame, expr.span)

    def choice(self, ref: DefinitionRef, span: Span, extra: Any, frame: Frame) -> ChoiceOp:
        """A use of a named choice; `extra` arguments go to every alternative."""
        body, definition = ref.syntax.body, ref.syntax
        known = (ref, tuple((name, type(value), value) for name, value, _ in extra))
        ready = self.expansion.options.get(known) if _hashable(known) else None
        if ready is not None:
            combine = definition.combine.id if definition.combine is not None else "sum"
            return self.place_choice(ref.name, ready, body.options, combine, extra, frame, span)  # type: ignore[union-attr]
        inner = self.inner_frame(ref, dict(bind_definition(self, ref, (), (), span, frame)), frame, span)
        options = body.options if isinstance(body, s.Alternatives) else (body,)
        combine = definition.combine.id if definition.combine is not None else "sum"
        if combine not in ("sum", "product"):
            raise problem(frame, "G205", f"alternatives combine by sum or by product, not `{combine}`", span)
        if isinstance(body, tuple) or len(options) < 2:
            raise problem(
                frame, "G407", f"the choice `{ref.name}` has fewer than two alternatives", span,
                labels=[Label(definition.span, "defined here")],
                help="write them with `|` between: `choice c = skip | sep_conv(3)`",
            )  # fmt: skip
        made = self.make_choice(ref.name, options, combine, extra, inner, frame, span)
        if _hashable(known) and not any(is_local(op) for op in made.options):
            self.expansion.options[known] = made.options
        return made

    def make_choice(
        self, name: str, options: Any, combine: str, extra: Any, inner: Frame, frame: Frame, span: Span
    ) -> ChoiceOp:
        ops = []
        for option in options:
            op = self.evaluate(option, inner)
            if not is_op(op):
                raise problem(inner, "G205", f"an alternative is an operation, not {describe(op)}",
                              option.span)  # fmt: skip
            if isinstance(op, ChoiceOp):
                raise problem(inner, "G414", "a choice cannot be an alternative of a choice", option.span,
                              help="list its alternatives here")  # fmt: skip
            ops.append(self.bind_more(op, extra, frame, span) if extra else op)
        return self.place_choice(name, tuple(ops), options, combine, extra, frame, span)

    def place_choice(
        self, name: str, ops: tuple[Op, ...], options: tuple[s.Expr, ...], combine: str, extra: Any,
        frame: Frame, span: Span,
    ) -> ChoiceOp:  # fmt: skip
        added = tuple(s.Arg(arg.span, name, arg.value) for name, _, arg in extra)
        return ChoiceOp(
            name, ops, options, added, combine, frame.definition, frame.edge, span.start, span
        )

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
            inner = Frame(frame.definition, frame.module, frame.builder, frame.scope, names,
                          frame.uses, frame.main, frame.edge)  # fmt: skip
            op = self.evaluate(expr.body, inner)
            if not is_op(op):
                raise problem(frame, "G205", f"`for` repeats an operation, not {describe(op)}",
                              expr.body.span)  # fmt: skip
            stages.append(op)
        return PipeOp(tuple(stages), expr.span)

    # Calls

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
            bound = bind_definition(self, callee.ref, callee.args, args, expr.span, frame)
            return NetworkValue(callee.ref, bound, expr.span)
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

    # To be given by the applier

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


def _hashable(value: object) -> bool:
    try:
        hash(value)
    except TypeError:
        return False
    return True
