"""Graphs to readable Python: one `nn.Module` class per cell, block or operation, and no genolang.

Works on the graph as it was written, so that definitions keep their names. Everything in the text is
either ours or an identifier made safe; strings and comments of a spec never reach it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from genolang.compiler.ir import Graph, Node, by_height
from genolang.compiler.python.forward import Forward, Statement, fold, name_values
from genolang.compiler.python.images import images_text
from genolang.compiler.python.layers import HELPERS, constructor
from genolang.compiler.python.names import OURS, attribute, class_name, numbered, quoted, variable
from genolang.compiler.python.network import NetworkText
from genolang.compiler.python.text import (
    OMITTED,
    Arg,
    Call,
    Expr,
    Hole,
    Text,
    Value,
    erased,
    filled,
    flat,
    holes,
    lines,
    literal,
    walk,
)
from genolang.semantics.program import ChoiceSet, Path

_WIDTHS = frozenset(("in_channels", "out_channels", "channels", "groups"))


@dataclass(slots=True)
class Template:
    """One graph as a class: numbers in `made` and `statements` are still holes."""

    graph: Graph
    made: list[tuple[str, Expr]]
    statements: list[Statement]
    outputs: list[Expr]
    inputs: list[str]
    keys: dict[str, str]
    drop_path: str
    taken: frozenset[str]

    @property
    def exprs(self) -> list[Expr]:
        return [*(e for _, e in self.made), *(s.expr for s in self.statements), *self.outputs]

    def key(self) -> object:
        """Equal for graphs that differ in nothing but numbers."""
        head = (self.graph.name, tuple(self.inputs), tuple(self.keys.values()), self.drop_path)
        body = tuple((s.value, s.topic, s.extra, erased(s.expr)) for s in self.statements)
        return (head, tuple((target, erased(e)) for target, e in self.made), body, tuple(map(erased, self.outputs)))


@dataclass(slots=True)
class ClassText:
    """A finished class: its name, its parameters, and the value of each for every graph it serves."""

    name: str
    params: list[str]
    arguments: dict[int, tuple[Any, ...]] = field(default_factory=dict)
    text: str = ""


class _Writer:
    def __init__(self, sets: Mapping[str, ChoiceSet]) -> None:
        self.sets = sets
        self.classes: dict[int, ClassText] = {}
        self.order: list[ClassText] = []
        self.helpers: set[str] = set()
        self.names: set[str] = {*HELPERS, *OURS}

    def write(self, root: Graph, auxiliary_weight: float) -> str:
        """All classes, those that others use first."""
        for graphs in by_height(root)[:-1]:
            self.level([graph for graph in graphs if graph.leaves])
        template = self.template(root, network=True)
        found = self.finish([template], NetworkText(self.sets, auxiliary_weight))
        self.order.append(found)
        helpers = [text for name, text in HELPERS.items() if name in self.helpers]
        return "\n\n".join((*helpers, *(c.text for c in self.order)))

    def level(self, graphs: list[Graph]) -> None:
        groups: dict[object, list[Template]] = {}
        for graph in graphs:
            template = self.template(graph)
            groups.setdefault(template.key(), []).append(template)
        for group in groups.values():
            found = self.finish(group, None)
            self.order.append(found)
            self.classes.update((id(t.graph), found) for t in group)

    # One graph

    def template(self, graph: Graph, *, network: bool = False) -> Template:
        calls = _Calls(graph, self.classes)
        taken = frozenset(path[0] for path in graph.leaves)
        inputs = ["x"] if len(graph.inputs) == 1 else [f"x{i}" for i in range(len(graph.inputs))]
        keys: dict[str, str] = {}
        for key in graph.keys:
            short = variable((key.rpartition(".")[2],), {*keys.values(), *inputs})
            keys[key] = f"weights[{quoted(key)}]" if network else short
        drop_path = numbered("drop_path", taken)
        forward = Forward(calls.access, calls.target, keys, f"self.{drop_path}")
        outputs = forward.run(graph)
        statements, outputs = fold(forward.statements, outputs)
        self.helpers |= forward.helpers
        dropping = drop_path if "DropPath" in forward.helpers else ""
        return Template(graph, calls.made(self.helpers), statements, outputs, inputs, keys, dropping, taken)

    # One class

    def finish(self, group: list[Template], network: NetworkText | None) -> ClassText:
        first = group[0]
        name = class_name(first.graph.name, self.names)
        self.names.add(name)
        columns = list(zip(*([h for e in t.exprs for h in holes(e)] for t in group), strict=True))
        texts, params = _parameters(columns)
        count = sum(len(holes(e)) for _, e in first.made)
        stored = {p: numbered(p, first.taken | {first.drop_path}) for p in params}
        kept = [p for p in params if any(t == Text(p) for t in texts[count:])]
        later = [
            Text(f"self.{stored[t.text]}") if isinstance(t, Text) and t.text in params else t for t in texts[count:]
        ]
        fill = iter([*texts[:count], *later])
        found = ClassText(name, list(params))
        for place, template in enumerate(group):
            values = tuple(column[place].value for column in params.values())
            found.arguments[id(template.graph)] = values
        base = "Part" if "training" in first.taken else "nn.Module"
        self.helpers |= {base} & set(HELPERS)
        body = [f"class {name}({base}):"]
        if network is not None:
            body += network.docstring(first.graph)
        body += _signature("__init__", [f"{p}: {_kind(c)}" for p, c in params.items()], "None")
        body.append("        super().__init__()")
        if network is not None:
            body += network.attributes()
        body += [f"        self.{stored[p]} = {p}" for p in kept]
        body += [f"        self.{first.drop_path} = DropPath()"] if first.drop_path else []
        body += _layers(first.made, fill)
        body += ["", *_forward(first, fill, network)]
        if network is not None:
            body += network.methods("DropPath" in self.helpers)
        found.text = "\n".join(body) + "\n"
        return found


class _Calls:
    """The layers and inner classes of one graph: how they are made and how they are reached."""

    def __init__(self, graph: Graph, classes: Mapping[int, ClassText]) -> None:
        self.graph = graph
        self.classes = classes
        self.owners: dict[Path, tuple[ClassText, tuple[Any, ...]]] = {}
        for _, node, _ in graph:
            if node.body is not None and node.path:
                self.owners.setdefault(node.path, self.served(node.body))
        self.things = list(dict.fromkeys(self.owner(path) for path in graph.leaves))
        self.names: dict[Path, list[str]] = {}
        self.lists = self._lists()

    def served(self, body: Graph) -> tuple[ClassText, tuple[Any, ...]]:
        found = self.classes[id(body)]
        return found, found.arguments[id(body)]

    def owner(self, leaf: Path) -> Path:
        """The path of the inner class that a layer belongs to, or its own."""
        return next((leaf[:n] for n in range(1, len(leaf)) if leaf[:n] in self.owners), leaf)

    def _lists(self) -> frozenset[Path]:
        for thing in self.things:
            for depth in range(1, len(thing) + 1):
                inside = self.names.setdefault(thing[: depth - 1], [])
                if thing[depth - 1] not in inside:
                    inside.append(thing[depth - 1])
        counted = {path: [str(i) for i in range(len(found))] for path, found in self.names.items()}
        return frozenset(path for path, found in self.names.items() if path and found == counted[path])

    def access(self, path: Path) -> str:
        text = "self"
        for depth, part in enumerate(path):
            text = attribute(text, part, in_list=path[:depth] in self.lists)
        return text

    def target(self, node: Node, path: Path) -> str | None:
        """The call of a body's own class; None where it has no weights, or those of another body."""
        assert node.body is not None
        if not path or path not in self.owners or self.owners[path] != self.served(node.body):
            return None
        return self.access(path)

    def container(self, path: Path) -> str:
        """The class of a place that only holds others."""
        if path in self.lists:
            return "nn.ModuleList"
        return "Part" if "training" in self.names[path] else "nn.Module"

    def made(self, helpers: set[str]) -> list[tuple[str, Expr]]:
        """(target, constructor) of every container, layer and inner class, in program order."""
        found: list[tuple[str, Expr]] = []
        seen: set[Path] = set()
        for thing in self.things:
            for depth in range(1, len(thing)):
                if thing[:depth] not in seen:
                    seen.add(thing[:depth])
                    found.append((self.place(thing[:depth]), Call(self.container(thing[:depth]), ())))
                    helpers |= {self.container(thing[:depth])} & set(HELPERS)
            if thing in self.owners:
                of, values = self.owners[thing]
                args = (Arg(Hole(p, v)) for p, v in zip(of.params, values, strict=True))
                made = Call(of.name, tuple(args))
            else:
                made = constructor(self.graph.leaves[thing])
                helpers |= {part.function for part in walk(made) if isinstance(part, Call)} & set(HELPERS)
            found.append((self.place(thing), made))
        return found

    def place(self, path: Path) -> str:
        """Where a layer, an inner class or a container is put: lists grow by one."""
        return f"{self.access(path[:-1])}.append" if path[:-1] in self.lists else self.access(path)


