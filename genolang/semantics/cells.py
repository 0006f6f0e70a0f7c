"""Cells: inputs, nodes, and edges between them, given one by one or by a pattern."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

from genolang.diagnostics import GenoError, Label, did_you_mean
from genolang.lang import syntax as s
from genolang.lang.limits import limit, limit_note
from genolang.primitives import PRIMITIVES, ShapeProblem, broadcast
from genolang.semantics.arithmetic import whole
from genolang.semantics.frames import POISON, Frame, Poisoned, history, problem
from genolang.semantics.program import CellSpace, SpaceEdge
from genolang.semantics.values import DefinitionRef, MapValue, PrimitiveOp, describe, is_op

if TYPE_CHECKING:
    from genolang.semantics.apply import Applier

_STARTS = ("earlier", "inputs", "nodes")
_ENDS = ("each", "later", "nodes")


class CellBody:
    """The graph part of a definition's body, expanded when its `nodes` line is reached."""

    def __init__(
        self, applier: Applier, ref: DefinitionRef, body: tuple[s.Statement, ...], frame: Frame
    ) -> None:
        self.applier = applier
        self.ref = ref
        self.frame = frame
        self.edges = [e for st in body if isinstance(st, s.Edges) for e in st.edges]
        self.keep = next((st for st in body if isinstance(st, s.Keep)), None)
        self.inputs: list[str] = [n for n in ref.map_params if n != "x"] or ["x"]

    def set_inputs(self, statement: s.Inputs) -> None:
        self.inputs = [item.name.id for item in statement.inputs]
        for item in statement.inputs:
            value = self.frame.names[item.name.id]
            if not isinstance(value, MapValue):
                raise problem(self.frame, "G205", f"an input is a feature map, not {describe(value)}",
                              item.value.span)  # fmt: skip

    def build(self, statement: s.Nodes) -> None:
        """Every node in order: the sum of its edges."""
        nodes = [n.id for n in statement.names]
        edges: dict[str, list[tuple[str, s.Edge]]] = {name: [] for name in nodes}
        for start, end, edge in self.expand(nodes):
            edges[end].append((start, edge))
        space: list[SpaceEdge] = []
        for name in statement.names:
            mine = edges[name.id]
            if not mine:
                raise problem(self.frame, "G402", f"no edge leads into the node `{name.id}`", name.span,
                              help=f"add one: `edges earlier -> {name.id} : skip`, or remove the node")  # fmt: skip
            scope = self.frame.under(name.id)
            values = []
            for start, edge in mine:
                value, rows = self.edge(start, name.id, edge, scope)
                values.append((value, edge))
                space.append(SpaceEdge(start, name.id, rows, edge))
            self.frame.names[name.id] = self.sum(name, values)
        self.record(space, nodes)

    def expand(self, nodes: list[str]) -> list[tuple[str, str, s.Edge]]:
        """All edges in the order written, patterns spelled out by target, then by start."""
        found: list[tuple[str, str, s.Edge]] = []
        numbers = {name: number for number, name in enumerate(nodes)}
        for edge in self.edges:
            start, end = edge.start.id, edge.end.id
            targets = nodes if end in _ENDS else [end]
            if end not in _ENDS and end not in numbers:
                raise self.unknown(edge.end, nodes, _ENDS)
            for target in targets:
                before = nodes[: numbers[target]] if start in _STARTS else []
                if start in _STARTS:
                    starts = {"earlier": self.inputs + before, "inputs": self.inputs, "nodes": before}[start]
                elif start in self.inputs or numbers.get(start, len(nodes)) < numbers[target]:
                    starts = [start]
                elif start in numbers:
                    if end in _ENDS:
                        continue
                    raise problem(
                        self.frame, "G403", f"an edge from `{start}` to `{target}` goes backwards", edge.span,
                        help="nodes are computed in the order of the `nodes` line",
                    )  # fmt: skip
                else:
                    raise self.unknown(edge.start, [*self.inputs, *nodes], _STARTS)
                found += [(each, target, edge) for each in starts]
                if len(found) > limit("edges"):
                    raise problem(self.frame, "G507", f"a cell has at most {limit('edges'):,} edges",
                                  edge.span, notes=(limit_note("edges"),))  # fmt: skip
        return found

    def unknown(self, name: s.Name, names: list[str], patterns: tuple[str, ...]) -> GenoError:
        return problem(
            self.frame, "G401", f"there is no node `{name.id}`", name.span,
            help=did_you_mean(name.id, [*names, *patterns])
            or f"this cell has {', '.join(f'`{n}`' for n in names[:8])}",
        )  # fmt: skip

    def edge(
        self, start: str, end: str, edge: s.Edge, scope: Frame
    ) -> tuple[MapValue, dict[str, int]]:
        value = self.frame.names.get(start, self.frame.main if start == "x" else None)
        if value is POISON or value is None:
            raise Poisoned
        assert isinstance(value, MapValue)
        frame = replace(scope.under(start), edge=(start, end))
        op = self.applier.evaluate(edge.operation, frame)
        if not is_op(op):
            raise problem(frame, "G205", f"an edge holds an operation, not {describe(op)}",
                          edge.operation.span)  # fmt: skip
        before = len(frame.builder.nodes)
        result = self.applier.apply(op, value, frame, edge.span)
        mixes = (n.mix for n in frame.builder.nodes[before:] if n.mix is not None)
        return result, {mix.key: mix.row for mix in mixes}

    def sum(self, name: s.Name, values: list[tuple[MapValue, s.Edge]]) -> MapValue:
        maps = [value for value, _ in values]
        if len(maps) == 1:
            return maps[0]
        for value, edge in values[1:]:
            try:
                if broadcast([maps[0].type, value.type]) == maps[0].type == value.type:
                    continue
            except ShapeProblem:
                pass
            raise problem(
                self.frame, "G301",
                f"the edges into `{name.id}` give {maps[0].type} and {value.type}", edge.span,
                labels=[Label(values[0][1].span, f"this edge gives {maps[0].type}"),
                        history(maps[0]), history(value)],
                help="give every edge from a larger map a stride: `operation(stride=2)`",
            )  # fmt: skip
        add = PrimitiveOp(PRIMITIVES["add"], (), name.span)
        return self.applier.apply_primitive(add, maps, self.frame, name.span)

    def record(self, space: list[SpaceEdge], nodes: list[str]) -> None:
        """What a search may do with this cell's edges."""
        keep = rank_by = None
        if self.keep is not None:
            keep = whole(self.applier.evaluate(self.keep.count, self.frame), self.keep.count.span, self.frame)
            names = {key: key.split(".", 1)[1] for edge in space for key in edge.rows}
            rank_by = next((k for k, n in names.items() if n == self.keep.choice.id), None)
            if rank_by is None:
                raise problem(
                    self.frame, "G405", f"no edge of this cell holds the choice `{self.keep.choice.id}`",
                    self.keep.choice.span, help=did_you_mean(self.keep.choice.id, names.values())
                    or "a cell without choices needs no `keep`",
                )  # fmt: skip
            counts = Counter(e.end for e in space if rank_by in e.rows)
            for node in nodes:
                count = counts[node]
                if count < keep:
                    raise problem(self.frame, "G404", f"`{node}` has {count} edges, of which {keep} cannot"
                                  " be kept", self.keep.span)  # fmt: skip
        if any(edge.rows for edge in space):
            cell = CellSpace(self.ref.name, tuple(space), keep, rank_by)
            self.applier.expansion.cells[self.ref.name] = cell
