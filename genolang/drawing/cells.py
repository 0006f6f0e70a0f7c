"""The picture of a cell, or of any definition that has nodes and edges."""

from __future__ import annotations

from genolang.drawing.expressions import Stage, label_lines, stages, walk
from genolang.drawing.picture import Edge, EdgeKind, Node, Picture, short
from genolang.lang import syntax as s
from genolang.lang.printer import print_expression
from genolang.semantics.edges import input_names, spell_out
from genolang.semantics.modules import DefinitionRef

MAX_OPTIONS = 24


def has_nodes(ref: DefinitionRef) -> bool:
    """Whether the definition's text declares nodes and edges."""
    body = ref.syntax.body
    return isinstance(body, tuple) and any(isinstance(st, s.Nodes) for st in body)


def draw_cell(ref: DefinitionRef) -> Picture:
    """The cell as written: inputs, nodes, output, and every edge with its operation."""
    return _Cell(ref).picture()


class _Cell:
    def __init__(self, ref: DefinitionRef) -> None:
        body = ref.syntax.body
        assert isinstance(body, tuple)
        self.ref = ref
        self.body = body
        self.assigned = {st.name.id: st.value for st in body if isinstance(st, s.Assign)}
        self.inputs = {item.name.id: item.value for st in body if isinstance(st, s.Inputs) for item in st.inputs}
        self.names = [n.id for st in body if isinstance(st, s.Nodes) for n in st.names]
        self.starts = list(self.inputs) or input_names(ref)
        self.edges = [edge for st in body if isinstance(st, s.Edges) for edge in st.edges]
        self.local = frozenset([p.name for p in ref.syntax.params] + list(self.assigned))
        self.choices: dict[str, DefinitionRef] = {}

    def picture(self) -> Picture:
        starts = self.starts
        hues = {name: number for number, name in enumerate([*starts, *self.names])}
        edges = [self.edge(a, b, e, hues[a]) for a, b, e in spell_out(self.edges, starts, self.names)]
        output, outgoing = self.output()
        edges += [Edge(name, "return", hue=hues[name]) for name in outgoing if name in hues]
        nodes = [self.input(name) for name in starts]
        nodes += [Node(n, n, "node", (), f"{n}: the sum of the edges into it") for n in self.names]
        kind = self.ref.kind
        title = f"{kind} {self.ref.name}"
        return Picture(self.ref.name, title, "right", (*nodes, output), tuple(edges), (), tuple(self.notes()))

    def edge(self, start: str, end: str, edge: s.Edge, hue: int) -> Edge:
        found = stages(edge.operation, self.ref.module, self.local)
        self.remember(found)
        lines = label_lines(found)
        kind: EdgeKind = "choice" if any(line.kind == "choice" for line in lines) else "operation"
        text = print_expression(edge.operation)
        return Edge(start, end, lines, kind, f"{start} -> {end} : {text}", hue)

    def remember(self, found: list[Stage]) -> None:
        for stage in found:
            if stage.ref is not None and stage.ref.kind == "choice":
                self.choices.setdefault(stage.ref.name, stage.ref)

    def input(self, name: str) -> Node:
        value = self.inputs.get(name)
        if value is None:
            return Node(name, name, "input")
        text = print_expression(value)
        parts = [stage.text.partition("(")[0] for stage in stages(value, self.ref.module)]
        return Node(name, name, "input", (short(" → ".join(parts), 30),), f"{name} = {text}")

    def output(self) -> tuple[Node, list[str]]:
        """The node that the cell returns, and the names that lead into it."""
        value = next((st.value for st in self.body if isinstance(st, s.Return)), None)
        if value is None:
            return Node("return", "output", "output"), []
        plain = isinstance(value, s.Call) and all(isinstance(a.value, s.Name) for a in value.args)
        text = print_expression(value)
        label = print_expression(value.callee) if isinstance(value, s.Call) and plain else short(text)
        return Node("return", label, "output", (), f"return {text}"), self.used(value)

    def used(self, value: s.Expr) -> list[str]:
        found: dict[str, None] = {}
        queue, seen = [value], set()
        while queue:
            for node in walk(queue.pop(0)):
                if not isinstance(node, s.Name):
                    continue
                if node.id in self.assigned and node.id not in seen:
                    seen.add(node.id)
                    queue.append(self.assigned[node.id])
                found.setdefault(node.id)
        return list(found)

    def notes(self) -> list[str]:
        """The alternatives of every choice that the edges hold, and what a search keeps."""
        notes = []
        for name, ref in self.choices.items():
            body = ref.syntax.body
            if not isinstance(body, tuple):
                options = body.options if isinstance(body, s.Alternatives) else (body,)
                texts = [print_expression(o) for o in options[:MAX_OPTIONS]]
                texts += ["…"] if len(options) > MAX_OPTIONS else []
                notes.append(f"{name}: {' | '.join(texts)}")
        for st in self.body:
            if isinstance(st, s.Keep):
                count = print_expression(st.count)
                notes.append(f"keep {count} edges per node by {st.choice.id}")
        return notes