# Numbers that differ between the uses of a class become its parameters


def _parameters(columns: list[tuple[Hole, ...]]) -> tuple[list[Expr], dict[str, tuple[Hole, ...]]]:
    """What fills each hole, and the parameters: equal numbers of one kind share one."""
    roles: dict[object, list[int]] = {}
    texts: list[Expr] = []
    for place, column in enumerate(columns):
        values = [hole.value for hole in column]
        if all(h.default is not None and h.value == h.default for h in column):
            texts.append(OMITTED)
        elif all(value == values[0] for value in values):
            texts.append(Text(literal(values[0])))
        else:
            role = column[0].role
            roles.setdefault(("channels" if _family(role) else role, tuple(values)), []).append(place)
            texts.append(OMITTED)
    params: dict[str, tuple[Hole, ...]] = {}
    for places in roles.values():
        named = list(dict.fromkeys(columns[p][0].role.rstrip("_23456789") for p in places))
        name = numbered(named[0] if len(named) == 1 else "channels", params)
        params[name] = columns[places[0]]
        for place in places:
            texts[place] = Text(name)
    return texts, params


def _family(role: str) -> bool:
    return role.rstrip("_23456789") in _WIDTHS


def _kind(column: tuple[Hole, ...]) -> str:
    kinds = {type(hole.value) for hole in column}
    names = {bool: "bool", int: "int", float: "float", tuple: "tuple[int, int]"}
    return " | ".join(text for kind, text in names.items() if kind in kinds)


