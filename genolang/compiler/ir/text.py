"""Graphs as stable text, for goldens, reports and people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from genolang.compiler.ir.calls import definitions
from genolang.compiler.ir.graph import Graph, Node


def to_text(graph: Graph) -> str:
    """The graph and, before it, every body it calls, each once."""
    known = definitions(graph)
    names = {id(body): name for name, body in known.items()}
    return "\n\n".join(_written(name, body, names) for name, body in known.items()) + "\n"


def _written(name: str, graph: Graph, names: Mapping[int, str]) -> str:
    lines = []
    for number, node, arguments in graph:
        body = names[id(node.body)] if node.body is not None else ""
        shown = " ".join(f"%{a}" for a in arguments)
        place = f"  # {'.'.join(node.path)}" if node.path else ""
        lines.append(f"  %{number} = {_operation(node, body)} {shown}".rstrip() + f" : {node.type}{place}")
    outputs = " ".join(f"%{o}" for o in graph.outputs)
    how = "  # captured" if graph.captured else ""
    return "\n".join([f"graph {name} {{{how}", *lines, f"  return {outputs}", "}"])


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
