"""Networks: an input, a stem, cells one after the other, auxiliary and main heads."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from genolang.diagnostics import GenoError, Span, did_you_mean, fail
from genolang.lang import syntax as s
from genolang.lang.limits import limit, limit_note
from genolang.primitives import PRIMITIVES, Field, MapType
from genolang.semantics.expansion.arguments import bind_primitive, check_field, complete, initialiser_in_words
from genolang.semantics.expansion.builder import Builder, MapValue, Scope
from genolang.semantics.expansion.definitions import assign, bind_params, block_of, expand_in_place, require
from genolang.semantics.expansion.dense import IMAGE, answers_every_pixel
from genolang.semantics.expansion.errors import Poisoned, Use, history, problem
from genolang.semantics.expansion.frames import Frame
from genolang.semantics.expansion.rules import APPLY, EVALUATE
from genolang.semantics.expansion.slots import begin_network, begin_stage, check_plugs, read_plugs
from genolang.semantics.expansion.state import Budget, Expansion
from genolang.semantics.expansion.values import DefinedOp, NetworkValue, Op, PipeOp, PrimitiveOp, describe, is_number
from genolang.semantics.modules import DefinitionRef, Module
from genolang.semantics.program import Block, Origin, Program
from genolang.semantics.reach import names_of, slots

MAX_ALIASES = 20


class NetworkBuilder:
    """Expands one network with given arguments; diagnostics gather in the expansion."""

    def __init__(
        self,
        module: Module,
        *,
        searching: bool,
        closed: dict[object, Block] | None = None,
        budget: Budget | None = None,
        image: tuple[int, int] | None = None,
    ) -> None:
        """`image` is a height and width to expand for instead of those that `input` declares; what is
        required of the whole network is not looked at then."""
        self.module = module
        self.image = image
        self.expansion = Expansion(EVALUATE, APPLY, searching=searching, closed=closed, budget=budget)

    def build(self, ref: DefinitionRef, given: Mapping[str, Any], span: Span) -> Program | None:
        """The expanded network, or None where diagnostics say why there is none."""
        name, origin = ref.name, Origin(self.module, ref, dict(given), self.expansion.searching)
        with self.expansion.reporting(span):
            ref, names = self.resolve(ref, dict(given), span)
            program = self.expand(name, ref, names, span)
            return None if program is None else replace(program, origin=origin)
        return None

    def frame(self, module: Module, name: str) -> Frame:
        """A frame for text that is called so and sees a file's names, with a block of its own to build."""
        return Frame(self.expansion, name, module, Builder(name), Scope(), {})

    def block(self, ref: DefinitionRef, given: Mapping[str, Any], types: Sequence[MapType]) -> Block:
        """A definition by itself at maps of these types."""
        frame, span = self.frame(ref.module, ref.name), ref.syntax.name.span
        inputs = {name: frame.builder.input(type, span) for name, type in zip(ref.map_params, types, strict=True)}
        return block_of(ref, dict(given), inputs, frame, span)

    def resolve(self, ref: DefinitionRef, given: dict[str, Any], span: Span) -> tuple[DefinitionRef, dict[str, Any]]:
        """Follow `network a = b(...)` to a network in braces and the arguments for it."""
        for _ in range(MAX_ALIASES):
            body = ref.syntax.body
            if isinstance(body, tuple):
                return ref, given
            frame = self.frame(ref.module, ref.name)
            own = {p.name for p in ref.value_params}
            bind_params(ref, {k: v for k, v in given.items() if k in own}, frame, span)
            read_plugs(ref, frame)
            target = frame.evaluate(body)
            if not isinstance(target, NetworkValue):
                raise problem(
                    frame,
                    "G205",
                    f"a network is another network, not {describe(target)}",
                    body.span,
                    help="or write it in braces",
                )
            more = {name: value for name, value in given.items() if name not in own}
            ref, given = target.ref, dict(target.args) | more
        raise fail("G210", f"the network `{ref.name}` stands for itself", span)

    def expand(self, name: str, ref: DefinitionRef, given: dict[str, Any], span: Span) -> Program | None:
        frame = self.frame(ref.module, ref.name)
        if ref.module is not self.module:
            frame.uses = (Use(name, span),)
        params = [p.name for p in ref.value_params]
        for key in given:
            if key not in params:
                raise problem(
                    frame,
                    "G202",
                    f"the network `{name}` has no parameter `{key}`",
                    span,
                    help=did_you_mean(key, params) or f"it has {', '.join(params) or 'none'}",
                )
        bind_params(ref, given, frame, span)
        begin_network(frame)
        run = _NetworkRun(ref, frame, self.image)
        return run.finish(name, self.expansion) if run.statements() else None


