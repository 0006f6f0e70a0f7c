"""Graphs as stable text, for goldens, reports and people."""

from __future__ import annotations

from typing import Any

from genolang.compiler.ir.graph import Graph, Node


def to_text(graph: Graph) -> str:
    """The graph and, before it, every body it calls, each once."""
    names: dict[int, str] = {}
    parts: list[str] = []
    _write(graph, names, parts)
    return "\n\n".join(parts) + "\n"


def _write(graph: Graph, names: dict[int, str], parts: list[str]) -> str:
    if id(graph) in names:
        return names[id(graph)]
    lines = []
    for number, node, arguments in graph:
        body = _write(node.body, names, parts) if node.body is not None else ""
        shown = " ".join(f"%{a}" for a in arguments)
        place = f"  # {'.'.join(node.path)}" if node.path else ""
        lines.append(f"  %{number} = {_operation(node, body)} {shown}".rstrip() + f" : {node.type}{place}")
    count = sum(1 for name in names.values() if name.split("@")[0] == graph.name)
    name = graph.name if count == 0 else f"{graph.name}@{count + 1}"
    names[id(graph)] = name
    outputs = " ".join(f"%{o}" for o in graph.outputs)
    how = "  # captured" if graph.captured else ""
    parts.append("\n".join([f"graph {name} {{{how}", *lines, f"  return {outputs}", "}"]))
    return name


def _operation(node: Node, body: str) -> str:
    if node.kind == "call":
        return f"call {body}"
    if node.mix is not None:
        kept = ",".join(map(str, node.kept))
        return f"mix[{node.mix.key} row {node.mix.row} of {kept} by {node.mix.combine}]"
    if node.kind == "input":
        return "input"
    if node.fused is not None:
        return f"{node.fused.name}[{node.fused.text()}]"
    attrs = ", ".join(f"{k}={_value(v)}" for k, v in (node.attrs or {}).items() if v is not None)
    return f"{node.layer}({attrs})"


def _value(value: Any) -> str:
    return "x".join(map(str, value)) if isinstance(value, tuple) else str(value)
