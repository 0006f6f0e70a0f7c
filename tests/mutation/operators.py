"""Faults to plant in a module: each is one small change of its text, told by where it stands.

What changes no behaviour by construction is left alone: docstrings, annotations, decorators, assertions,
what stands under `TYPE_CHECKING`, `__all__`, and the wording of messages.
"""

from __future__ import annotations

import ast
import copy
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

COMPARISONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}
ARITHMETIC: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.FloorDiv,
    ast.FloorDiv: ast.Mult,
    ast.Div: ast.Mult,
    ast.Mod: ast.FloorDiv,
    ast.Pow: ast.Mult,
    ast.BitOr: ast.BitAnd,
    ast.BitAnd: ast.BitOr,
}
CALLS = {
    "min": "max",
    "max": "min",
    "any": "all",
    "all": "any",
    "sorted": "list",
    "startswith": "endswith",
    "endswith": "startswith",
    "first": "last",
    "append": "extend",
    "add": "discard",
}
# Keywords whose absence changes the wording of a message, or nothing for the values that are there.
WORDING = {"help", "notes", "strict", "encoding"}
UNREACHABLE = {"AssertionError", "NotImplementedError"}
# Calls whose arguments are types, or texts for people.
TYPES = {"cast", "isinstance", "issubclass", "TypeVar", "NewType", "Protocol"}


@dataclass(frozen=True)
class Mutant:
    """One change: the bytes from `start` to `end` become `text`.

    `scope` is the function or class that it stands in, `on_import` whether it is run when the module is.
    """

    operator: str
    scope: str
    line: int
    start: int
    end: int
    text: str
    on_import: bool

    def apply(self, source: str) -> str:
        data = source.encode()
        return (data[: self.start] + self.text.encode() + data[self.end :]).decode()

    def key(self, module: str, source: str) -> str:
        """A name that stays when lines above are added or taken away: the line's words, and which time it is."""
        lines = source.split("\n")
        line = lines[self.line - 1]
        before = sum(other == line for other in lines[: self.line - 1])
        column = self.start - sum(len(other.encode()) + 1 for other in lines[: self.line - 1])
        told = "\0".join((module, self.scope, self.operator, line, str(before), str(column), self.text))
        return hashlib.sha256(told.encode()).hexdigest()[:16]


def mutants(source: str) -> list[Mutant]:
    """All changes of a module's text, in the order of the text; not all of them parse (`parses`)."""
    planted = _Planting(source).module(ast.parse(source))
    places = {(mutant.start, mutant.end, mutant.text): mutant for mutant in planted}
    return [places[place] for place in sorted(places)]


def parses(source: str, mutant: Mutant) -> bool:
    try:
        ast.parse(mutant.apply(source))
    except (SyntaxError, ValueError):
        return False
    return True


class _Planting:
    def __init__(self, source: str) -> None:
        self.source = source
        self.starts = [0]
        for line in source.encode().splitlines(keepends=True):
            self.starts.append(self.starts[-1] + len(line))
        self.scope: list[str] = []
        # How many functions are around.
        self.inside = 0

    def module(self, tree: ast.Module) -> Iterator[Mutant]:
        for statement in tree.body:
            yield from self.node(statement)

    def node(self, node: ast.AST) -> Iterator[Mutant]:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            self.scope.append(node.name)
            if not isinstance(node, ast.ClassDef):
                for default in [*node.args.defaults, *filter(None, node.args.kw_defaults)]:
                    yield from self.node(default)
            self.inside += not isinstance(node, ast.ClassDef)
            for statement in node.body:
                yield from self.node(statement)
            self.inside -= not isinstance(node, ast.ClassDef)
            self.scope.pop()
            return
        for operator, target, text in changes(node):
            yield self.mutant(operator, target, target, text)
        if isinstance(node, ast.If) and node.orelse:
            yield self.mutant("else dropped", node.body[-1], node.orelse[-1], "", after=True)
        for child in children(node):
            yield from self.node(child)

    def mutant(self, operator: str, first: ast.AST, last: ast.AST, text: str, after: bool = False) -> Mutant:
        if after:
            start = self.starts[first.end_lineno - 1] + first.end_col_offset  # type: ignore[attr-defined]
        else:
            start = self.starts[first.lineno - 1] + first.col_offset  # type: ignore[attr-defined]
        end = self.starts[last.end_lineno - 1] + last.end_col_offset  # type: ignore[attr-defined]
        line = self.source.encode()[:start].count(b"\n") + 1
        return Mutant(operator, ".".join(self.scope), line, start, end, text, not self.inside)


def children(node: ast.AST) -> Iterator[ast.AST]:
    """The parts of a node that faults may stand in."""
    match node:
        case ast.JoinedStr() | ast.Assert():
            return
        case ast.Expr(value=ast.Constant()):
            return
        case ast.If(test=ast.Name(id="TYPE_CHECKING")):
            return
        case ast.AnnAssign():
            if node.value is not None:
                yield node.value
        case ast.Assign(targets=[ast.Name(id="__all__")]):
            return
        case ast.Raise(exc=ast.Call(func=ast.Name(id=name))) if name in UNREACHABLE:
            return
        case ast.Call(func=ast.Name(id=name)) if name in TYPES:
            yield from node.args[1:] if name == "cast" else node.args[:1]
        case _:
            yield from ast.iter_child_nodes(node)