class _NetworkRun:
    def __init__(self, ref: DefinitionRef, frame: Frame, image: tuple[int, int] | None) -> None:
        self.image = image
        self.ref = ref
        self.frame = frame
        self.current: MapValue | None = None
        self.input: MapType | None = None
        self.stems: list[MapValue] = []
        self.cells: list[MapValue] = []
        self.auxiliary: MapValue | None = None
        self.weight = 0.0
        self.stages = 0
        # Requirements of what is known of a whole network alone.
        self.waiting: list[s.Require] = []

    def statements(self) -> bool:
        body = self.ref.syntax.body
        assert isinstance(body, tuple)
        # An initialiser holds for the whole network, wherever it stands.
        for statement in sorted(body, key=lambda st: not (isinstance(st, s.Part) and st.keyword == "init")):
            try:
                self.statement(statement)
            except GenoError as error:
                if self.ref.module.source.library:
                    raise
                self.frame.expansion.report(error)
                if not isinstance(statement, s.Auxiliary):
                    return False
            except Poisoned:
                return False
        return True

    def statement(self, statement: s.Statement) -> None:
        match statement:
            case s.Part():
                self.part(statement)
            case s.Cells():
                self.place_cells(statement)
            case s.Auxiliary():
                self.add_auxiliary(statement)
            case s.Assign():
                assign(statement, self.frame)
            case s.Require() if self.is_known(statement):
                require(statement, self.frame, {})
            case s.Require():
                self.waiting.append(statement)

    def is_known(self, statement: s.Require) -> bool:
        """Whether a requirement can be looked at where it stands, before what follows trips over it."""
        return not {"params", "macs"} & set(names_of(statement.condition))

    def part(self, statement: s.Part) -> None:
        if statement.keyword == "input":
            return self.set_input(statement)
        if statement.keyword == "init":
            expr, field = statement.value, Field("init", "init")
            value = initialiser_in_words(expr, self.frame) or self.frame.evaluate(expr)
            self.frame.expansion.initialiser = check_field("network", field, value, expr.span, self.frame)
            return None
        current = self.need_input(statement.span)
        op = self.frame.operation(statement.value, f"`{statement.keyword}` holds an operation")
        if statement.keyword == "stages":
            return self.place_stages(op)
        frame = self.frame.under(statement.keyword)
        self.current = frame.apply(op, current)
        if statement.keyword == "stem":
            self.stems.append(self.current)
        return None

    def place_stages(self, op: Op) -> None:
        """One stage after the other: each step of the pipeline is one."""
        for stage in op.stages if isinstance(op, PipeOp) else (op,):
            self.stages += 1
            frame = self.frame.under(f"stage{self.stages}")
            begin_stage(self.stages, frame)
            assert self.current is not None
            self.current = frame.apply(stage, self.current)
        self.frame.expansion.plugs.stage = 0

    def set_input(self, statement: s.Part) -> None:
        expr = statement.value
        is_image = isinstance(expr, s.Call) and isinstance(expr.callee, s.Name) and expr.callee.id == "image"
        if not is_image:
            raise problem(
                self.frame,
                "G410",
                "the input of a network is an image",
                expr.span,
                help="write `input image(3, 32, 32)`: channels, height, width",
            )
        assert isinstance(expr, s.Call)
        image = PRIMITIVES["image"]
        _, bound = bind_primitive(PrimitiveOp(expr.span, image, ()), expr, self.frame)
        attrs = complete(PrimitiveOp(expr.span, image, bound), self.frame)
        self.input = MapType(attrs["channels"], *(self.image or (attrs["height"], attrs["width"])))
        self.current = self.frame.builder.input(self.input, statement.span)
        self.frame.names.setdefault(IMAGE, self.current)

    def need_input(self, span: Span) -> MapValue:
        if self.current is None:
            raise problem(
                self.frame,
                "G410",
                "a network begins with its input",
                span,
                help="write `input image(3, 32, 32)`: channels, height, width",
            )
        return self.current

    # Cells

    def place_cells(self, statement: s.Cells) -> None:
        current = self.need_input(statement.span)
        count = self.frame.whole(statement.count)
        if count > limit("cells"):
            raise problem(
                self.frame,
                "G507",
                f"a network has at most {limit('cells')} cells, not {count}",
                statement.count.span,
                notes=(limit_note("cells"),),
            )
        default, special = self.positions(statement, count)
        names = dict(self.frame.names)
        outputs = self.stems[-2:] or [current]
        frame = self.frame.under("cells")
        for index in range(count):
            placed = special.get(index, default)
            op = self.cell(placed, names)
            inputs = len(op.ref.map_params)
            if inputs == 0:
                raise problem(self.frame, "G205", f"`{op.ref.name}` takes no feature map", placed.value.span)
            taken = outputs[-inputs:]
            # A short past is filled up with its oldest map, as the stem stands for two cells.
            taken = [taken[0]] * (inputs - len(taken)) + taken
            outputs.append(self.call(op, taken, frame, index, placed))
            self.cells.append(outputs[-1])
        self.current = outputs[-1]

    def call(self, op: DefinedOp, maps: list[MapValue], frame: Frame, index: int, placed: s.Placed) -> MapValue:
        ref, given = op.ref, dict(op.args)
        inputs = dict(zip(ref.map_params, maps, strict=True))
        if self.frame.expansion.plugs.concerns(op):
            scope = Scope((*frame.scope.path, str(index)))
            return expand_in_place(ref, given, inputs, self.frame, scope, placed.value.span)
        block = block_of(ref, given, inputs, self.frame, placed.value.span)
        if block.nodes[block.outputs[0]].kind == "input":
            return maps[block.outputs[0]]
        path = (*frame.scope.path, str(index)) if block.weighted else ()
        return self.frame.builder.call(block, maps, path, placed.value.span)

    def positions(self, statement: s.Cells, count: int) -> tuple[s.Placed, dict[int, s.Placed]]:
        """The cell that fills all places, and those at single places, by index."""
        default, last = statement.placed[0], None
        special: dict[int, s.Placed] = {}
        for placed in statement.placed:
            if placed is default and placed.at is not None:
                raise problem(
                    self.frame,
                    "G413",
                    "the first cell fills every place that no other takes",
                    placed.span,
                    help="write it without `at`, and the cells at single places after it",
                )
            if placed.at is not None:
                last = placed
                special[self.position(placed.at, count)] = placed
            elif placed is not default:
                if last is None or not is_number(self.frame.evaluate(placed.value)):
                    raise problem(
                        self.frame,
                        "G413",
                        "every cell but the first says where it stands",
                        placed.span,
                        help="write `reduction at 1/3, 2/3`",
                    )
                special[self.position(placed.value, count)] = last
        return default, special

    def position(self, expr: s.Expr, count: int) -> int:
        """A share of the depth, or a whole number counted from 0; rounded down."""
        value = self.frame.evaluate(expr)
        if not is_number(value):
            raise problem(self.frame, "G205", f"a position is a number, not {describe(value)}", expr.span)
        index = value if isinstance(value, int) and not isinstance(value, bool) else math.floor(value * count)
        if not 0 <= index < count:
            raise problem(
                self.frame,
                "G413",
                f"there is no cell {index} among {count}",
                expr.span,
                help="a share of the depth (`1/3`) or a number from 0",
            )
        return index

    def cell(self, placed: s.Placed, names: dict[str, Any]) -> DefinedOp:
        """The placed cell with its arguments; what it is given holds for the cells after it, and a
        parameter that is not given takes the value its name has here."""
        op = replace(self.frame, names=names, defaults=None).evaluate(placed.value)
        if not isinstance(op, DefinedOp):
            raise problem(self.frame, "G205", f"`cells` places cells, not {describe(op)}", placed.value.span)
        if any(isinstance(value, MapValue) for _, value in op.args):
            raise problem(
                self.frame,
                "G205",
                "a placed cell takes the maps of the cells before it and no other",
                placed.value.span,
            )
        names.update(op.args)
        params = [p.name for p in op.ref.value_params]
        given = {p: names[p] for p in params if p in names and not isinstance(names[p], MapValue)}
        return DefinedOp(op.span, op.ref, tuple(given.items()))

    # Heads

    def add_auxiliary(self, statement: s.Auxiliary) -> None:
        if statement.when is not None and not self.frame.condition(statement.when):
            return
        if not self.cells:
            raise problem(self.frame, "G413", "an auxiliary head stands after the cells", statement.span)
        source = self.cells[self.position(statement.at, len(self.cells))]
        op = self.frame.evaluate(statement.value)
        weight = self.frame.evaluate(statement.weight)
        if not isinstance(op, Op) or not is_number(weight):
            raise problem(
                self.frame, "G205", "an auxiliary head is an operation with a number as weight", statement.span
            )
        frame = self.frame.under("auxiliary")
        self.auxiliary = frame.apply(op, source)
        self.weight = float(weight)

    def finish(self, name: str, expansion: Expansion) -> Program | None:
        span = self.ref.syntax.name.span
        current = self.need_input(span)
        outputs = [current] + ([self.auxiliary] if self.auxiliary is not None else [])
        for value in outputs:
            if not value.type.is_vector and not answers_every_pixel(value):
                expansion.report(
                    problem(
                        self.frame,
                        "G309",
                        f"a network ends in one value per class, not in {value.type}",
                        span,
                        help="end it with `head global_avg_pool -> linear(classes)`, or with"
                        " `resize(like=input)` for a value per class and pixel",
                        labels=[history(value)],
                    )
                )
                return None
        assert self.input is not None
        block = self.frame.builder.finish(outputs)
        arguments = {k: v for k, v in self.frame.names.items() if isinstance(v, (int, float, str))}
        program = Program(
            name,
            block,
            self.input,
            current.type,
            self.weight,
            expansion.decisions.choices(),
            tuple(expansion.cells.values()),
            arguments,
            expansion.plugs.used(),
            self.stages,
        )
        if program.params > limit("parameters"):
            raise fail(
                "G507",
                f"`{name}` has {program.params:,} learnable numbers",
                span,
                help="fewer channels or smaller windows",
                notes=(limit_note("parameters"),),
            )
        if self.image is None and self.waiting:
            self.requirements(program)
        for error in check_plugs(expansion.plugs, slots(self.ref), self.stages):
            expansion.report(error)
        return program

    def requirements(self, program: Program) -> None:
        known = {"params": program.params, "macs": program.block.macs[0]}
        for statement in self.waiting:
            try:
                require(statement, self.frame, known)
            except GenoError as error:
                self.frame.expansion.report(error)
