"""The syntax tree: what was written, with the place of every part. Places do not count in `==`."""

from __future__ import annotations

from dataclasses import field
from fractions import Fraction
from typing import Union

from genolang.diagnostics import Source, Span
from genolang.records import record


@record(frozen=True)
class Node:
    span: Span = field(compare=False)


# Expressions


@record(frozen=True)
class Number(Node):
    """A literal; `text` keeps how it was written (`3.5M`, `3e-4`)."""

    value: int | Fraction
    text: str = field(compare=False)


@record(frozen=True)
class String(Node):
    value: str


@record(frozen=True)
class Bool(Node):
    value: bool


@record(frozen=True)
class Name(Node):
    id: str


@record(frozen=True)
class Arg(Node):
    """One argument of a call: positional when `name` is None."""

    name: str | None
    value: Expr


@record(frozen=True)
class Call(Node):
    callee: Expr
    args: tuple[Arg, ...]


@record(frozen=True)
class Attribute(Node):
    base: Expr
    name: str


@record(frozen=True)
class Index(Node):
    base: Expr
    index: Expr


@record(frozen=True)
class Sequence(Node):
    """A list `[a, b]` or, with `brackets` false, a tuple `(a, b)`."""

    items: tuple[Expr, ...]
    brackets: bool


@record(frozen=True)
class Pipeline(Node):
    stages: tuple[Expr, ...]


@record(frozen=True)
class Alternatives(Node):
    options: tuple[Expr, ...]


@record(frozen=True)
class Infix(Node):
    """Operands joined by one operator; only `+`, `*`, `and`, `or` take more than two."""

    operator: str
    operands: tuple[Expr, ...]


@record(frozen=True)
class Prefix(Node):
    operator: str
    operand: Expr


@record(frozen=True)
class If(Node):
    condition: Expr
    then: Expr
    otherwise: Expr


@record(frozen=True)
class For(Node):
    """`for a, b in values : operation`: the operations one after the other."""

    names: tuple[Name, ...]
    values: Expr
    body: Expr


@record(frozen=True)
class Slot(Node):
    """`slot residual`: a place where a network may plug a module in; the map itself where none does."""

    name: str


Expr = Union[
    Number, String, Bool, Name, Call, Attribute, Index, Sequence, Pipeline, Alternatives, Infix, Prefix, If, For, Slot
]


# Statements


@record(frozen=True)
class Assign(Node):
    name: Name
    value: Expr


@record(frozen=True)
class Return(Node):
    value: Expr


@record(frozen=True)
class Require(Node):
    condition: Expr
    message: String | None


@record(frozen=True)
class Inputs(Node):
    """`inputs s0 = ..., s1 = ...`: the maps at which a cell's edges may start."""

    inputs: tuple[Assign, ...]


@record(frozen=True)
class Nodes(Node):
    names: tuple[Name, ...]


@record(frozen=True)
class Edge(Node):
    start: Name
    end: Name
    operation: Expr


@record(frozen=True)
class Edges(Node):
    """Several edges in braces, or one; an end may be a pattern (`earlier -> each`)."""

    edges: tuple[Edge, ...]
    braces: bool


@record(frozen=True)
class Keep(Node):
    """`keep 2 edges per node by operation`: how a search thins out a cell."""

    count: Expr
    choice: Name


@record(frozen=True)
class Part(Node):
    """A network's `input`, `init`, `stem`, `body`, `stages` or `head`."""

    keyword: str
    value: Expr


@record(frozen=True)
class Placed(Node):
    """A cell in a `cells` line, or one more position of the cell before it."""

    value: Expr
    at: Expr | None


@record(frozen=True)
class Cells(Node):
    count: Expr
    placed: tuple[Placed, ...]


@record(frozen=True)
class Auxiliary(Node):
    """`auxiliary tower at 2/3 weight 0.4 when flag`: a second output, in training only."""

    value: Expr
    at: Expr
    weight: Expr
    when: Expr | None


Statement = Union[Assign, Return, Require, Inputs, Nodes, Edges, Keep, Part, Cells, Auxiliary]


# Items


@record(frozen=True)
class Version(Node):
    number: int


@record(frozen=True)
class ImportName(Node):
    path: tuple[str, ...]
    alias: str | None


@record(frozen=True)
class Import(Node):
    names: tuple[ImportName, ...]


@record(frozen=True)
class Param(Node):
    """A parameter; `kind` is what stands after a colon (`map`), `default` after `=`."""

    name: str
    kind: str | None
    default: Expr | None


@record(frozen=True)
class Where(Node):
    """At which slots a module is plugged in: `all`, `every 2 from 1`, `search`, or `bits` (strings)."""

    kind: str
    value: Expr | None = None
    start: Expr | None = None


@record(frozen=True)
class Plug(Node):
    """`with se at residual shared per stage where all`; `shared` is None for a module per slot."""

    module: Expr
    slot: Name
    shared: Name | None
    where: Where | None


@record(frozen=True)
class Definition(Node):
    """`op`, `attention`, `cell`, `choice` or `network`, with an expression or statements as body.

    `plugs` are the modules that a network puts into the slots of another, `states` the maps that a
    definition hands on from one use to the next.
    """

    kind: str
    name: Name
    params: tuple[Param, ...]
    body: Expr | tuple[Statement, ...]
    combine: Name | None = None
    plugs: tuple[Plug, ...] = ()
    states: tuple[Name, ...] = ()


@record(frozen=True)
class Setting(Node):
    name: str
    value: Expr


@record(frozen=True)
class SettingLine(Node):
    settings: tuple[Setting, ...]


@record(frozen=True)
class Section(Node):
    """`search { }` or `train { }`."""

    kind: str
    lines: tuple[SettingLine, ...]


Item = Union[Version, Import, Definition, Section]


@record(frozen=True)
class Comment(Node):
    text: str


@record(frozen=True)
class File:
    """A whole file: its items in order, and its comments apart.

    Of text in error there is no tree: `lost` are the names in it, `damaged` the places where it stood.
    """

    source: Source
    items: tuple[Item, ...]
    comments: tuple[Comment, ...] = field(compare=False)
    lost: frozenset[str] = field(default=frozenset(), compare=False)
    damaged: tuple[int, ...] = field(default=(), compare=False)
