"""What an expression can stand for while a program is expanded."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import field
from fractions import Fraction
from typing import Any, TypeGuard

from genolang.diagnostics import Span
from genolang.lang import syntax as s
from genolang.primitives import Primitive
from genolang.records import record
from genolang.semantics.expansion.builder import MapValue
from genolang.semantics.modules import DefinitionRef, Module
from genolang.semantics.program import Way

Args = tuple[tuple[str, Any], ...]


@record(frozen=True, eq=False)
class Op:
    """An operation, waiting for its map. Its `size` is that of `size_of`, but for the operation itself."""

    span: Span = field(compare=False)
    size: int = field(init=False, compare=False, repr=False, default=0)

    def __post_init__(self) -> None:
        object.__setattr__(self, "size", sum(map(size_of, self.inner)))

    @property
    def inner(self) -> tuple[Any, ...]:
        """What it carries along."""
        return ()


@record(frozen=True)
class PrimitiveOp(Op):
    """A primitive layer with some of its arguments."""

    primitive: Primitive
    args: Args

    @property
    def inner(self) -> tuple[Any, ...]:
        return tuple([value for _, value in self.args])


@record(frozen=True)
class DefinedOp(Op):
    """A definition with some of its arguments."""

    ref: DefinitionRef
    args: Args

    inner = PrimitiveOp.inner


@record(frozen=True)
class PipeOp(Op):
    """One operation after the other."""

    stages: tuple[Op, ...]

    @property
    def inner(self) -> tuple[Any, ...]:
        return (self.stages,)


@record(frozen=True)
class ForkOp(Op):
    """Every operand applied to one map, the results joined by a primitive (`f + g`, `concat`)."""

    primitive: Primitive
    operands: tuple[Op, ...]
    args: Args

    @property
    def inner(self) -> tuple[Any, ...]:
        return self.operands, *(value for _, value in self.args)


@record(frozen=True)
class ChoiceOp(Op):
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

    @property
    def inner(self) -> tuple[Any, ...]:
        return (self.options,)


@record(frozen=True, eq=False)
class SharedOp(Op):
    """A named operation: every use in its definition has the same weights. Compared by identity."""

    op: Op
    path: tuple[str, ...]

    @property
    def inner(self) -> tuple[Any, ...]:
        return (self.op,)


@record(frozen=True)
class SlotOp(Op):
    """A slot: what the network plugs in, or the map itself."""

    name: str


@record(frozen=True)
class NetworkValue:
    """A network with some of its arguments."""

    span: Span = field(compare=False)
    ref: DefinitionRef
    args: Args


class ModuleValue:
    """An import alias, or `core`, in front of a dot."""

    def __init__(self, module: Module | None) -> None:
        self.module = module


class Function:
    """A function over compile-time numbers, or `repeat`."""

    def __init__(self, name: str) -> None:
        self.name = name


def is_number(value: object) -> TypeGuard[int | Fraction | float]:
    return isinstance(value, (int, Fraction, float)) and not isinstance(value, bool)


def size_of(value: Any) -> int:
    """How many parts a value has, those of its parts counted in full."""
    if isinstance(value, tuple):
        return 1 + sum(map(size_of, value))
    return 1 + value.size if isinstance(value, Op) else 1


def describe(value: object) -> str:
    """The kind of a value, in the words of the language."""
    match value:
        case MapValue():
            return f"a feature map ({value.type})"
        case ChoiceOp():
            return "a choice"
        case Op():
            return "an operation"
        case NetworkValue():
            return "a network"
        case bool():
            return "true or false"
        case int():
            return f"the number {value}"
        case Fraction() | float():
            return f"the number {float(value):g}"
        case str():
            return f'the string "{value[:40]}"'
        case tuple():
            return f"a list of {len(value)}"
    return "a function"


def parts(value: Any) -> Iterator[Any]:
    """The value and everything inside it that an operation carries along."""
    yield value
    for part in value.inner if isinstance(value, Op) else value if isinstance(value, tuple) else ():
        yield from parts(part)


def has_choice(value: Any) -> bool:
    """Whether a choice is open anywhere in an operation."""
    return any(isinstance(part, ChoiceOp) for part in parts(value))


def is_local(value: Any) -> bool:
    """Whether a value belongs to the block in which it was made (it holds a map or weights)."""
    return any(isinstance(part, (SharedOp, MapValue)) for part in parts(value))


def is_movable(value: Op, definition: str, edge: tuple[str, str] | None) -> bool:
    """Whether an operation on an edge of a definition is the same on every edge, but for the edge that its
    own choices name. A choice that was handed to the definition belongs to no edge, or to one elsewhere."""
    stages = value.stages if isinstance(value, PipeOp) else (value,)
    if any(isinstance(op, ChoiceOp) and (op.definition, op.edge) != (definition, edge) for op in stages):
        return False
    inner = [o for op in stages for o in (op.options if isinstance(op, ChoiceOp) else (op,))]
    return not any(has_choice(op) or is_local(op) for op in inner)


def on_edge(op: Op, edge: tuple[str, str]) -> Op:
    """A movable operation on another edge."""
    if isinstance(op, ChoiceOp):
        return ChoiceOp(
            op.span, op.name, op.options, op.syntax, op.written, op.added, op.combine, op.definition, edge, op.way
        )
    if isinstance(op, PipeOp):
        return PipeOp(op.span, tuple([on_edge(stage, edge) for stage in op.stages]))
    return op
