"""The words on arrows and boxes: what an expression of a spec says in a picture."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Any

from genolang.drawing.picture import Line, LineKind, short
from genolang.lang import syntax as s
from genolang.lang.printer import print_expression
from genolang.semantics.modules import DefinitionRef, Module

MAX_LINES = 8
# Layers that only regularise training say nothing about a cell's form.
_UNSAID = frozenset(("drop_path", "dropout"))


@dataclass(frozen=True, slots=True)
class Stage:
    """One operation of a pipeline, with the definition that it calls where there is one."""

    text: str
    ref: DefinitionRef | None
    expr: s.Expr

    @property
    def kind(self) -> LineKind:
        if isinstance(self.expr, s.Alternatives):
            return "choice"
        word = self.ref.kind if self.ref is not None else ""
        return "choice" if word == "choice" else "attention" if word == "attention" else "operation"


def definition_of(expr: s.Expr, module: Module) -> DefinitionRef | None:
    """The definition that a name, a dotted name or a call of one stands for."""
    if isinstance(expr, s.Call):
        return definition_of(expr.callee, module)
    if isinstance(expr, s.Name):
        found = module.lookup(expr.id)
        return found[0] if len(found) == 1 else None
    if isinstance(expr, s.Attribute) and isinstance(expr.base, s.Name):
        alias = module.aliases.get(expr.base.id)
        return alias.definitions.get(expr.name) if alias is not None else None
    return None


def stages(expr: s.Expr, module: Module, local: frozenset[str] = frozenset()) -> list[Stage]:
    """The operations of a pipeline in order; a `local` name hides a definition of that name."""
    if isinstance(expr, s.Pipeline):
        return [stage for part in expr.stages for stage in stages(part, module, local)]
    hidden = _head(expr) in local
    return [Stage(print_expression(expr), None if hidden else definition_of(expr, module), expr)]


def label_lines(found: list[Stage]) -> tuple[Line, ...]:
    """One line for each operation, without those that only regularise training."""
    said = [st for st in found if not (st.ref is None and _head(st.expr) in _UNSAID)] or found
    lines: list[Line] = []
    for stage in said:
        if isinstance(stage.expr, s.Alternatives):
            texts = [print_expression(option) for option in stage.expr.options]
            lines += [Line(short(f"{'| ' if i else ''}{t}"), "choice") for i, t in enumerate(texts)]
        else:
            lines.append(Line(short(stage.text), stage.kind))
    if len(lines) > MAX_LINES:
        rest = len(lines) - MAX_LINES + 1
        lines = [*lines[: MAX_LINES - 1], Line(f"… {rest} more", "operation")]
    return tuple(lines)


def walk(node: Any) -> Iterator[s.Node]:
    """A syntax node and all nodes inside it."""
    stack = [node]
    while stack:
        current = stack.pop()
        if isinstance(current, tuple):
            stack += reversed(current)
        elif isinstance(current, s.Node):
            yield current
            stack += [getattr(current, f.name) for f in reversed(fields(current)) if f.name != "span"]


def reached(module: Module, ref: DefinitionRef) -> Iterator[DefinitionRef]:
    """A definition and every definition that its text leads to, each once."""
    seen: set[DefinitionRef] = set()
    queue = [ref]
    while queue:
        current = queue.pop(0)
        if current in seen:
            continue
        seen.add(current)
        yield current
        for node in walk(current.syntax):
            if isinstance(node, (s.Name, s.Attribute)):
                found = definition_of(node, current.module)
                if found is not None:
                    queue.append(found)


def _head(expr: s.Expr) -> str:
    head = expr.callee if isinstance(expr, s.Call) else expr
    return head.id if isinstance(head, s.Name) else ""
