"""A graph as a list of Python statements: one value each, small ones folded, named for people."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from genolang.compiler.ir import Graph, Node
from genolang.compiler.python.layers import HELPERS, function
from genolang.compiler.python.names import OURS, variable
from genolang.compiler.python.text import Arg, Call, Expr, Infix, Items, Text, Value, depth, flat, mapped, uses
from genolang.semantics.program import Path

FOLDED_WIDTH = 64
Topics = dict[int, Path]


@dataclass(frozen=True, slots=True)
class Statement:
    """`value = expr`; `topic` says what it is about, `extra` that only the auxiliary head needs it."""

    value: int
    expr: Expr
    topic: Path
    kind: str
    extra: bool = False


class Forward:
    """The statements of one class's forward, with calls that have no class of their own written out.

    `layer` gives the text of the layer at a path; `call` gives the call of a body's own class, or
    None where it has to be written out.
    """

    def __init__(
        self,
        layer: Callable[[Path], str],
        call: Callable[[Node, Path], str | None],
        keys: Mapping[str, str],
        drop_path: str,
    ) -> None:
        self.layer = layer
        self.call = call
        self.keys = keys
        self.drop_path = drop_path
        self.statements: list[Statement] = []
        self.topics: Topics = {}
        self.helpers: set[str] = set()
        self.count = 0
        self.extra = False

    def run(self, graph: Graph) -> list[Expr]:
        """The graph's outputs, as values; its inputs are the values 0, 1, ... in order."""
        self.count = len(graph.inputs)
        inputs: list[Expr] = [Value(place) for place in range(self.count)]
        main = graph.needed(graph.outputs[:1])
        return self.emit(graph, inputs, (), graph.outputs, main)

    def emit(
        self,
        graph: Graph,
        inputs: Sequence[Expr],
        prefix: Path,
        outputs: tuple[int, ...],
        main: frozenset[int] | None = None,
    ) -> list[Expr]:
        found: dict[int, Expr] = dict(zip(graph.inputs, inputs, strict=True))
        needed = graph.needed(outputs)
        for number, node, arguments in graph:
            if node.kind == "input" or number not in needed:
                continue
            if main is not None:
                self.extra = number not in main
            found[number] = self.node(node, tuple(found[a] for a in arguments), prefix)
        return [found[o] for o in outputs]

    def node(self, node: Node, maps: tuple[Expr, ...], prefix: Path) -> Expr:
        path = prefix + node.path if node.path else ()
        if node.body is not None:
            target = self.call(node, path)
            if target is None:
                return self.emit(node.body, maps, path or prefix, node.body.outputs[:1])[0]
            keys = tuple(Text(self.keys[key]) for key in node.body.keys)
            return self.add(_named(target, *maps, *keys), _topic(path), "call")
        if node.mix is not None:
            helper = "mix" if node.mix.combine == "sum" else "mix_product"
            self.helpers.add(helper)
            row = Text(f"{self.keys[node.mix.key]}[{node.mix.row}]")
            return self.add(_named(helper, row, *maps), self.common(maps), "mix")
        if path:
            return self.add(_named(self.layer(path), *maps), _topic(path), "layer")
        if node.layer == "identity":
            return maps[0]
        if node.layer == "drop_path":
            self.helpers.add("DropPath")
            return self.add(_named(self.drop_path, *maps), self.about(maps[0]), "drop_path")
        assert node.attrs is not None
        if (
            node.layer in ("add", "multiply")
            and len(maps) == 1
            and node.attrs["constant"] == (0 if node.layer == "add" else 1)
        ):
            return maps[0]
        expr = function(node.layer, node.attrs, maps)
        if isinstance(expr, Call) and expr.function in HELPERS:
            self.helpers.add(expr.function)
        topic = self.common(maps) if len(maps) > 1 else self.about(maps[0])
        return self.add(expr, topic, "infix" if isinstance(expr, Infix) else node.layer)

    def add(self, expr: Expr, topic: Path, kind: str) -> Value:
        value = Value(self.count)
        self.count += 1
        if not topic and kind in ("layer", "call"):
            topic = self.about(Value(uses(expr)[0])) if uses(expr) else ()
        self.topics[value.number] = topic
        self.statements.append(Statement(value.number, expr, topic, kind, self.extra))
        return value

    def about(self, value: Expr) -> Path:
        return self.topics.get(value.number, ()) if isinstance(value, Value) else ()

    def common(self, maps: Sequence[Expr]) -> Path:
        """What several maps have in common: edges into a node are about the node."""
        topics = [topic for m in maps if (topic := self.about(m))]
        if not topics:
            return ()
        shared = topics[0]
        for topic in topics[1:]:
            same = [a == b for a, b in zip(shared, topic, strict=False)]
            shared = shared[: [*same, False].index(False)]
        if shared and len(topics) > 1:
            return shared
        return max(topics, key=len)[:-1]


