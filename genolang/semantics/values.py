"""What an expression can stand for while a program is expanded."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING, Any, TypeGuard, Union

from genolang.diagnostics import Span
from genolang.lang import syntax as s
from genolang.primitives import MapType, Primitive
from genolang.records import record
from genolang.semantics.program import Way

if TYPE_CHECKING:
    from genolang.semantics.builder import Builder
    from genolang.semantics.modules import Module

Args = tuple[tuple[str, Any], ...]


class DefinitionRef:
    """A definition and the file whose names it sees; compared by identity."""

    __slots__ = ("kind", "map_params", "module", "name", "syntax", "value_params")

    def __init__(self, definition: s.Definition, module: Module) -> None:
        self.syntax = definition
        self.module = module
        self.name = definition.name.id
        self.kind = definition.kind
        maps = [p.name for p in definition.params if is_map_param(p, definition.kind)]
        # The feature maps it takes: `x` for operations, undefaulted parameters for a cell.
        self.map_params = ["x", *maps] if self.kind in ("op", "attention") else maps
        self.value_params = [p for p in definition.params if not is_map_param(p, self.kind)]


def is_map_param(param: s.Param, kind: str) -> bool:
    return param.kind == "map" or (kind == "cell" and param.default is None and param.kind is None)


# Made by the ten thousand, so with a compiled constructor; each is made once, so identity is equality.
@dataclass(slots=True, eq=False)
class MapValue:
    """A feature map: a node of the block under construction."""

    builder: Builder
    index: int

    @property
    def type(self) -> MapType:
        return self.builder.nodes[self.index].type

    @property
    def zero(self) -> bool:
        return self.index in self.builder.zeros


@record(frozen=True)
class PrimitiveOp:
    """A primitive layer waiting for its maps."""

    primitive: Primitive
    args: Args
    span: Span = field(compare=False)
    size: int = field(init=False, compare=False, repr=False, default=0)

    def __post_init__(self) -> None:
        object.__setattr__(self, "size", args_size(self.args))


@record(frozen=True)
class DefinedOp:
    """A definition with some of its arguments, waiting for its maps."""

    ref: DefinitionRef
    args: Args
    span: Span = field(compare=False)
    size: int = field(init=False, compare=False, repr=False, default=0)

    def __post_init__(self) -> None:
        object.__setattr__(self, "size", args_size(self.args))


@record(frozen=True)
class PipeOp:
    stages: tuple[Op, ...]
    span: Span = field(compare=False)
    size: int = field(init=False, compare=False, repr=False, default=0)

    def __post_init__(self) -> None:
        object.__setattr__(self, "size", size_of(self.stages))


@record(frozen=True)
class ForkOp:
    """Every operand applied to one map, the results joined by a primitive (`f + g`, `concat`)."""

    primitive: Primitive
    operands: tuple[Op, ...]
    args: Args
    span: Span = field(compare=False)
    size: int = field(init=False, compare=False, repr=False, default=0)

    def __post_init__(self) -> None:
        object.__setattr__(self, "size", size_of(self.operands) + args_size(self.args))


@record(frozen=True)
class ChoiceOp:
    """Several operations of which a search is to choose one: a decision of its own on every edge and
    at every way that leads to its words in the text. `written` are its alternatives, `syntax`, with
    what its parameters are here."""

    name: str
    options: tuple[Op, ...]
    syntax: tuple[s.Expr, ...] = field(compare=False)
    written: tuple[s.Expr, ...] = field(compare=False)
    added: tuple[s.Arg, ...] = field(compare=False)
    combine: str
    definition: str
    edge: tuple[str, str] | None
    way: Way
    span: Span = field(compare=False)
    size: int = field(init=False, compare=False, repr=False, default=0)

    def __post_init__(self) -> None:
        object.__setattr__(self, "size", size_of(self.options))


class SharedOp:
    """A named operation: every use in its definition has the same weights. Compared by identity."""

    __slots__ = ("op", "path", "size", "span")

    def __init__(self, op: Op, path: tuple[str, ...], span: Span) -> None:
        self.op = op
        self.size: int = op.size
        self.path = path
        self.span = span


@record(frozen=True)
class SlotOp:
    """A slot: what the network plugs in, or the map itself."""

    name: str
    span: Span = field(compare=False)
    size: int = field(init=False, compare=False, repr=False, default=0)


@record(frozen=True)
class NetworkValue:
    """A network with some of its arguments."""

    ref: DefinitionRef
    args: Args
    span: Span = field(compare=False)


Op = Union[PrimitiveOp, DefinedOp, PipeOp, ForkOp, ChoiceOp, SharedOp, SlotOp]
OPS = (PrimitiveOp, DefinedOp, PipeOp, ForkOp, ChoiceOp, SharedOp, SlotOp)
NUMBERS = (int, Fraction, float)


def is_op(value: object) -> bool:
    return isinstance(value, OPS)


def is_number(value: object) -> bool:
    return isinstance(value, NUMBERS) and not isinstance(value, bool)


def size_of(value: Any) -> int:
    """How many parts a value has, those of its parts counted in full."""
    if isinstance(value, tuple):
        return 1 + sum(map(size_of, value))
    return 1 + value.size if isinstance(value, OPS) else 1


def args_size(args: Args) -> int:
    return sum(size_of(value) for _, value in args)


def describe(value: object) -> str:
    """The kind of a value, in the words of the language."""
    if isinstance(value, MapValue):
        return f"a feature map ({value.type})"
    if isinstance(value, ChoiceOp):
        return "a choice"
    if is_op(value):
        return "an operation"
    if isinstance(value, NetworkValue):
        return "a network"
    if isinstance(value, bool):
        return "true or false"
    if isinstance(value, int):
        return f"the number {value}"
    if is_number(value):
        return f"the number {float(value):g}"  # type: ignore[arg-type]
    if isinstance(value, str):
        return f'the string "{value[:40]}"'
    if isinstance(value, tuple):
        return f"a list of {len(value)}"
    return "a function"


def parts(value: Any) -> Iterator[Any]:
    """The value and everything inside it that an operation carries along."""
    yield value
    inner: tuple[Any, ...] = ()
    if isinstance(value, (PrimitiveOp, DefinedOp)):
        inner = tuple(v for _, v in value.args)
    elif isinstance(value, PipeOp):
        inner = value.stages
    elif isinstance(value, ForkOp):
        inner = (*value.operands, *(v for _, v in value.args))
    elif isinstance(value, ChoiceOp):
        inner = value.options
    elif isinstance(value, SharedOp):
        inner = (value.op,)
    elif isinstance(value, tuple):
        inner = value
    for part in inner:
        yield from parts(part)


def has_choice(value: Any) -> bool:
    """Whether a choice is open anywhere in an operation."""
    return any(isinstance(part, ChoiceOp) for part in parts(value))


def is_local(value: Any) -> bool:
    """Whether a value belongs to the block in which it was made (it holds a map or weights)."""
    return any(isinstance(part, (SharedOp, MapValue)) for part in parts(value))


def is_movable(value: Any, definition: str, edge: tuple[str, str] | None) -> TypeGuard[Op]:
    """Whether an operation on an edge of a definition is the same on every edge, but for the edge that its
    own choices name. A choice that was handed to the definition belongs to no edge, or to one elsewhere."""
    if not is_op(value):
        return False
    stages = value.stages if isinstance(value, PipeOp) else (value,)
    if any(isinstance(op, ChoiceOp) and (op.definition, op.edge) != (definition, edge) for op in stages):
        return False
    inner = [o for op in stages for o in (op.options if isinstance(op, ChoiceOp) else (op,))]
    return not any(isinstance(part, (ChoiceOp, SharedOp, MapValue)) for op in inner for part in parts(op))


def on_edge(op: Op, edge: tuple[str, str]) -> Op:
    """A movable operation on another edge."""
    if isinstance(op, ChoiceOp):
        return ChoiceOp(op.name, op.options, op.syntax, op.written, op.added, op.combine, op.definition,
                        edge, op.way, op.span)  # fmt: skip
    if isinstance(op, PipeOp):
        return PipeOp(tuple([on_edge(stage, edge) for stage in op.stages]), op.span)
    return op