# Text


def _signature(name: str, params: list[str], result: str) -> list[str]:
    whole = f"    def {name}({', '.join(['self', *params])}) -> {result}:"
    if len(whole) <= 88:
        return [whole]
    return [f"    def {name}(", *(f"        {p}," for p in ("self", *params)), f"    ) -> {result}:"]


def _layers(made: list[tuple[str, Expr]], fill: Iterator[Expr]) -> list[str]:
    found: list[str] = []
    for target, expr in made:
        whole = filled(expr, fill)
        if target.endswith(".append"):
            found += lines("", Call(target, (Arg(whole),)), _no_value, 8)
        else:
            found += lines(f"{target} = ", whole, _no_value, 8)
    return found


def _no_value(part: object) -> str:
    raise AssertionError(f"{part!r} has no place in a constructor")


def _forward(template: Template, fill: Iterator[Expr], network: NetworkText | None) -> list[str]:
    statements, outputs = template.statements, template.outputs
    keys = [] if network is not None else list(template.keys.values())
    names = name_values(statements, outputs, template.inputs, keys)

    def resolve(part: Value | Hole) -> str:
        assert isinstance(part, Value), f"{part!r} is not filled"
        return names[part.number]

    params = [f"{name}: Tensor" for name in (*template.inputs, *keys)]
    result = "Tensor" if len(outputs) == 1 else "Tensor | tuple[Tensor, Tensor]"
    found = _signature("forward", params, result)
    if network is not None:
        found += network.weights()
    extra = False
    for statement in statements:
        if statement.extra and not extra:
            found.append("        if self.training:")
        extra = statement.extra
        expr = filled(statement.expr, fill)
        found += lines(f"{names[statement.value]} = ", expr, resolve, 12 if extra else 8)
    ends = [filled(output, fill) for output in outputs]
    if network is None:
        return [*found, *lines("return ", ends[0], resolve, 8)]
    types = [template.graph.node(output).type for output in template.graph.outputs]
    answers = [
        Call("flatten", (Arg(Text("1")),), end) if type.is_vector else end
        for end, type in zip(ends, types, strict=True)
    ]
    if len(answers) == 2:
        pair = ", ".join(flat(end, resolve) for end in answers)
        found += ["        if self.training:", f"            return {pair}"]
    return [*found, *lines("return ", answers[0], resolve, 8)]


def to_python(
    graph: Graph,
    sets: Mapping[str, ChoiceSet],
    auxiliary_weight: float,
    version: str,
    card: Mapping[str, Any] | None = None,
) -> str:
    """A network's graph as the text of one Python file that needs torch alone.

    Its class has the same state dict as the compiled module: names, shapes and order. A trained network's
    card adds how images are normalised for it, and its classes.
    """
    writer = _Writer(sets)
    body = writer.write(graph, auxiliary_weight)
    if card is not None:
        body = f"{images_text(card)}\n\n{body}"
    whole = "import torch\n" if "torch." in body else ""
    functional = "from torch.nn import functional as F\n" if "F." in body else ""
    return (
        f"# Written by genolang {version}. Plain PyTorch: change it as you like.\n"
        "from __future__ import annotations\n\n"
        f"{whole}from torch import Tensor, nn\n"
        f"{functional}\n\n{body}"
    )
