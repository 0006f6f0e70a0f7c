"""The syntax tree: what was written, with the place of every part. Places do not count in `==`."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from typing import Union

from genolang.diagnostics import Source, Span


@dataclass(frozen=True, slots=True)
class Node:
    span: Span = field(compare=False, repr=False)


# Expressions


@dataclass(frozen=True, slots=True)
class Number(Node):
    """A literal; `text` keeps how it was written (`3.5M`, `3e-4`)."""

    value: int | Fraction
    text: str = field(compare=False)


@dataclass(frozen=True, slots=True)
class String(Node):
    value: str


@dataclass(frozen=True, slots=True)
class Bool(Node):
    value: bool


@dataclass(frozen=True, slots=True)
class Name(Node):
    id: str


@dataclass(frozen=True, slots=True)
class Arg(Node):
    """One argument of a call: positional when `name` is None."""

    name: str | None
    value: Expr


@dataclass(frozen=True, slots=True)
class Call(Node):
    callee: Expr
    args: tuple[Arg, ...]


@dataclass(frozen=True, slots=True)
class Attribute(Node):
    base: Expr
    name: str


@dataclass(frozen=True, slots=True)
class Index(Node):
    base: Expr
    index: Expr


@dataclass(frozen=True, slots=True)
class Sequence(Node):
    """A list `[a, b]` or, with `brackets` false, a tuple `(a, b)`."""

    items: tuple[Expr, ...]
    brackets: bool


@dataclass(frozen=True, slots=True)
class Pipeline(Node):
    stages: tuple[Expr, ...]


@dataclass(frozen=True, slots=True)
class Alternatives(Node):
    options: tuple[Expr, ...]


@dataclass(frozen=True, slots=True)
class Infix(Node):
    """Operands joined by one operator; only `+`, `*`, `and`, `or` take more than two."""

    operator: str
    operands: tuple[Expr, ...]


@dataclass(frozen=True, slots=True)
class Prefix(Node):
    operator: str
    operand: Expr


@dataclass(frozen=True, slots=True)
class If(Node):
    condition: Expr
    then: Expr
    otherwise: Expr


@dataclass(frozen=True, slots=True)
class For(Node):
    """`for a, b in values : operation`: the operations one after the other."""

    names: tuple[Name, ...]
    values: Expr
    body: Expr


Expr = Union[
    Number, String, Bool, Name, Call, Attribute, Index, Sequence, Pipeline, Alternatives, Infix,
    Prefix, If, For,
]  # fmt: skip


# Statements


@dataclass(frozen=True, slots=True)
class Assign(Node):
    name: Name
    value: Expr


@dataclass(frozen=True, slots=True)
class Return(Node):
    value: Expr


@dataclass(frozen=True, slots=True)
class Require(Node):
    condition: Expr
    message: String | None


@dataclass(frozen=True, slots=True)
class Inputs(Node):
    """`inputs s0 = ..., s1 = ...`: the maps at which a cell's edges may start."""

    inputs: tuple[Assign, ...]


@dataclass(frozen=True, slots=True)
class Nodes(Node):
    names: tuple[Name, ...]


@dataclass(frozen=True, slots=True)
class Edge(Node):
    start: Name
    end: Name
    operation: Expr


@dataclass(frozen=True, slots=True)
class Edges(Node):
    """Several edges in braces, or one; an end may be a pattern (`earlier -> each`)."""

    edges: tuple[Edge, ...]
    braces: bool


@dataclass(frozen=True, slots=True)
class Keep(Node):
    """`keep 2 edges per node by operation`: how a search thins out a cell."""

    count: Expr
    choice: Name


@dataclass(frozen=True, slots=True)
class Part(Node):
    """A network's `input`, `stem`, `body` or `head`."""

    keyword: str
    value: Expr


@dataclass(frozen=True, slots=True)
class Placed(Node):
    """A cell in a `cells` line, or one more position of the cell before it."""

    value: Expr
    at: Expr | None


@dataclass(frozen=True, slots=True)
class Cells(Node):
    count: Expr
    placed: tuple[Placed, ...]


@dataclass(frozen=True, slots=True)
class Auxiliary(Node):
    """`auxiliary tower at 2/3 weight 0.4 when flag`: a second output, in training only."""

    value: Expr
    at: Expr
    weight: Expr
    when: Expr | None


Statement = Union[
    Assign, Return, Require, Inputs, Nodes, Edges, Keep, Part, Cells, Auxiliary
]  # fmt: skip


# Items


@dataclass(frozen=True, slots=True)
class Version(Node):
    number: int


@dataclass(frozen=True, slots=True)
class ImportName(Node):
    path: tuple[str, ...]
    alias: str | None


@dataclass(frozen=True, slots=True)
class Import(Node):
    names: tuple[ImportName, ...]


@dataclass(frozen=True, slots=True)
class Param(Node):
    """A parameter; `kind` is what stands after a colon (`map`), `default` after `=`."""

    name: str
    kind: str | None
    default: Expr | None


@dataclass(frozen=True, slots=True)
class Definition(Node):
    """`op`, `attention`, `cell`, `choice` or `network`, with an expression or statements as body."""

    kind: str
    name: Name
    params: tuple[Param, ...]
    body: Expr | tuple[Statement, ...]
    combine: Name | None = None


@dataclass(frozen=True, slots=True)
class Setting(Node):
    name: str
    value: Expr


@dataclass(frozen=True, slots=True)
class SettingLine(Node):
    settings: tuple[Setting, ...]


@dataclass(frozen=True, slots=True)
class Section(Node):
    """`search { }` or `train { }`."""

    kind: str
    lines: tuple[SettingLine, ...]


Item = Union[Version, Import, Definition, Section]


@dataclass(frozen=True, slots=True)
class Comment(Node):
    text: str


@dataclass(frozen=True, slots=True)
class File:
    """A whole file: its items in order, and its comments apart.

    Of text in error there is no tree: `lost` are the names in it, `damaged` the places where it stood.
    """

    source: Source
    items: tuple[Item, ...]
    comments: tuple[Comment, ...] = field(compare=False)
    lost: frozenset[str] = field(default=frozenset(), compare=False)
    damaged: tuple[int, ...] = field(default=(), compare=False)
