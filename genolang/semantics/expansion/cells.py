"""Cells: inputs, nodes, and edges between them, given one by one or by a pattern."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from genolang.diagnostics import GenoError, Label, did_you_mean
from genolang.lang import syntax as s
from genolang.primitives import ShapeProblem, broadcast
from genolang.semantics.edges import input_names, spell_out
from genolang.semantics.expansion.builder import MapValue
from genolang.semantics.expansion.errors import POISON, Poisoned, history, problem
from genolang.semantics.expansion.frames import Frame
from genolang.semantics.expansion.layers import named_layer
from genolang.semantics.expansion.values import Op, describe, is_movable, on_edge
from genolang.semantics.modules import DefinitionRef
from genolang.semantics.program import BlockNode, CellSpace, Decision, SpaceEdge, open_decisions


class CellBody:
    """The graph part of a definition's body, expanded when its `nodes` line is reached."""

    def __init__(self, ref: DefinitionRef, body: tuple[s.Statement, ...], frame: Frame) -> None:
        self.ref = ref
        self.frame = frame
        self.edges = [e for st in body if isinstance(st, s.Edges) for e in st.edges]
        self.keep = next((st for st in body if isinstance(st, s.Keep)), None)
        self.inputs = input_names(ref)
        # What an operation of an edge line came to on the line's first edge, where every edge has the same.
        self.operations: dict[int, Op] = {}

    def set_inputs(self, statement: s.Inputs) -> None:
        self.inputs = [item.name.id for item in statement.inputs]
        for item in statement.inputs:
            value = self.frame.names[item.name.id]
            if not isinstance(value, MapValue):
                raise problem(self.frame, "G205", f"an input is a feature map, not {describe(value)}", item.value.span)

    def build(self, statement: s.Nodes) -> None:
        """Every node in order: the sum of its edges."""
        nodes = [n.id for n in statement.names]
        edges: dict[str, list[tuple[str, s.Edge]]] = {name: [] for name in nodes}
        for start, end, edge in spell_out(self.edges, self.inputs, nodes):
            edges[end].append((start, edge))
        space: list[SpaceEdge] = []
        failed = False
        for name in statement.names:
            try:
                self.node(name, edges[name.id], space)
            except GenoError as error:
                if self.ref.module.source.library:
                    raise
                self.frame.expansion.report(error)
                failed = True
            except Poisoned:
                failed = True
            if name.id not in self.frame.names:
                self.frame.names[name.id] = POISON
        if failed:
            raise Poisoned
        self.record(space, nodes)

    def node(self, name: s.Name, edges: list[tuple[str, s.Edge]], space: list[SpaceEdge]) -> None:
        scope = self.frame.under(name.id)
        values = []
        for start, edge in edges:
            value, decisions = self.edge(start, name.id, edge, scope)
            values.append((value, edge))
            space.append(SpaceEdge(start, name.id, decisions, edge))
        self.frame.names[name.id] = self.sum(name, values)

    def edge(self, start: str, end: str, edge: s.Edge, scope: Frame) -> tuple[MapValue, tuple[Decision, ...]]:
        frame = scope.under(start, edge=(start, end))
        op = self.operation(edge, frame)
        value = self.frame.names.get(start, self.frame.main if start == "x" else None)
        if value is POISON or value is None:
            raise Poisoned
        assert isinstance(value, MapValue)
        before = len(frame.builder.nodes)
        result = frame.apply(op, value)
        return result, self.decisions(frame.builder.nodes[before:], (start, end))

    def decisions(self, nodes: list[BlockNode], edge: tuple[str, str]) -> tuple[Decision, ...]:
        """The decisions among these nodes whose words stand on an edge of this cell, as they read.

        They may be made inside definitions that the edge calls; what those decide themselves is theirs.
        """
        made = open_decisions(nodes)
        if not made:
            return made
        here, name = id(self.ref.module.source), self.ref.name
        placed = [(self.frame.expansion.decisions.place(decision), decision) for decision in made]
        found = [
            (place.way, decision)
            for place, decision in placed
            if place.edge == edge and place.definition == name and place.way[0].source == here
        ]
        return tuple(decision for _, decision in sorted(found))

    def operation(self, edge: s.Edge, frame: Frame) -> Op:
        known = self.operations.get(id(edge))
        if known is not None:
            assert frame.edge is not None
            return on_edge(known, frame.edge)
        op = frame.operation(edge.operation, "an edge holds an operation")
        if is_movable(op, frame.home, frame.edge):
            self.operations[id(edge)] = op
        return op

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
                self.frame,
                "G301",
                f"the edges into `{name.id}` give {maps[0].type} and {value.type}",
                edge.span,
                labels=[Label(values[0][1].span, f"this edge gives {maps[0].type}"), history(maps[0]), history(value)],
                help="give every edge from a larger map a stride: `operation(stride=2)`",
            )
        return named_layer("add", maps, self.frame, name.span)

    def record(self, space: list[SpaceEdge], nodes: list[str]) -> None:
        """What a search may do with this cell's edges."""
        keep = rank_by = None
        if self.keep is not None:
            keep = self.frame.whole(self.keep.count)
            names = {d.key: d.key.split(".", 1)[1] for edge in space for d in edge.decisions}
            rank_by = next((k for k, n in names.items() if n == self.keep.choice.id), None)
            if rank_by is None:
                raise problem(
                    self.frame,
                    "G405",
                    f"no edge of this cell holds the choice `{self.keep.choice.id}`",
                    self.keep.choice.span,
                    help=did_you_mean(self.keep.choice.id, names.values())
                    or (
                        f"its edges hold {' and '.join(f'`{n}`' for n in sorted(set(names.values())))}"
                        if names
                        else "a cell without choices needs no `keep`"
                    ),
                )
            counts = Counter(e.end for e in space if e.of(rank_by))
            for node in nodes:
                count = counts[node]
                if count < keep:
                    raise problem(
                        self.frame,
                        "G404",
                        f"{keep} edges cannot be kept of the {count} that lead into `{node}`",
                        self.keep.span,
                        help="keep fewer, or let more edges with the choice lead into the node",
                    )
        cells = self.frame.expansion.cells
        before = cells.get(self.ref)
        if before is not None:
            # Instances of a cell may read different words of an edge: `if stride == 1 then a else b`.
            space = [
                old
                if old.decisions == edge.decisions
                else replace(edge, decisions=tuple(dict.fromkeys((*old.decisions, *edge.decisions))))
                for old, edge in zip(before.edges, space, strict=True)
            ]
        if any(edge.decisions for edge in space):
            cells[self.ref] = CellSpace(self.ref.name, tuple(space), keep, rank_by)
