"""Expressions of the generated Python: small trees that are compared, folded and laid out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

WIDTH = 88


@dataclass(frozen=True, slots=True)
class Text:
    """Words of our own, or a name that has been made safe."""

    text: str


@dataclass(frozen=True, slots=True)
class Value:
    """The result of an earlier statement."""

    number: int


@dataclass(frozen=True, slots=True)
class Hole:
    """A number that may differ between two uses of one class, and so may become a parameter.

    An argument that has its default in every use is left out.
    """

    role: str
    value: Any
    default: Any = None


@dataclass(frozen=True, slots=True)
class Arg:
    """An argument of a call."""

    value: Expr
    keyword: str = ""


@dataclass(frozen=True, slots=True)
class Call:
    """`function(...)`; `base` makes it a method."""

    function: str
    args: tuple[Arg, ...]
    base: Expr | None = None


@dataclass(frozen=True, slots=True)
class Infix:
    """`left + right`, written without parentheses around `left` of the same sign."""

    sign: str
    left: Expr
    right: Expr


@dataclass(frozen=True, slots=True)
class Items:
    """`[a, b]`."""

    items: tuple[Expr, ...]


@dataclass(frozen=True, slots=True)
class Slices:
    """`x[:, :, ::stride, ::stride]`."""

    base: Expr
    stride: Expr


@dataclass(frozen=True, slots=True)
class Member:
    """`x.shape[-2:]`: something of a value, in words of our own."""

    base: Expr
    text: str


Expr = Text | Value | Hole | Call | Infix | Items | Slices | Member


def children(expr: Expr) -> tuple[Expr, ...]:
    """The direct parts, in order of evaluation."""
    match expr:
        case Call():
            base = () if expr.base is None else (expr.base,)
            return (*base, *(a.value for a in expr.args))
        case Infix():
            return (expr.left, expr.right)
        case Items():
            return expr.items
        case Slices():
            return (expr.base, expr.stride)
        case Member():
            return (expr.base,)
    return ()


def mapped(expr: Expr, change: Callable[[Expr], Expr]) -> Expr:
    """The expression with `change` applied to every part from the leaves up."""
    match expr:
        case Call():
            base = None if expr.base is None else mapped(expr.base, change)
            args = tuple(replace(a, value=mapped(a.value, change)) for a in expr.args)
            return change(Call(expr.function, args, base))
        case Infix():
            return change(Infix(expr.sign, mapped(expr.left, change), mapped(expr.right, change)))
        case Items():
            return change(Items(tuple(mapped(item, change) for item in expr.items)))
        case Slices():
            return change(Slices(mapped(expr.base, change), change(expr.stride)))
        case Member():
            return change(Member(mapped(expr.base, change), expr.text))
    return change(expr)


def walk(expr: Expr) -> Iterator[Expr]:
    """Every part, in order of evaluation."""
    for child in children(expr):
        yield from walk(child)
    yield expr


def holes(expr: Expr) -> list[Hole]:
    return [part for part in walk(expr) if isinstance(part, Hole)]


OMITTED = Text("")


def filled(expr: Expr, texts: Iterator[Expr]) -> Expr:
    """The expression with its holes filled in order; OMITTED drops an argument."""

    def change(part: Expr) -> Expr:
        if isinstance(part, Hole):
            return next(texts)
        if isinstance(part, Call):
            return replace(part, args=tuple(a for a in part.args if a.value is not OMITTED))
        return part

    return mapped(expr, change)


def erased(expr: Expr) -> Expr:
    """The expression without its numbers: equal for two uses that one class may serve."""
    return mapped(expr, lambda part: Hole(part.role, None) if isinstance(part, Hole) else part)


def uses(expr: Expr) -> list[int]:
    """The values that an expression reads, in order, each as often as it is read."""
    return [part.number for part in walk(expr) if isinstance(part, Value)]


def depth(expr: Expr) -> int:
    """0 for a name or a number, 1 for a call of names, and so on."""
    parts = children(expr)
    return 1 + max(map(depth, parts), default=0) if parts or isinstance(expr, Call) else 0


def literal(value: Any) -> str:
    """A number, a truth value or a pair of numbers as Python text; nothing else is let through."""
    if isinstance(value, tuple):
        return f"({', '.join(map(literal, value))})"
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        return f'float("{value}")'
    assert isinstance(value, bool | int | float), f"not a number: {value!r}"
    return repr(value)


Resolve = Callable[[Value | Hole], str]  # names of values; holes are filled before


def flat(expr: Expr, resolve: Resolve) -> str:
    """The expression on one line."""
    match expr:
        case Text():
            return expr.text
        case Value() | Hole():
            return resolve(expr)
        case Call():
            return f"{_head(expr, resolve)}({', '.join(_arg(a, resolve) for a in expr.args)})"
        case Items():
            return f"[{', '.join(flat(item, resolve) for item in expr.items)}]"
        case Slices():
            stride = flat(expr.stride, resolve)
            base = _atom(expr.base, resolve)
            return base if stride == "1" else f"{base}[:, :, ::{stride}, ::{stride}]"
        case Member():
            return f"{_atom(expr.base, resolve)}.{expr.text}"
    left, right = flat(expr.left, resolve), flat(expr.right, resolve)
    if isinstance(expr.left, Infix) and _rank(expr.left) < _rank(expr):
        left = f"({left})"
    if isinstance(expr.right, Infix) and _rank(expr.right) <= _rank(expr):
        right = f"({right})"
    return f"{left} {expr.sign} {right}"


def lines(start: str, expr: Expr, resolve: Resolve, indent: int) -> list[str]:
    """`start` and the expression, a call or a sum broken up where it is too long for a line."""
    margin = " " * indent
    whole = margin + start + flat(expr, resolve)
    if len(whole) <= WIDTH or not isinstance(expr, Call | Infix):
        return [whole]
    if isinstance(expr, Infix):
        return [f"{margin}{start}(", *_operands(expr, resolve, indent + 4), f"{margin})"]
    args = [_arg(a, resolve) for a in expr.args]
    opened = f"{margin}{start}{_head(expr, resolve)}("
    joined = f"{margin}    {', '.join(args)}"
    if len(joined) <= WIDTH:
        return [opened, joined, f"{margin})"]
    inner = [
        line
        for a in expr.args
        for line in _with_comma(lines(f"{a.keyword}=" if a.keyword else "", a.value, resolve, indent + 4))
    ]
    return [opened, *inner, f"{margin})"]


def _operands(expr: Infix, resolve: Resolve, indent: int) -> list[str]:
    margin = " " * indent
    whole = margin + flat(expr, resolve)
    if len(whole) <= WIDTH:
        return [whole]
    found: list[str] = []
    left: Expr = expr
    while isinstance(left, Infix) and _rank(left) == _rank(expr):
        right = flat(left.right, resolve)
        grouped = isinstance(left.right, Infix) and _rank(left.right) <= _rank(expr)
        found.append(f"{margin}{left.sign} {f'({right})' if grouped else right}")
        left = left.left
    return [
        margin
        + (
            f"({flat(left, resolve)})" if isinstance(left, Infix) and _rank(left) < _rank(expr) else flat(left, resolve)
        ),
        *reversed(found),
    ]


def _with_comma(found: list[str]) -> list[str]:
    return [*found[:-1], found[-1] + ","]


def _rank(expr: Infix) -> int:
    return 1 if expr.sign in "+-" else 2


def _atom(expr: Expr, resolve: Resolve) -> str:
    text = flat(expr, resolve)
    return f"({text})" if isinstance(expr, Infix) else text


def _head(expr: Call, resolve: Resolve) -> str:
    return expr.function if expr.base is None else f"{_atom(expr.base, resolve)}.{expr.function}"


def _arg(arg: Arg, resolve: Resolve) -> str:
    text = flat(arg.value, resolve)
    return f"{arg.keyword}={text}" if arg.keyword else text
