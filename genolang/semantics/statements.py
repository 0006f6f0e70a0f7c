"""What a definition says, by what it is about: names, statements, nodes and edges."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from genolang.lang import syntax as s
from genolang.semantics.edges import input_names, spell_out
from genolang.semantics.modules import DefinitionRef


def local_names(definition: s.Definition) -> set[str]:
    """Names that mean something of the definition's own in it."""
    body = definition.body if isinstance(definition.body, tuple) else ()
    found = {p.name for p in definition.params}
    found |= {st.name.id for st in body if isinstance(st, s.Assign)}
    found |= {i.name.id for st in body if isinstance(st, s.Inputs) for i in st.inputs}
    return found | {n.id for st in body if isinstance(st, s.Nodes) for n in st.names}


def statements(ref: DefinitionRef) -> dict[tuple[str, ...], s.Node]:
    """Statements by what they are about, and which of those it is; nodes and edges are apart."""
    body = ref.syntax.body
    assert isinstance(body, tuple)
    found: dict[tuple[str, ...], s.Node] = {}
    for statement in body:
        parts: tuple[s.Node, ...] = (statement,)
        if isinstance(statement, s.Nodes | s.Edges):
            continue
        if isinstance(statement, s.Inputs):
            parts = statement.inputs
        for part in parts:
            about = _about(part) if part is statement else ("input", part.name.id)  # type: ignore[attr-defined]
            count = sum(key[: len(about)] == about for key in found)
            found[(*about, str(count + 1)) if count else about] = part
    return found


def _about(statement: s.Node) -> tuple[str, ...]:
    if isinstance(statement, s.Part):
        return (statement.keyword,)
    if isinstance(statement, s.Assign):
        return ("name", statement.name.id)
    return (type(statement).__name__.lower(),)


def node_names(ref: DefinitionRef) -> list[s.Name]:
    body = ref.syntax.body
    assert isinstance(body, tuple)
    return [name for st in body if isinstance(st, s.Nodes) for name in st.names]


def edges_by_ends(ref: DefinitionRef) -> dict[tuple[str, str], list[s.Edge]]:
    """All edges by their ends, patterns spelled out."""
    body = ref.syntax.body
    assert isinstance(body, tuple)
    named = (st.inputs for st in body if isinstance(st, s.Inputs))
    inputs = next(([item.name.id for item in items] for items in named), input_names(ref))
    written = [edge for st in body if isinstance(st, s.Edges) for edge in st.edges]
    found: dict[tuple[str, str], list[s.Edge]] = {}
    for start, end, edge in spell_out(written, inputs, [n.id for n in node_names(ref)]):
        found.setdefault((start, end), []).append(edge)
    return found


def written_ends(edge: s.Edge) -> str:
    return f"{edge.start.id} -> {edge.end.id}"


def times_spelled(edges: Mapping[Any, s.Edge], edge: s.Edge) -> int:
    return sum(other is edge for other in edges.values())
