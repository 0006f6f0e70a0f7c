"""The picture of an operation or attention module: its layers, with shapes on the arrows."""

from __future__ import annotations

from collections import Counter
from typing import Any

from genolang.drawing.picture import Edge, Line, Node, NodeKind, Picture, short
from genolang.primitives import PRIMITIVES, REQUIRED
from genolang.semantics.program import Block, BlockNode

_SIGNS = {"add": "+", "subtract": "−", "multiply": "×", "divide": "÷"}


def draw_block(block: Block, name: str, title: str, notes: tuple[str, ...] = ()) -> Picture:
    """Every layer that the block's output needs, drawn downwards."""
    needed = block.needed(block.outputs)
    uses = Counter(block.nodes[i].path for i in needed if block.nodes[i].path)
    names = iter(["x", *(f"input {n}" for n in range(2, len(block.nodes) + 2))])
    nodes: list[Node] = []
    edges: list[Edge] = []
    for index in needed:
        node = block.nodes[index]
        label = next(names) if node.kind == "input" else ""
        nodes.append(_node(block, index, label, uses))
        edges += [_edge(block, start, index) for start in node.inputs]
    for number, index in enumerate(block.outputs):
        word = "output" if number == 0 else f"output {number + 1}"
        nodes.append(Node(f"out{number}", word, "output"))
        edges.append(Edge(f"n{index}", f"out{number}", _shape(block.nodes[index])))
    return Picture(name, title, "down", tuple(nodes), tuple(edges), (), notes)


def _node(block: Block, index: int, label: str, uses: Counter[tuple[str, ...]]) -> Node:
    node = block.nodes[index]
    kind, details = _kind(node), []
    owner = ".".join(node.path[:-1])
    if owner:
        details.append(f"{owner} (shared)" if uses[node.path] > 1 else owner)
    if not label:
        label = node_label(block, node)
    tip = f"{label}: {node.type}"
    return Node(f"n{index}", short(label, 34), kind, tuple(short(d, 34) for d in details), tip)


def _kind(node: BlockNode) -> NodeKind:
    if node.kind == "input":
        return "input"
    if node.kind == "mix":
        return "choice"
    if node.kind == "call":
        return "module"
    return "join" if node.layer in _SIGNS else "layer"


def node_label(block: Block, node: BlockNode) -> str:
    """A layer with its arguments, a call as it is written, or the name of an open choice."""
    if node.kind == "mix":
        assert node.mix is not None
        return node.mix.key.rpartition(".")[2]
    if node.kind == "call":
        text = " ".join(node.span.text.split())
        return text if text.startswith(node.layer) else node.layer
    if node.layer in _SIGNS:
        return _sign(node)
    return layer_text(block, node)


def _sign(node: BlockNode) -> str:
    constant = (node.attrs or {}).get("constant")
    neutral = 0 if node.layer == "add" else 1
    sign = _SIGNS[node.layer]
    if constant is None or constant == neutral:
        return sign
    return f"{sign} {_value(constant)}"


def layer_text(block: Block, node: BlockNode) -> str:
    """A primitive layer as a call, with the arguments that differ from their defaults."""
    before = block.nodes[node.inputs[0]].type if node.inputs else node.type
    args = []
    for field in PRIMITIVES[node.layer].fields:
        value = (node.attrs or {}).get(field.name)
        if value is None or field.kind == "map" or (field.default is not REQUIRED and value == field.default):
            continue
        if field.name == "out":
            if value != before.C or node.layer == "linear":
                args.append(str(value))
            continue
        text = _value(value)
        args.append(text if field.default is REQUIRED else f"{field.name}={text}")
    return f"{node.layer}({', '.join(args)})" if args else node.layer


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, tuple):
        return f"({', '.join(map(_value, value))})"
    if isinstance(value, str):
        return value
    return str(value) if isinstance(value, int) else f"{float(value):g}"


def _edge(block: Block, start: int, end: int) -> Edge:
    """An arrow; its shape is told where it is new or where maps meet."""
    source, target = block.nodes[start], block.nodes[end]
    before = [block.nodes[i].type for i in source.inputs]
    told = source.type not in before or (len(target.inputs) > 1 and target.kind != "mix")
    tip = f"{source.type}"
    return Edge(f"n{start}", f"n{end}", _shape(source) if told else (), "flow", tip)


def _shape(node: BlockNode) -> tuple[Line, ...]:
    return (Line(str(node.type), "shape"),)
