"""What the cell notations share: cells as text, and edges of cells as calls of known operations."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from genolang.diagnostics import GenoError, Span, did_you_mean, fail
from genolang.lang import syntax as s
from genolang.lang.printer import print_expression
from genolang.primitives import Primitive
from genolang.semantics.canonical import canonical, resolve
from genolang.semantics.edges import input_names, spell_out
from genolang.semantics.modules import DefinitionRef, Module


@dataclass(frozen=True, slots=True)
class Stage:
    """A stage of an edge: the library's definition or the primitive that it calls, and with what."""

    name: str
    home: str
    args: dict[str, int]
    span: Span


@dataclass(frozen=True, slots=True)
class CellEdge:
    """An edge by the numbers of its ends: inputs from 0, then nodes."""

    start: int
    end: int
    stages: tuple[Stage, ...]
    span: Span


@dataclass(frozen=True, slots=True)
class ReadCell:
    """A cell's edges, node by node, and what it returns."""

    inputs: int
    nodes: tuple[str, ...]
    edges: tuple[CellEdge, ...]
    returns: s.Expr
    span: Span

    def into(self, node: int) -> list[CellEdge]:
        return [edge for edge in self.edges if edge.end == node]

    def number(self, name: str) -> int:
        return self.inputs + self.nodes.index(name)


def cannot_say(message: str, span: Span | None = None, help: str | None = None) -> GenoError:
    """G609: the spec says something for which the notation has no words."""
    return fail("G609", message, span, help=help)


def cell_text(name: str, params: str, inputs: str, nodes: Sequence[str], edges: Sequence[str], returns: str) -> str:
    """A cell in the language."""
    lines = [
        f"cell {name}({params}) {{",
        f"inputs {inputs}",
        f"nodes {', '.join(nodes)}",
        "edges {",
        *edges,
        "}",
        f"return {returns}",
        "}",
    ]
    return "\n".join(lines) + "\n"


def find_cell(module: Module, names: Sequence[str]) -> DefinitionRef:
    """The first of these cells that the file has. Error: G609."""
    cells = {ref.name: ref for ref in module.definitions.values() if ref.kind == "cell"}
    for name in names:
        if name in cells:
            return cells[name]
    listed = f"it has {', '.join(cells)}" if cells else "it has no cells"
    raise cannot_say(f"{module.source.name} has no cell `{names[0]}`", help=did_you_mean(names[0], cells) or listed)


def read_cell(ref: DefinitionRef) -> ReadCell:
    """A cell that is a graph of named nodes. Errors: G609, and those of its edges."""
    body = ref.syntax.body
    graph = next((st for st in body if isinstance(st, s.Nodes)), None) if isinstance(body, tuple) else None
    if graph is None or not isinstance(body, tuple):
        raise cannot_say(f"the cell `{ref.name}` is no graph of nodes", ref.syntax.name.span)
    nodes = [name.id for name in graph.names]
    listed = (st.inputs for st in body if isinstance(st, s.Inputs))
    inputs = next(([item.name.id for item in items] for items in listed), input_names(ref))
    written = [edge for st in body if isinstance(st, s.Edges) for edge in st.edges]
    numbers = {name: number for number, name in enumerate([*inputs, *nodes])}
    local = {*numbers, *(p.name for p in ref.syntax.params)}
    found = [
        CellEdge(numbers[start], numbers[end], tuple(_stages(edge.operation, ref.module, local)), edge.span)
        for start, end, edge in spell_out(written, inputs, nodes)
    ]
    found.sort(key=lambda edge: edge.end)
    returns = next((st.value for st in body if isinstance(st, s.Return)), graph.names[-1])
    return ReadCell(len(inputs), tuple(nodes), tuple(found), returns, ref.syntax.name.span)


def _stages(operation: s.Expr, module: Module, local: set[str]) -> Iterator[Stage]:
    plain = canonical(operation, module, local)
    originals = operation.stages if isinstance(operation, s.Pipeline) else (operation,)
    stages = plain.stages if isinstance(plain, s.Pipeline) else (plain,)
    for written, stage in itertools.zip_longest(originals, stages, fillvalue=operation):
        yield read_stage(written, stage, module, local)


def read_stage(written: s.Expr, stage: s.Expr, module: Module, local: set[str]) -> Stage:
    """One call of something that the library defines, with numbers for arguments. Error: G609."""
    callee = written.callee if isinstance(written, s.Call) else written
    target = resolve(callee, module, local)
    args = stage.args if isinstance(stage, s.Call) else ()
    values = {a.name: a.value.value for a in args if a.name and isinstance(a.value, s.Number)}
    whole = {name: value for name, value in values.items() if isinstance(value, int)}
    if isinstance(target, Primitive) and len(whole) == len(args):
        return Stage(target.name, "core", whole, written.span)
    if isinstance(target, DefinitionRef) and target.module.source.library and len(whole) == len(args):
        return Stage(target.name, target.module.source.name.removesuffix(".geno"), whole, written.span)
    shown = print_expression(written)
    if isinstance(target, DefinitionRef) and target.kind == "choice":
        raise cannot_say(f"the choice `{shown}` is still open", written.span, help="let a search make it: genoc search")
    known = isinstance(target, DefinitionRef) and not target.module.source.library
    why = "which this file defines" if known else "for which the notation has no word"
    raise cannot_say(f"the edge holds `{shown}`, {why}", written.span)
