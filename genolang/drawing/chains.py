"""The picture of a network: input, stem, cells with their repetition, auxiliary head, head."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field

from genolang.drawing.blocks import node_label
from genolang.drawing.picture import Direction, Edge, Group, Line, Node, Picture, short
from genolang.lang import syntax as s
from genolang.lang.printer import print_expression
from genolang.primitives import PRIMITIVES, MapType
from genolang.semantics.modules import DefinitionRef
from genolang.semantics.program import BlockNode, Path, Program

Statement = s.Part | s.Cells | s.Auxiliary
# A body of more parts than this is one box: nobody could read it as many.
MAX_PARTS = 60
# A chain of more boxes than this leads down the page instead of across it.
MAX_ACROSS = 9


def draw_network(program: Program, ref: DefinitionRef) -> Picture:
    """The network as a chain of parts; `ref` is its definition in braces, aliases followed."""
    return _Chain(program, ref).picture()


@dataclass(slots=True)
class _Box:
    """A run of nodes that are drawn as one."""

    statement: Statement
    what: object
    label: str
    nodes: list[int] = field(default_factory=list)


class _Chain:
    def __init__(self, program: Program, ref: DefinitionRef) -> None:
        self.program = program
        self.nodes = program.block.nodes
        body = ref.syntax.body
        assert isinstance(body, tuple)
        drawn = [st for st in body if isinstance(st, (s.Part, s.Cells, s.Auxiliary))]
        self.statements = [st for st in drawn if not (isinstance(st, s.Part) and st.keyword == "init")]
        self.boxes: list[_Box] = []
        self.home: dict[int, int] = {}
        # Every stage with the names of its blocks.
        self.stages: dict[str, list[str]] = {}
        for path in program.block.order:
            if re.fullmatch(r"stage\d+", path[0]):
                blocks = self.stages.setdefault(path[0], [])
                blocks += [path[1]] if path[1] not in blocks else []

    def picture(self) -> Picture:
        self.gather()
        params = self.params()
        nodes = [self.box(i, box, params) for i, box in enumerate(self.boxes)]
        told = "one value per class" if self.program.output.is_vector else "one value per class and pixel"
        nodes.append(Node("logits", "logits", "output", (), told))
        edges = self.edges()
        last = self.program.block.outputs[0]
        edges.append(Edge(f"b{self.home[last]}", "logits", _shape(self.program.output)))
        macs = self.program.block.macs[0]
        title = f"network {self.program.name}: {self.program.params:,} parameters, {_count(macs)} MACs"
        direction: Direction = "right" if len(self.boxes) <= MAX_ACROSS else "down"
        return Picture(self.program.name, title, direction, tuple(nodes), tuple(edges), self.groups(), self.notes())

    def gather(self) -> None:
        """Puts every node into a box: one for a stem or head, one for a run of equal cells."""
        wanted = self.program.block.needed(self.program.block.outputs)
        homes = self.statement_of(wanted)
        branches = self.branches(homes)
        split, stage = 0, "stage1"
        for index in wanted:
            statement, node = homes[index], self.nodes[index]
            what: object = None
            label = statement.keyword if isinstance(statement, s.Part) else "auxiliary"
            if label == "stages":
                # A layer without weights belongs to the stage of the layers before it.
                if node.path and node.path[0] in self.stages:
                    stage = node.path[0]
                label = what = stage
            if self.is_run(statement, homes):
                label = node.layer if node.kind == "call" else "layers"
                # Calls of one definition with equal shapes are one repeated cell.
                what = (split, label, node.type if node.kind == "call" else None)
            box = self.boxes[-1] if self.boxes else None
            if box is None or box.statement is not statement or box.what != what:
                self.boxes.append(_Box(statement, what, label))
            self.boxes[-1].nodes.append(index)
            self.home[index] = len(self.boxes) - 1
            split += index in branches

    def is_run(self, statement: Statement, homes: dict[int, Statement]) -> bool:
        """Whether a statement's calls are drawn one by one."""
        if isinstance(statement, s.Cells):
            return True
        if not (isinstance(statement, s.Part) and statement.keyword == "body"):
            return False
        mine = [self.nodes[i] for i, st in homes.items() if st is statement]
        parts = {(n.layer, n.type) for n in mine}
        return any(n.kind == "call" for n in mine) and len(parts) <= MAX_PARTS

    def branches(self, homes: dict[int, Statement]) -> set[int]:
        """The cells at which an auxiliary head begins: a repetition is cut there."""
        return {
            start
            for index, st in homes.items()
            if isinstance(st, s.Auxiliary)
            for start in self.nodes[index].inputs
            if not isinstance(homes[start], s.Auxiliary)
        }

    def statement_of(self, wanted: list[int]) -> dict[int, Statement]:
        """Each node's statement: by its text, else by the name of its weights, else as before."""
        found: dict[int, Statement] = {}
        current = self.statements[0]
        for index in wanted:
            node = self.nodes[index]
            current = self.by_span(node) or self.by_path(node) or current
            found[index] = current
        return found

    def by_span(self, node: BlockNode) -> Statement | None:
        for st in self.statements:
            if node.span.source is st.span.source and st.span.start <= node.span.start < st.span.end:
                return st
        return None

    def by_path(self, node: BlockNode) -> Statement | None:
        if node.path and node.path[0] in self.stages:
            return next(st for st in self.statements if _keyword(st) == "stages")
        match = re.fullmatch(r"([a-z]+)(?:_(\d+))?", node.path[0]) if node.path else None
        if match is None:
            return None
        same = [st for st in self.statements if _keyword(st) == match[1]]
        number = int(match[2] or 1)
        return same[number - 1] if 1 <= number <= len(same) else None

    def params(self) -> dict[int, int]:
        """Learnable parameters by box; shared weights count where they are first used."""
        seen: set[Path] = set()
        counts: dict[int, int] = {}
        for index, home in self.home.items():
            node = self.nodes[index]
            if not node.path or node.path in seen:
                continue
            seen.add(node.path)
            if node.body is not None:
                own = node.body.params
            else:
                types = tuple(self.nodes[i].type for i in node.inputs)
                own = PRIMITIVES[node.layer].weights(node.attrs or {}, types).params
            counts[home] = counts.get(home, 0) + own
        return counts

    def box(self, number: int, box: _Box, params: dict[int, int]) -> Node:
        id, statement = f"b{number}", box.statement
        first = self.nodes[box.nodes[0]]
        details = []
        if first.kind == "input":
            return Node(
                id,
                "input",
                "input",
                (str(first.type),),
                print_expression(statement.value) if isinstance(statement, s.Part) else "",
            )
        tip = " ".join(statement.span.text.split())
        if box.what is None:
            details += self.contents(statement)
        label, kind = box.label, "layer"
        if box.what in self.stages:
            return self.stage(id, box, params.get(number, 0), tip)
        if first.kind == "call" and box.what is not None:
            kind = "cell"
            label += f" x{len(box.nodes)}" if len(box.nodes) > 1 else ""
        elif box.what is not None:
            names = [node_label(self.program.block, self.nodes[i]) for i in box.nodes]
            label, tip = (names[0] if len(names) == 1 else "layers"), " -> ".join(names)
        if isinstance(statement, s.Auxiliary):
            details.append(f"weight {self.program.auxiliary_weight:g}")
        if params.get(number):
            details.append(f"{_count(params[number])} params")
        return Node(id, label, "cell" if kind == "cell" else "layer", tuple(details), tip)

    def stage(self, id: str, box: _Box, params: int, tip: str) -> Node:
        """A stage: its blocks, and how many of its slots a search decides on or a scheme connects."""
        slots = {plug.slot for plug in self.program.plugs}
        kinds = Counter(re.sub(r"_\d+$", "", name) for name in self.stages[box.label])
        details = [f"{name} x{count}" for name, count in kinds.items() if name not in slots]
        for plug in self.program.plugs:
            scheme = plug.scheme.get(int(box.label.removeprefix("stage")), "")
            count = "? of" if "?" in scheme else f"{scheme.count('1')} of"
            if scheme:
                details.append(f"{short(plug.module, 24)} at {count} {len(scheme)}")
        return Node(id, box.label, "cell", (*details, f"{_count(params)} params"), tip)

    def contents(self, statement: Statement) -> list[str]:
        """The operations of a stem or head, a few to a line."""
        if isinstance(statement, s.Cells):
            return []
        value = statement.value
        parts = value.stages if isinstance(value, s.Pipeline) else (value,)
        texts = [short(print_expression(part), 36) for part in parts]
        return texts if len(texts) <= 6 else [*texts[:5], f"… {len(texts) - 5} more"]

    def edges(self) -> list[Edge]:
        found: dict[tuple[int, int], Edge] = {}
        for index, end in self.home.items():
            for source in self.nodes[index].inputs:
                start = self.home[source]
                if start != end and (start, end) not in found:
                    shape = _shape(self.nodes[source].type)
                    found[start, end] = Edge(f"b{start}", f"b{end}", shape)
        # A cell's second input, which a note tells of, is left out beside its first.
        return [
            edge
            for (start, end), edge in found.items()
            if start == end - 1 or (end - 1, end) not in found or not isinstance(self.boxes[end].statement, s.Cells)
        ]

    def groups(self) -> tuple[Group, ...]:
        found = []
        for st in self.statements:
            if isinstance(st, s.Cells):
                mine = [(i, b) for i, b in enumerate(self.boxes) if b.statement is st]
                count = sum(len(b.nodes) for _, b in mine)
                if mine:
                    found.append(Group(_many(count, "cell"), tuple(f"b{i}" for i, _ in mine)))
        return tuple(found)

    def notes(self) -> tuple[str, ...]:
        calls = [self.nodes[i] for b in self.boxes if isinstance(b.statement, s.Cells) for i in b.nodes]
        notes = []
        if any(len(set(node.inputs)) > 1 for node in calls):
            notes.append(f"{_many(len(calls), 'cell')}: each takes the outputs of the two parts before it.")
        if self.program.choices:
            rows = sum(len(c.rows) for c in self.program.choices.values())
            sets = len(self.program.choices)
            notes.append(f"Open: {_many(rows, 'decision')} in {_many(sets, 'choice set')}.")
        return tuple(notes)


def _keyword(statement: Statement) -> str:
    if isinstance(statement, s.Part):
        return statement.keyword
    return "cells" if isinstance(statement, s.Cells) else "auxiliary"


def _shape(type: MapType) -> tuple[Line, ...]:
    return (Line(str(type), "shape"),)


def _many(count: int, word: str) -> str:
    return f"{count} {word}{'' if count == 1 else 's'}"


def _count(number: int) -> str:
    for unit, size in (("G", 10**9), ("M", 10**6), ("k", 10**3)):
        if number >= size:
            value = number / size
            return f"{value:,.0f}{unit}" if value >= 100 else f"{value:.3g}{unit}"
    return str(number)
