"""What a definition's text leads to: other definitions, choices, slots."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from typing import Any, NamedTuple

from genolang.lang import syntax as s
from genolang.semantics.modules import DefinitionRef, Module

# The names of what a class of nodes is made of: all but the span.
_PARTS: dict[type, list[str]] = {}


class Direct(NamedTuple):
    """The definitions that a text names, its slots, and whether alternatives stand in it."""

    references: tuple[DefinitionRef, ...]
    slots: frozenset[str]
    alternatives: bool


def searching(ref: DefinitionRef) -> bool:
    """Whether a network has open choices: whether its text reaches a choice by any name."""
    return any(found.kind == "choice" or _direct(found).alternatives for found in reach(ref))


def slots(ref: DefinitionRef) -> frozenset[str]:
    """The slots that a definition's text leads to by any name."""
    return frozenset(slot for found in reach(ref) for slot in _direct(found).slots)


def names_of(syntax: Any) -> list[str]:
    """The names in a text, as it reads."""
    return list(dict.fromkeys(node.id for node in reversed([*walk(syntax)]) if isinstance(node, s.Name)))


def holds_choice(module: Module, expr: s.Expr) -> bool:
    """Whether an expression leads to a choice by any name, or has alternatives."""
    direct = _direct_of(module, expr)
    return direct.alternatives or any(
        found.kind == "choice" or _direct(found).alternatives
        for reference in direct.references
        for found in reach(reference)
    )


def reach(ref: DefinitionRef) -> set[DefinitionRef]:
    """Every definition that a definition's text leads to by any name, itself included."""
    seen: set[DefinitionRef] = set()
    stack: list[DefinitionRef] = [ref]
    while stack:
        current = stack.pop()
        if current not in seen:
            seen.add(current)
            stack += _direct(current).references
    return seen


def _direct(ref: DefinitionRef) -> Direct:
    """What a text itself names; worked out once."""
    known: Direct | None = ref.module.references.get(ref)
    if known is not None:
        return known
    made = _direct_of(ref.module, ref.syntax)
    ref.module.references[ref] = made
    return made


def _direct_of(module: Module, syntax: s.Node) -> Direct:
    found: dict[DefinitionRef, None] = {}
    alternatives = False
    names: set[str] = set()
    for expr in walk(syntax):
        if isinstance(expr, s.Alternatives):
            alternatives = True
        elif isinstance(expr, s.Slot):
            names.add(expr.name)
        elif isinstance(expr, s.Name):
            found.update(dict.fromkeys(module.lookup(expr.id)))
        elif isinstance(expr, s.Attribute) and isinstance(expr.base, s.Name):
            alias = module.aliases.get(expr.base.id)
            if alias is not None and expr.name in alias.definitions:
                found[alias.definitions[expr.name]] = None
    return Direct(tuple(found), frozenset(names), alternatives)


def walk(node: Any) -> Iterator[s.Node]:
    """Every node of a tree, or of several."""
    stack = [node]
    while stack:
        current = stack.pop()
        if isinstance(current, tuple):
            stack += current
        elif isinstance(current, s.Node):
            yield current
            names = _PARTS.get(type(current))
            if names is None:
                names = _PARTS[type(current)] = [f.name for f in fields(current) if f.name != "span"]
            stack += [getattr(current, name) for name in names]
