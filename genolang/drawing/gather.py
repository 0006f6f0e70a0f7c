"""What there is to draw in a spec: its cells, attention modules, operations and networks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from genolang.diagnostics import GenoError, Source, did_you_mean, fail
from genolang.drawing.blocks import draw_block
from genolang.drawing.cells import draw_cell, has_nodes
from genolang.drawing.chains import draw_network
from genolang.drawing.expressions import reached
from genolang.drawing.picture import Picture
from genolang.lang.parser import parse_expression
from genolang.primitives import MapType
from genolang.semantics.check import TRIAL, Checked, expand_network, is_complete
from genolang.semantics.expansion.errors import Poisoned
from genolang.semantics.expansion.networks import NetworkBuilder
from genolang.semantics.expansion.values import Op, describe
from genolang.semantics.modules import DefinitionRef
from genolang.semantics.program import Program


def gather(
    checked: Checked,
    network: str | None,
    given: Mapping[str, Any],
    only: str | None,
    shape: tuple[int, int, int] = TRIAL,
) -> list[Picture]:
    """The pictures of a checked file, or the one that `only` names.

    `only` is the name of a cell or network, or any operation (`se(r=8)`); operations and attention
    modules are drawn on a map of `shape` (C, H, W). Errors: those of the
    check and of `expand_network`; G408 where there is nothing to draw.
    """
    if not checked.ok:
        raise GenoError([d for d in checked.diagnostics if d.severity == "error"])
    pictures = _Gatherer(checked, network, given, MapType(*shape))
    return [pictures.one(only)] if only is not None else pictures.all()


class _Gatherer:
    def __init__(self, checked: Checked, network: str | None, given: Mapping[str, Any], shape: MapType) -> None:
        self.shape = shape
        self.checked = checked
        self.module = checked.module
        self.own = list(self.module.definitions.values())
        if network is not None or given:
            program = expand_network(checked, network, given)
            self.programs = {program.name: program}
        else:
            self.programs = dict(checked.programs)

    def all(self) -> list[Picture]:
        found = [draw_cell(ref) for ref in self.cells().values()]
        found += [self.trial(ref) for ref in self.modules("attention")]
        found += [self.network(program) for program in self.programs.values()]
        if not found:
            found = [p for ref in self.modules("op") if (p := self.silent_trial(ref)) is not None]
        if not found:
            names = ", ".join(f"`{r.name}`" for r in self.own[:8]) or "nothing"
            raise fail(
                "G408",
                f"{self.module.source.name} has nothing that can be drawn without arguments: it defines {names}",
                help="say what, with its arguments: --only 'sep_conv(3)'",
            )
        return found

    def cells(self) -> dict[str, DefinitionRef]:
        """Definitions with nodes and edges: the file's own, and those that its networks place."""
        found = {ref.name: ref for ref in self.own if has_nodes(ref)}
        for name in self.programs:
            for ref in reached(self.module, self.module.definitions[name]):
                if ref.kind == "cell" and has_nodes(ref):
                    found.setdefault(ref.name, ref)
        return found

    def modules(self, kind: str) -> list[DefinitionRef]:
        return [
            ref
            for ref in self.own
            if ref.kind == kind and is_complete(ref) and ref.map_params == ["x"] and not has_nodes(ref)
        ]

    def one(self, text: str) -> Picture:
        cells = self.cells()
        if text in cells:
            return draw_cell(cells[text])
        if text in self.programs:
            return self.network(self.programs[text])
        found = self.module.lookup(text)
        if len(found) == 1 and found[0].kind == "attention" and is_complete(found[0]):
            return self.trial(found[0])
        return self.expression(text)

    def network(self, program: Program) -> Picture:
        ref = self.module.definitions[program.name]
        builder = NetworkBuilder(self.module, searching=False)
        target, _ = builder.resolve(ref, {}, ref.syntax.name.span)
        return draw_network(program, target)

    def silent_trial(self, ref: DefinitionRef) -> Picture | None:
        """The operation's picture; None where the trial map does not suit it."""
        try:
            return self.trial(ref)
        except GenoError:
            return None

    def trial(self, ref: DefinitionRef) -> Picture:
        return self.expression(ref.name, ref)

    def expression(self, text: str, ref: DefinitionRef | None = None) -> Picture:
        """An operation put to a map, and what it becomes there."""
        builder = NetworkBuilder(self.module, searching=False)
        frame = builder.frame(ref.module if ref is not None else self.module, text)
        expr = parse_expression(Source("--only", text))
        try:
            op = frame.evaluate(expr)
            if not isinstance(op, Op):
                known = sorted(self.module.visible())
                raise fail(
                    "G205",
                    f"`--only` draws a cell, a network or an operation, not {describe(op)}",
                    expr.span,
                    help=did_you_mean(text, known),
                )
            x = frame.builder.input(self.shape, expr.span)
            block = frame.builder.finish([frame.apply(op, x)])
        except Poisoned:
            raise GenoError(builder.expansion.diagnostics) from None
        if len(block.nodes) == 2 and block.nodes[1].body is not None:
            block = block.nodes[1].body
        kind = ref.kind if ref is not None else "operation"
        return draw_block(block, text, f"{kind} {text}", (f"On a map of {self.shape}.",))
