"""Draws a search spec that is in order by construction; `search_specs` says what can stand in it.

All maps inside have four channels, and all operations keep their shape.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from hypothesis import strategies as st

T = TypeVar("T")
Draw = Callable[[st.SearchStrategy[Any]], Any]

# Shape-preserving operations without a decision; those in PLAIN need no import.
PLAIN = (
    "relu",
    "conv(3)",
    "identity",
    "conv(1)",
    "batch_norm",
    "tanh",
    "conv(3, groups=2)",
    "conv(3, bias=true)",
    "relu -> conv(3) -> batch_norm",
    "0.5 * conv(3)",
    "conv(3) + identity",
)
LIBRARY = ("sep_conv(3)", "skip", "dil_conv(3)", "max_pool(3)", "avg_pool(3)", "conv_7x1_1x7", "relu_conv_bn(4)")
# A decision of zeros reaches the end of its edge as zeros behind these.
QUIET = ("relu", "conv(1)", "conv(3)", "0.5 * conv(3)", "tanh")


@dataclass
class Spec:
    """A text, the network that is searched, and files that it imports, by name."""

    text: str
    network: str = "net"
    files: dict[str, str] = field(default_factory=dict)


class Maker:
    """Draws one spec. Features are names, each with what it puts into a spec, if that is not done here."""

    def __init__(self, draw: Draw, features: Mapping[str, Callable[[Maker], None] | None]) -> None:
        self.draw = draw
        self.features = features
        self.imports = ["std.ops"]
        self.definitions: list[str] = []
        self.files: dict[str, str] = {}
        # Expressions with decisions that may stand on an edge, beside the plain choice.
        self.uses: list[str] = []
        self.parts: list[str] = []
        self.cell_args: list[str] = []
        self.network_args: list[str] = []
        self.plugs: list[str] = []
        self.placed: list[str] = []
        self.count = 0

    # Draws; the first of several is the simplest.

    def one(self, of: Sequence[T]) -> T:
        return self.draw(st.sampled_from(of))

    def some(self, of: Sequence[T], least: int, most: int) -> list[T]:
        return self.draw(st.lists(st.sampled_from(of), min_size=least, max_size=most, unique=True))

    def flag(self) -> bool:
        return self.draw(st.booleans())

    def number(self, least: int, most: int) -> int:
        return self.draw(st.integers(least, most))

    def name(self, word: str) -> str:
        self.count += 1
        return f"{word}{self.count}"

    # Pieces

    def plain(self) -> str:
        return bracketed(self.one(PLAIN + LIBRARY))

    def alternatives(self, least: int = 2, most: int = 3) -> list[str]:
        return self.some(PLAIN + LIBRARY, least, most)

    def choice(self, word: str, options: Sequence[str], tail: str = "", params: str = "") -> str:
        name = self.name(word)
        self.definitions.append(f"choice {name}{params} = {' | '.join(options)}{tail}")
        return name

    def in_place(self) -> str:
        return f"({' | '.join(self.alternatives())})"

    def op(self, name: str, params: str, body: str) -> str:
        """A definition in one line, or in braces with or without a name for its result."""
        form = self.number(0, 2)
        if form == 0:
            text = f"op {name}{params} = {body}"
        elif form == 1:
            text = f"op {name}{params} {{\n  return x -> {body}\n}}"
        else:
            text = f"op {name}{params} {{\n  y = x -> {body}\n  return y -> relu\n}}"
        self.definitions.append(text)
        return name

    def around(self, inner: str, quiet: bool = False) -> str:
        """A pipeline with something before or behind."""
        before = ["", "relu -> ", "conv(1) -> ", "conv(3, bias=true) -> batch_norm -> "]
        behind = ["", " -> relu", " -> conv(1)", " -> drop_path"] + ([] if quiet else [" -> batch_norm"])
        return self.one(before) + inner + self.one(behind)

    def use(self) -> str:
        """An operation with decisions, to stand on an edge or in a body."""
        return self.one(self.uses)

    # The whole

    def make(self) -> Spec:
        options = self.alternatives(2, 4)
        if self.has("keep"):
            options.insert(self.number(0, len(options)), "none")
        self.operation = self.choice("operation", options)
        self.uses.append(self.operation)
        for add in self.features.values():
            if add is not None:
                add(self)
        self.cell("a")
        network = self.network()
        imports = "\n".join(f"import {name}" for name in dict.fromkeys(self.imports))
        text = "\n".join(["geno 1", imports, *self.definitions, network]) + "\n"
        if self.has("formatting"):
            text = disarranged(self, text)
        return Spec(text, "net", self.files)

    def has(self, feature: str) -> bool:
        return feature in self.features

    def edges(self, nodes: Sequence[str]) -> list[str]:
        """Lines of edges; with `keep`, the choice that ranks stands on every one."""
        if self.has("keep"):
            return [f"  edges earlier -> each : {self.ranked()}"]
        form = self.number(0, 3) if self.has("explicit") else 0
        if form == 0:
            return [f"  edges earlier -> each : {self.around(self.use())}"]
        if form == 1:
            lines = [f"  edges inputs -> each : {self.around(self.use())}"]
            return lines + ([f"  edges nodes -> later : {self.around(self.use())}"] if len(nodes) > 1 else [])
        if form == 2:
            return [
                f"  edges p -> each : {self.around(self.use())}",
                f"  edges {{\n    earlier -> {nodes[-1]} : {self.around(self.use())}\n"
                f"    q -> {nodes[0]} : {self.plain()}\n  }}",
            ]
        lines = []
        for number, node in enumerate(nodes):
            for start in self.some(["p", "q", *nodes[:number]], 1, 3):
                lines.append(f"    {start} -> {node} : {self.around(self.use())}")
            if self.flag():
                # A second edge between the same two.
                lines.append(f"    p -> {node} : {self.around(self.use())}")
        return ["  edges {", *lines, "  }"]

    def ranked(self) -> str:
        form = self.number(0, 2)
        if form == 1:
            return f"{self.operation} -> {self.one(QUIET)}"
        if form == 2 and self.has("argument"):
            return f"{self.wrapper(quiet=True)}({self.operation})"
        return self.operation

    def wrapper(self, quiet: bool = False) -> str:
        name = self.name("wrap")
        body = self.one(
            ["f -> relu", "relu -> f", "f", "conv(1) -> f -> conv(3)"]
            + ([] if quiet else ["f -> f", "identity + f", "concat(f, f) -> conv(1, 4)", "x * f"])
        )
        if body == "x * f":
            return self.named(name, "attention", "(f)", "x * sigmoid(x -> f)")
        return self.named(name, "op", "(f)", body)

    def named(self, name: str, kind: str, params: str, body: str) -> str:
        self.definitions.append(f"{kind} {name}{params} = {body}")
        return name

    def cell(self, name: str) -> None:
        nodes = ["n1", "n2", "n3"][: self.number(1, 2 if self.has("keep") else 3)]
        lines = self.edges(nodes)
        keep = [f"  keep {self.number(1, 2)} edges per node by {self.operation}"] if self.has("keep") else []
        gathered = f"concat({', '.join(nodes)}) -> conv(1, 4)" if len(nodes) > 1 and self.flag() else nodes[-1]
        inputs = self.number(0, 1)
        args = ", ".join(["p", "q", *self.cell_args])
        body = ["  inputs s = p -> relu, t = q -> conv(1)"] if inputs else []
        if inputs:
            lines = [line.replace("p ->", "s ->").replace("q ->", "t ->") for line in lines]
        self.definitions.append(
            "\n".join(
                [
                    f"cell {name}({args}) {{",
                    *body,
                    f"  nodes {', '.join(nodes)}",
                    *lines,
                    *keep,
                    f"  return {gathered}",
                    "}",
                ]
            )
        )

    def network(self) -> str:
        cells = f"{self.number(1, 2)} of a"
        if self.has("two_cells"):
            self.cell("b")
            self.placed.append("b at 2")
        if self.placed:
            cells = ", ".join(["3 of a", *self.placed])
        parts = [f"  {part}" for part in self.parts]
        at = self.number(0, len(parts))
        # Slots have to come with the body that they stand in.
        lines = [*parts[:at], f"  cells {cells}", *parts[at:]]
        params = "(" + ", ".join(self.network_args) + ")" if (self.network_args) else ""
        head = "  head global_avg_pool -> linear(3)"
        base = "base" if self.plugs else "net"
        text = "\n".join(
            [
                f"network {base}{params} {{",
                "  input image(1, 8, 8)",
                "  stem conv(3, 4) -> batch_norm",
                *lines,
                head,
                "}",
            ]
        )
        if self.plugs:
            text += f"\nnetwork net = base\n  {' '.join(self.plugs)}"
        if self.has("two_networks"):
            text += "\n" + self.second(base)
        if self.has("sections"):
            text += "\nsearch {\n  data digits   # embedded\n  epochs 1  batch 16\n}\ntrain { epochs 1 }"
        return text

    def second(self, base: str) -> str:
        form = self.number(0, 2)
        if form == 0:
            return f"network other = {base}"
        body = self.in_place() if form == 1 else self.operation
        return (
            "network other {\n  input image(1, 8, 8)\n  stem conv(3, 4)\n"
            f"  body {body} -> relu\n  cells 1 of a\n  head global_avg_pool -> linear(2)\n}}"
        )


def bracketed(text: str) -> str:
    return f"({text})" if "->" in text or "+" in text else text


def disarranged(m: Maker, text: str) -> str:
    """The same text with comments, and with line ends and spaces where they do not matter."""
    signs = st.sampled_from([" -> ", "->", "  ->   ", "\n      -> ", " ->\n      "])
    comments = st.sampled_from(["", "", "", "   # said here", "\n# on a line of its own", "\n\n"])
    found = []
    for line in text.split("\n"):
        head, *rest = line.split(" -> ") if not line.lstrip().startswith("edges") and " : " not in line else [line]
        found.append("".join([head, *(m.draw(signs) + part for part in rest)]) + m.draw(comments))
    return "\n".join(found)
