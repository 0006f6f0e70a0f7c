"""What a definition's text leads to: other definitions, choices, slots."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from typing import Any, NamedTuple

from genolang.lang import syntax as s
from genolang.semantics.modules import Module
from genolang.semantics.values import DefinitionRef


class Direct(NamedTuple):
    """The definitions that a text names, its slots, and whether alternatives stand in it."""

    references: tuple[DefinitionRef, ...]
    slots: frozenset[str]
    alternatives: bool


def searching(module: Module, ref: DefinitionRef) -> bool:
    """Whether a network has open choices: whether its text reaches a choice by any name."""
    return any(found.kind == "choice" or _direct(found).alternatives for found in reach(ref))


def slots(ref: DefinitionRef) -> frozenset[str]:
    """The slots that a definition's text leads to by any name."""
    return frozenset(slot for found in reach(ref) for slot in _direct(found).slots)


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
    found: dict[DefinitionRef, None] = {}
    alternatives = False
    names: set[str] = set()
    for expr in _walk(ref.syntax):
        if isinstance(expr, s.Alternatives):
            alternatives = True
        elif isinstance(expr, s.Slot):
            names.add(expr.name)
        elif isinstance(expr, s.Name):
            found.update(dict.fromkeys(ref.module.lookup(expr.id)))
        elif isinstance(expr, s.Attribute) and isinstance(expr.base, s.Name):
            alias = ref.module.aliases.get(expr.base.id)
            if alias is not None and expr.name in alias.definitions:
                found[alias.definitions[expr.name]] = None
    made = Direct(tuple(found), frozenset(names), alternatives)
    ref.module.references[ref] = made
    return made


def _walk(node: Any) -> Iterator[s.Node]:
    stack = [node]
    while stack:
        current = stack.pop()
        if isinstance(current, tuple):
            stack += current
        elif isinstance(current, s.Node):
            yield current
            stack += [getattr(current, f.name) for f in fields(current) if f.name != "span"]