def _named(name: str, *args: Expr) -> Call:
    return Call(name, tuple(Arg(a) for a in args))


def _topic(path: Path) -> Path:
    if len(path) > 1 and path[-2] == "cells" and path[-1].isdigit():
        return (f"cell_{path[-1]}",)
    return path[:-1]


# Folding


def fold(statements: list[Statement], outputs: list[Expr]) -> tuple[list[Statement], list[Expr]]:
    """Put values that are read once, right after they are made, into the place where they are read.

    The order of evaluation stays: random numbers are drawn in the order of the graph.
    """
    times: dict[int, int] = {}
    for expr in (*(s.expr for s in statements), *outputs):
        for number in uses(expr):
            times[number] = times.get(number, 0) + 1
    done: list[Statement] = []
    for statement in statements:
        for number in reversed(uses(statement.expr)):
            last = done[-1] if done else None
            if last is None or last.value != number or times[number] > 1 or last.extra != statement.extra:
                continue
            merged = _replaced(statement.expr, number, last.expr)
            if _may_fold(statement, last, merged):
                done.pop()
                statement = replace(statement, expr=merged)
        done.append(statement)
    if len(outputs) == 1 and done and outputs == [Value(done[-1].value)]:
        outputs = [done.pop().expr]
    return done, outputs


def _replaced(expr: Expr, number: int, by: Expr) -> Expr:
    return mapped(expr, lambda part: by if part == Value(number) else part)


def _may_fold(reader: Statement, made: Statement, merged: Expr) -> bool:
    if reader.kind == "mix":
        return depth(made.expr) <= 1 or made.kind == "zeros"
    if reader.kind == "drop_path":
        return depth(made.expr) <= 1 and made.kind in ("call", "layer", "mix")
    if _length(merged) > FOLDED_WIDTH:
        return False
    if reader.kind == "infix":
        return depth(made.expr) <= 2 and made.kind in ("call", "drop_path", "sigmoid", "infix")
    return reader.kind == "sigmoid" and made.kind == "infix" and depth(made.expr) <= 1


def _length(expr: Expr) -> int:
    return len(flat(expr, lambda part: "xx"))


# Names


def name_values(
    statements: list[Statement], outputs: list[Expr], inputs: Sequence[str], reserved: Sequence[str]
) -> dict[int, str]:
    """A local name for every value; a name is used again once its value is not read any more."""
    last: dict[int, int] = {}
    for at, expr in enumerate((*(s.expr for s in statements), Items(tuple(outputs)))):
        last.update(dict.fromkeys(uses(expr), at))
    names = dict(enumerate(inputs))
    live = dict(names)
    topics: Topics = dict.fromkeys(names, ())
    for at, statement in enumerate(statements):
        read = uses(statement.expr)
        ending = [n for n in read if last[n] == at and n in live]
        live = {n: name for n, name in live.items() if last.get(n, -1) > at}
        taken = {*live.values(), *reserved, *OURS}
        topics[statement.value] = statement.topic
        goes_on = read and read[0] in ending and topics[read[0]] == statement.topic
        if statement.kind != "call" and statement.topic[:1] and statement.topic[0].startswith("cell_"):
            # What pools a cell's result is not the cell.
            name = variable((), taken)
        elif goes_on:
            name = names[read[0]]
        else:
            name = variable(statement.topic, taken)
        names[statement.value] = live[statement.value] = name
    return names