def changes(node: ast.AST) -> Iterator[tuple[str, ast.AST, str]]:
    """What may become of a node: the operator's name, the node whose text is replaced, the new text."""
    match node:
        case ast.If(test=test) | ast.While(test=test) | ast.IfExp(test=test):
            if not (isinstance(test, ast.Name) and test.id == "TYPE_CHECKING") and not _swapped(test):
                yield "condition negated", test, f"(not ({ast.unparse(test)}))"
        case ast.match_case(guard=ast.expr() as guard):
            yield "condition negated", guard, f"not ({ast.unparse(guard)})"
        case ast.comprehension(ifs=conditions):
            for condition in conditions:
                yield "filter dropped", condition, "True"
        case ast.Compare():
            yield from _comparison(node)
        case ast.UnaryOp(op=ast.Not()):
            yield "`not` dropped", node, f"({ast.unparse(node.operand)})"
        case ast.UnaryOp(op=ast.USub()) if not isinstance(node.operand, ast.Constant):
            yield "sign dropped", node, f"({ast.unparse(node.operand)})"
        case ast.BoolOp():
            other = copy.copy(node)
            other.op = ast.Or() if isinstance(node.op, ast.And) else ast.And()
            yield "`and`/`or` swapped", node, f"({ast.unparse(other)})"
            for i in range(len(node.values)):
                rest = [value for j, value in enumerate(node.values) if j != i]
                kept = rest[0] if len(rest) == 1 else ast.BoolOp(node.op, rest)
                yield "operand dropped", node, f"({ast.unparse(kept)})"
        case ast.BinOp() if type(node.op) in ARITHMETIC and not _text(node.left) and not _text(node.right):
            other = copy.copy(node)
            other.op = ARITHMETIC[type(node.op)]()
            yield "arithmetic swapped", node, f"({ast.unparse(other)})"
        case ast.Call():
            yield from _call(node)
        case ast.Constant(value=bool() as value):
            yield "truth flipped", node, str(not value)
        case ast.Constant(value=int() as value):
            yield "number off by one", node, str(value + 1)
        case ast.Dict(keys=keys):
            if keys:
                yield "literal emptied", node, "{}"
            yield from (_key(key) for key in keys if key is not None and _text(key))
        case ast.List(elts=[_, *_], ctx=ast.Load()) | ast.ListComp():
            yield "literal emptied", node, "[]"
        case ast.Set() | ast.SetComp():
            yield "literal emptied", node, "set()"
        case ast.DictComp():
            yield "literal emptied", node, "{}"
        case ast.Subscript(slice=ast.Constant(value=str()) as key):
            yield _key(key)
        case ast.MatchValue(value=ast.Constant(value=str()) as key):
            yield _key(key)
        case ast.stmt():
            yield from _statement(node)


def _comparison(node: ast.Compare) -> Iterator[tuple[str, ast.AST, str]]:
    for i, operator in enumerate(node.ops):
        other = copy.copy(node)
        other.ops = [*node.ops[:i], COMPARISONS[type(operator)](), *node.ops[i + 1 :]]
        yield "comparison swapped", node, ast.unparse(other)
    for operator, value in zip(node.ops, node.comparators, strict=True):
        if isinstance(value, ast.Constant) and _text(value) and isinstance(operator, ast.Eq | ast.NotEq):
            yield _key(value)
        elif isinstance(value, ast.Tuple) and value.elts:
            yield "literal emptied", value, "()"


def _call(node: ast.Call) -> Iterator[tuple[str, ast.AST, str]]:
    match node.func:
        case ast.Name(id=name) | ast.Attribute(attr=name) if name in CALLS:
            other = copy.deepcopy(node)
            if isinstance(other.func, ast.Name):
                other.func.id = CALLS[name]
            elif isinstance(other.func, ast.Attribute):
                other.func.attr = CALLS[name]
            if name == "sorted":
                other.keywords = []
            yield "call swapped", node, ast.unparse(other)
    for keyword in node.keywords:
        if keyword.arg is not None and keyword.arg not in WORDING:
            other = copy.copy(node)
            other.keywords = [k for k in node.keywords if k is not keyword]
            yield "keyword dropped", node, ast.unparse(other)


def _statement(node: ast.stmt) -> Iterator[tuple[str, ast.AST, str]]:
    match node:
        case ast.Raise(exc=ast.Call(func=ast.Name(id=name))) if name in UNREACHABLE:
            return
        case ast.Raise() | ast.Continue() | ast.Break() | ast.Delete() | ast.AugAssign():
            yield "statement dropped", node, "pass"
        case ast.Expr(value=ast.Call() | ast.Yield() | ast.YieldFrom()):
            yield "statement dropped", node, "pass"
        case ast.Assign(targets=[ast.Attribute() | ast.Subscript(), *_]):
            yield "statement dropped", node, "pass"
        case ast.Return(value=ast.expr() as value):
            if not (isinstance(value, ast.Constant) and value.value in (None, False)):
                yield "nothing returned", node, "return None"


def _key(node: ast.AST) -> tuple[str, ast.AST, str]:
    assert isinstance(node, ast.Constant)
    return "key changed", node, repr(node.value + "_")


def _swapped(test: ast.expr) -> bool:
    """Whether swapping the comparison negates the condition already."""
    return (
        isinstance(test, ast.Compare)
        and len(test.ops) == 1
        and isinstance(test.ops[0], ast.Eq | ast.NotEq | ast.Is | ast.IsNot | ast.In | ast.NotIn)
    )


def _text(node: ast.AST) -> bool:
    return isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str))
