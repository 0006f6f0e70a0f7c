"""Names: which can be seen where, and definitions whose text uses one that cannot."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields as dataclass_fields
from typing import Any

from genolang.diagnostics import Diagnostic, Label, Span, did_you_mean
from genolang.lang import syntax as s
from genolang.lang.limits import limit
from genolang.primitives import INITIALISERS, PRIMITIVES
from genolang.semantics.edges import ENDS, STARTS, check_edges
from genolang.semantics.functions import NUMERIC_FUNCTIONS
from genolang.semantics.modules import RESERVED, DefinitionRef, Module, core_names, is_map_param

_WORDS = frozenset(
    word
    for primitive in PRIMITIVES.values()
    for field in primitive.fields
    if isinstance(field.kind, tuple)
    for word in field.kind
)
_OPERATIONS = ("op", "attention", "choice")
_ANYWHERE = _WORDS | {*STARTS, *ENDS}
_ALLOWED = {
    "op": (s.Assign, s.Return, s.Require, s.Inputs, s.Nodes, s.Edges, s.Keep),
    "cell": (s.Assign, s.Return, s.Require, s.Inputs, s.Nodes, s.Edges, s.Keep),
    "network": (s.Assign, s.Require, s.Part, s.Cells, s.Auxiliary),
}
_ALLOWED["attention"] = _ALLOWED["op"]
_PLACES = {
    "network": "a network has `input`, `init`, `stem`, `body`, `stages`, `cells`, `auxiliary`, `head`, `require` and"
    " named values",
    **dict.fromkeys(("op", "attention", "cell"), "that belongs into a `network`"),
}
# What stands once in a definition.
_ONCE = ("input", "init", "inputs", "nodes", "keep", "cells")
_STATEMENT_WORDS = {
    s.Return: "return", s.Inputs: "inputs", s.Nodes: "nodes", s.Edges: "edges", s.Keep: "keep",
    s.Cells: "cells", s.Auxiliary: "auxiliary",
}  # fmt: skip


def names_in_scope(module: Module) -> set[str]:
    """Every name that any expression of a file may use."""
    return module.visible() | core_names() | set(NUMERIC_FUNCTIONS) | {"repeat", "searching", "core"}


def check_names(module: Module) -> tuple[list[Diagnostic], set[DefinitionRef]]:
    """What can be said of a file's definitions without expanding them: G101, G102, G107, G411...

    The second value is the definitions that cannot be expanded because of it.
    """
    found: list[Diagnostic] = []
    bad: set[DefinitionRef] = set()
    scope = names_in_scope(module)
    for ref in module.definitions.values():
        span = ref.syntax.span
        check = _DefinitionCheck(module, ref, scope)
        if any(span.start <= place <= span.end for place in module.file.damaged):
            bad.add(ref)  # what is left of its text would say wrong things
        elif len(found) < limit("problems"):
            found += check.run()
            if check.doubtful or any(d.severity == "error" for d in check.found):
                bad.add(ref)
    return found, bad


class _DefinitionCheck:
    def __init__(self, module: Module, ref: DefinitionRef, scope: set[str]) -> None:
        self.module = module
        # The names of the file; those of the definition are handed from place to place.
        self.scope = scope
        self.ref = ref
        self.found: list[Diagnostic] = []
        self.local: dict[str, Span] = {}
        self.used: set[str] = set()
        self.unknown: set[str] = set()
        # The kinds of definitions that can stand where the walk is.
        self.wanted: tuple[str, ...] = _OPERATIONS
        # Whether it uses names that text in error may have given.
        self.doubtful = False

    def run(self) -> list[Diagnostic]:
        definition = self.ref.syntax
        if definition.kind == "network" and not isinstance(definition.body, tuple):
            self.wanted = ("network",)
        self._params(definition)
        implicit = {"searching"}
        if definition.kind in ("op", "attention"):
            implicit |= {"x", "C", "H", "W"}
        known = implicit | set(self.local)
        known |= {name.id for name in definition.states}
        if definition.states and definition.kind not in ("op", "attention"):
            self.report("G411", f"a {definition.kind} has no state", definition.states[0].span,
                        help="state belongs to an `op` or an `attention` module")  # fmt: skip
        if definition.kind == "choice":
            self._choice(definition)
        if isinstance(definition.body, tuple):
            if definition.kind != "choice":
                self._statements(definition, known)
        else:
            if definition.kind == "cell":
                self.report("G411", "a cell is written in braces, with a `return`", definition.name.span,
                            help=f"`cell {definition.name.id}(prev) {{ return prev -> ... }}`")  # fmt: skip
            self._expr(definition.body, known)
        self._plugs(definition, known)
        return self.found

    def _plugs(self, definition: s.Definition, known: set[str]) -> None:
        if definition.kind != "network" and definition.plugs:
            self.report("G411", "only a network plugs modules into slots", definition.plugs[0].span,
                        help="a definition marks a slot: `-> slot name`")  # fmt: skip
        self.wanted = _OPERATIONS
        for plug in definition.plugs:
            self._expr(plug.module, known)
            if plug.where is not None:
                for expr in _expressions(plug.where):
                    self._expr(expr, known)

    def report(self, code: str, message: str, span: Span, **more: Any) -> None:
        self.found.append(Diagnostic(code, message, span, **more))

    def _choice(self, definition: s.Definition) -> None:
        body = definition.body
        if not isinstance(body, s.Alternatives):
            self.report("G407", f"the choice `{definition.name.id}` has fewer than two alternatives",
                        definition.name.span,
                        help="write them with `|` between: `choice c = relu | conv(3)`")  # fmt: skip
            return
        for option in body.options:
            found = self.module.lookup(option.id) if isinstance(option, s.Name) else []
            if found and found[0].kind == "choice":
                self.report("G414", "a choice cannot be an alternative of a choice", option.span,
                            help="list its alternatives here")  # fmt: skip
        combine = definition.combine
        if combine is not None and combine.id not in ("sum", "product"):
            self.report("G205", f"alternatives combine by `sum` or by `product`, not by `{combine.id}`",
                        combine.span)  # fmt: skip

    def _params(self, definition: s.Definition) -> None:
        known = {"C", "H", "W"}
        for param in definition.params:
            if param.name in RESERVED:
                self.report("G106", f"`{param.name}` has a meaning of its own in the language", param.span,
                            help="the map that an operation is put to is `x` without saying so: leave it out"
                            if param.name == "x" else "choose another name")  # fmt: skip
            if param.name in self.local:
                self.report("G107", f"two parameters are called `{param.name}`", param.span,
                            labels=(Label(self.local[param.name], "first here"),),
                            help="rename one of them")  # fmt: skip
            if param.kind is not None and param.kind != "map":
                self.report("G205", f"a parameter is a feature map (`: map`) or a value, not `{param.kind}`",
                            param.span, help="leave the kind of any other parameter out")  # fmt: skip
            known.add(param.name)
            self.local[param.name] = param.span
            if param.default is None:
                continue
            if not is_map_param(param, definition.kind):
                self._expr(param.default, known)
            elif not (isinstance(param.default, s.Name) and param.default.id == "input"):
                self.report("G205", f"the feature map `{param.name}` can only default to `input`, the image"
                            " of the network", param.default.span, help="leave the default out")  # fmt: skip

    def _statements(self, definition: s.Definition, known: set[str]) -> None:
        body = definition.body
        assert isinstance(body, tuple)
        allowed = _ALLOWED.get(definition.kind, ())
        assigned: dict[str, Span] = {}
        returned = False
        once: dict[str, Span] = {}
        for statement in body:
            if not isinstance(statement, allowed):
                word = _STATEMENT_WORDS.get(type(statement)) or getattr(statement, "keyword", "a name")
                self.report("G411", f"`{word}` has no place in a definition of kind `{definition.kind}`",
                            statement.span, help=_PLACES.get(definition.kind))  # fmt: skip
                continue
            if returned:
                self.report("G110", "nothing after `return` is looked at", statement.span,
                            severity="warning", help="remove it")  # fmt: skip
                break
            word = _STATEMENT_WORDS.get(type(statement)) or getattr(statement, "keyword", "")
            if word in _ONCE:
                if word in once:
                    self.report("G412", f"`{word}` stands once", statement.span,
                                labels=(Label(once[word], "first here"),))  # fmt: skip
                once[word] = statement.span
            self._statement(statement, known, assigned)
            returned = isinstance(statement, s.Return)
        if not returned and definition.kind != "network":
            self.report("G109", f"`{definition.name.id}` returns nothing", definition.name.span,
                        help="end it with `return` and a map or an operation")  # fmt: skip
        if not any(d.code in ("G411", "G412") for d in self.found):
            self.found += check_edges(self.ref, body)
        states = {name.id for name in definition.states}
        for name, span in assigned.items():
            if name not in self.used and name not in states:
                self.report("G108", f"`{name}` is never used", span, severity="warning",
                            help="remove it, or return it")  # fmt: skip

    def _statement(self, statement: s.Statement, known: set[str], assigned: dict[str, Span]) -> None:
        match statement:
            case s.Assign():
                self._expr(statement.value, known)
                self._declare(statement.name, known, assigned)
            case s.Inputs():
                for item in statement.inputs:
                    self._expr(item.value, known)
                for item in statement.inputs:
                    self._declare(item.name, known, None)
            case s.Nodes():
                for name in statement.names:
                    self._declare(name, known, None)
            case s.Edges():
                for edge in statement.edges:
                    self.used.update((edge.start.id, edge.end.id))
                    self._expr(edge.operation, known)
            case s.Keep():
                self._keep(statement, known)
            case s.Cells():
                self._expr(statement.count, known)
                for placed in statement.placed:
                    self.wanted = ("cell",)
                    self._expr(placed.value, known)
                    self.wanted = _OPERATIONS
                    if placed.at is not None:
                        self._expr(placed.at, known)
            case s.Require():
                self._expr(statement.condition, known | {"params", "macs"})
            case s.Part(keyword="init", value=value) if names_initialiser(value):
                pass
            case s.Part(keyword="input"):
                self._expr(statement.value, known | {"image"})
                known.add("input")
            case _:
                for expr in _expressions(statement):
                    self._expr(expr, known)

    def _keep(self, statement: s.Keep, known: set[str]) -> None:
        self._expr(statement.count, known)
        choices = [ref.name for ref in self.module.visible_definitions() if ref.kind == "choice"]
        if statement.choice.id not in choices and not self.module.open_ended | (
            statement.choice.id in self.module.lost
        ):
            self.report("G405", f"there is no choice called `{statement.choice.id}`", statement.choice.span,
                        help=did_you_mean(statement.choice.id, choices)
                        or "name the choice by whose logits the edges are compared")  # fmt: skip

    def _declare(self, name: s.Name, known: set[str], assigned: dict[str, Span] | None) -> None:
        if name.id in RESERVED:
            self.report("G106", f"`{name.id}` has a meaning of its own in the language", name.span,
                        help="choose another name")  # fmt: skip
        elif name.id in self.local:
            self.report("G102", f"`{name.id}` is defined twice", name.span,
                        labels=(Label(self.local[name.id], "first here"),),
                        help="a name keeps its value: choose another one")  # fmt: skip
        self.local[name.id] = name.span
        known.add(name.id)
        if assigned is not None:
            assigned[name.id] = name.span

    def _expr(self, expr: s.Expr, known: set[str]) -> None:
        stack: list[tuple[Any, set[str]]] = [(expr, known)]
        while stack:
            node, names = stack.pop()
            if isinstance(node, s.Name):
                self.used.add(node.id)
                if node.id not in names and node.id not in self.scope and node.id not in _ANYWHERE:
                    self._unknown(node, names)
            elif isinstance(node, s.Attribute) and isinstance(node.base, s.Name):
                self._attribute(node, node.base, names)
            elif isinstance(node, s.For):
                inner = names | {n.id for n in node.names}
                stack += [(node.values, names), (node.body, inner)]
            else:
                stack += [(child, names) for child in _expressions(node)]

    def _candidates(self, names: set[str]) -> set[str]:
        """The names that could stand where an unknown one does."""
        other = {r.name for r in self.module.visible_definitions() if r.kind not in self.wanted}
        return names | (self.scope - other) | _WORDS

    def _attribute(self, node: s.Attribute, base: s.Name, names: set[str]) -> None:
        """`alias.name` and `core.name`: the name must be there. Sizes are looked at in expansion."""
        self.used.add(base.id)
        local = base.id in self.local
        alias = None if local else self.module.aliases.get(base.id)
        if alias is None and (local or base.id != "core"):
            if base.id not in names and base.id not in self.scope:
                self._unknown(base, names)
            return
        there = core_names() if alias is None else set(alias.definitions)
        if node.name in there:
            return
        if alias is not None and (alias.open_ended or node.name in alias.lost):
            self.doubtful = True
            return
        where = "among the primitives" if alias is None else f"in {alias.source.name}"
        self.report("G101", f"nothing {where} is called `{node.name}`", node.span,
                    help=did_you_mean(node.name, there))  # fmt: skip

    def _unknown(self, node: s.Name, names: set[str]) -> None:
        if node.id in self.module.lost or self.module.open_ended:
            self.doubtful = True
            return
        if node.id in self.unknown or len(self.unknown) >= limit("problems"):
            return
        self.unknown.add(node.id)
        help = _library_hint(node.id) or did_you_mean(node.id, self._candidates(names))
        if node.id in ("C", "H", "W", "x"):
            help = "there is no single input here; a map's size is written `name.C`"
        self.report("G101", f"nothing here is called `{node.id}`", node.span, help=help)


def _library_hint(name: str) -> str | None:
    """Where the library defines a name that the file does not import."""
    from genolang.semantics.modules import library_module, library_names

    for path in library_names():
        if path[0] == "std" and name in library_module(path).definitions:
            return f"`import {'.'.join(path)}` brings it in"
    return None


def names_initialiser(expr: s.Expr) -> bool:
    """Whether an expression is a word for what weights begin as, which is the name of nothing else there."""
    callee = expr.callee if isinstance(expr, s.Call) else expr
    return isinstance(callee, s.Name) and callee.id in INITIALISERS


def _expressions(node: Any) -> Iterator[Any]:
    """The expressions directly inside a node."""
    for field in dataclass_fields(node):
        value = getattr(node, field.name)
        for item in value if isinstance(value, tuple) else (value,):
            if isinstance(item, s.Arg):
                if not (item.name == "init" and names_initialiser(item.value)):
                    yield item.value
            elif isinstance(item, s.Node) and not (
                isinstance(item, s.Name) and isinstance(node, (s.Edge, s.Keep, s.For))
            ):
                yield item
