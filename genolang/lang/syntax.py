"""The syntax tree: what was written, with the place of every part. Places do not count in `==`."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from fractions import Fraction
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar, Union, dataclass_transform

from genolang.diagnostics import Source, Span

T = TypeVar("T")


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def node(cls: type[T]) -> type[T]:
    """A slotted dataclass that the type checker holds to be frozen.

    Thirty of dataclass's own frozen classes would take a tenth of a cold `genoc check` to make.
    """
    return dataclass(slots=True, eq=False, repr=False)(cls)


_compared_fields: dict[str, tuple[str, ...]] = {}


def _compared(cls: type[Node]) -> tuple[str, ...]:
    if cls.__name__ not in _compared_fields:
        _compared_fields[cls.__name__] = tuple(f.name for f in fields(cls) if f.compare)
    return _compared_fields[cls.__name__]


@node
class Node:
    if TYPE_CHECKING:
        __dataclass_fields__: ClassVar[dict[str, Any]]

    span: Span = field(compare=False)

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and all(
            getattr(self, name) == getattr(other, name) for name in _compared(type(self))
        )

    def __hash__(self) -> int:
        return hash((type(self), *(getattr(self, name) for name in _compared(type(self)))))

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={getattr(self, name)!r}" for name in _compared(type(self)))
        return f"{type(self).__name__}({shown})"


# Expressions


@node
class Number(Node):
    """A literal; `text` keeps how it was written (`3.5M`, `3e-4`)."""

    value: int | Fraction
    text: str = field(compare=False)


@node
class String(Node):
    value: str


@node
class Bool(Node):
    value: bool


@node
class Name(Node):
    id: str


@node
class Arg(Node):
    """One argument of a call: positional when `name` is None."""

    name: str | None
    value: Expr


@node
class Call(Node):
    callee: Expr
    args: tuple[Arg, ...]


@node
class Attribute(Node):
    base: Expr
    name: str


@node
class Index(Node):
    base: Expr
    index: Expr


@node
class Sequence(Node):
    """A list `[a, b]` or, with `brackets` false, a tuple `(a, b)`."""

    items: tuple[Expr, ...]
    brackets: bool


@node
class Pipeline(Node):
    stages: tuple[Expr, ...]


@node
class Alternatives(Node):
    options: tuple[Expr, ...]


@node
class Infix(Node):
    """Operands joined by one operator; only `+`, `*`, `and`, `or` take more than two."""

    operator: str
    operands: tuple[Expr, ...]


@node
class Prefix(Node):
    operator: str
    operand: Expr


@node
class If(Node):
    condition: Expr
    then: Expr
    otherwise: Expr


@node
class For(Node):
    """`for a, b in values : operation`: the operations one after the other."""

    names: tuple[Name, ...]
    values: Expr
    body: Expr


@node
class Slot(Node):
    """`slot residual`: a place where a network may plug a module in; the map itself where none does."""

    name: str


Expr = Union[
    Number, String, Bool, Name, Call, Attribute, Index, Sequence, Pipeline, Alternatives, Infix,
    Prefix, If, For, Slot,
]  # fmt: skip


# Statements


@node
class Assign(Node):
    name: Name
    value: Expr


@node
class Return(Node):
    value: Expr


@node
class Require(Node):
    condition: Expr
    message: String | None


@node
class Inputs(Node):
    """`inputs s0 = ..., s1 = ...`: the maps at which a cell's edges may start."""

    inputs: tuple[Assign, ...]


@node
class Nodes(Node):
    names: tuple[Name, ...]


@node
class Edge(Node):
    start: Name
    end: Name
    operation: Expr


@node
class Edges(Node):
    """Several edges in braces, or one; an end may be a pattern (`earlier -> each`)."""

    edges: tuple[Edge, ...]
    braces: bool


@node
class Keep(Node):
    """`keep 2 edges per node by operation`: how a search thins out a cell."""

    count: Expr
    choice: Name


@node
class Part(Node):
    """A network's `input`, `stem`, `body`, `stages` or `head`."""

    keyword: str
    value: Expr


@node
class Placed(Node):
    """A cell in a `cells` line, or one more position of the cell before it."""

    value: Expr
    at: Expr | None


@node
class Cells(Node):
    count: Expr
    placed: tuple[Placed, ...]


@node
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


@node
class Version(Node):
    number: int


@node
class ImportName(Node):
    path: tuple[str, ...]
    alias: str | None


@node
class Import(Node):
    names: tuple[ImportName, ...]


@node
class Param(Node):
    """A parameter; `kind` is what stands after a colon (`map`), `default` after `=`."""

    name: str
    kind: str | None
    default: Expr | None


@node
class Where(Node):
    """At which slots a module is plugged in: `all`, `every 2 from 1`, `search`, or `bits` (strings)."""

    kind: str
    value: Expr | None = None
    start: Expr | None = None


@node
class Plug(Node):
    """`with se at residual shared per stage where all`; `shared` is None for a module per slot."""

    module: Expr
    slot: Name
    shared: Name | None
    where: Where | None


@node
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


@node
class Setting(Node):
    name: str
    value: Expr


@node
class SettingLine(Node):
    settings: tuple[Setting, ...]


@node
class Section(Node):
    """`search { }` or `train { }`."""

    kind: str
    lines: tuple[SettingLine, ...]


Item = Union[Version, Import, Definition, Section]


@node
class Comment(Node):
    text: str


@node
class File:
    """A whole file: its items in order, and its comments apart.

    Of text in error there is no tree: `lost` are the names in it, `damaged` the places where it stood.
    """

    source: Source
    items: tuple[Item, ...]
    comments: tuple[Comment, ...] = field(compare=False)
    lost: frozenset[str] = field(default=frozenset(), compare=False)
    damaged: tuple[int, ...] = field(default=(), compare=False)
