"""`|nor_conv_3x3~0|+|nor_conv_3x3~0|skip_connect~1|+|...|`: a cell of NAS-Bench-201, node by node."""

from __future__ import annotations

import re

from genolang.diagnostics import Source, Span, did_you_mean, fail
from genolang.lang import syntax as s
from genolang.lang.formatter import format_source
from genolang.search.notations.cells import CellEdge, cannot_say, cell_text, find_cell, read_cell
from genolang.semantics.modules import Module

OPERATIONS = {
    "none": "none",
    "skip_connect": "skip",
    "nor_conv_1x1": "nor_conv(1)",
    "nor_conv_3x3": "nor_conv(3)",
    "avg_pool_3x3": "avg_pool(3)",
}
# As (name, its only argument); what `std.ops` has as a default is not written out.
_CALLS = {"none": ("none", None), "skip": ("skip_connect", None), "avg_pool": ("avg_pool_3x3", 3)}
_EXAMPLE = "|nor_conv_3x3~0|+|nor_conv_3x3~0|skip_connect~1|+|skip_connect~0|none~1|nor_conv_3x3~2|"


def read(source: Source, name: str | None) -> str:
    """The spec of a cell, called `found` unless it has a name, in its network for CIFAR. Error: G610."""
    cell = name or "found"
    if not re.fullmatch(r"[A-Za-z_]\w*", cell, re.ASCII):
        raise fail("G610", f"`{cell}` cannot be the name of a cell")
    text = source.text
    begin, end = len(text) - len(text.lstrip()), len(text.rstrip())
    edges: list[str] = []
    node = 0
    at = begin
    for part in text[begin:end].split("+"):
        node += 1
        match = re.fullmatch(r"\|((?:[^|~+\s]+~\d{1,3}\|)+)", part)
        if match is None:
            raise fail(
                "G610",
                "a node reads `|operation~start|operation~start|`",
                Span(source, at, at + max(len(part), 1)),
                help=f"for example {_EXAMPLE}",
            )
        place = at + 1
        for word in match[1].rstrip("|").split("|"):
            span = Span(source, place, place + len(word))
            edges.append(_edge(word, node, span))
            place += len(word) + 1
        at += len(part) + 1
    nodes = [f"n{number + 1}" for number in range(node)]
    made = "\n".join(
        [
            "geno 1",
            "# A cell of NAS-Bench-201, in its network for CIFAR.",
            "import std.ops, nas_bench_201.networks",
            "",
            cell_text(cell, "prev", "n0 = prev", nodes, edges, nodes[-1]),
            f"network cifar = nas_bench_201(cell={cell})",
            "",
        ]
    )
    return format_source(Source("imported.geno", made))


def _edge(word: str, node: int, span: Span) -> str:
    operation, _, start = word.partition("~")
    if operation not in OPERATIONS:
        near = did_you_mean(operation, OPERATIONS) or f"there are {', '.join(OPERATIONS)}"
        raise fail("G610", f"there is no operation `{operation}`", span, help=near)
    if int(start) >= node:
        raise fail("G610", f"an edge into node {node} starts at 0 to {node - 1}, not {start}", span)
    return f"n{int(start)} -> n{node} : {OPERATIONS[operation]}"


def write(module: Module, name: str | None) -> str:
    """A cell with one input, by name or the only one, as a string. Error: G609."""
    own = [ref.name for ref in module.definitions.values() if ref.kind == "cell"]
    if name is None and len(own) > 1:
        raise cannot_say(f"{module.source.name} has several cells", help=f"say which: --name {' | '.join(own)}")
    cell = read_cell(find_cell(module, [name] if name else own or ["found"]))
    if cell.inputs != 1:
        raise cannot_say(f"a cell of NAS-Bench-201 has one input, not {cell.inputs}", cell.span)
    last = cell.nodes[-1]
    if not (isinstance(cell.returns, s.Name) and cell.returns.id == last):
        raise cannot_say(f"a cell of NAS-Bench-201 returns its last node, `{last}`", cell.returns.span)
    nodes = []
    for number in range(1, len(cell.nodes) + 1):
        edges = sorted(cell.into(number), key=lambda edge: edge.start)
        nodes.append("|" + "".join(f"{_operation(edge)}~{edge.start}|" for edge in edges))
    return "+".join(nodes) + "\n"


def _operation(edge: CellEdge) -> str:
    stage = edge.stages[0]
    k = stage.args.get("k")
    if len(edge.stages) == 1 and not stage.args.keys() - {"k"}:
        if stage.home == "nas_bench_201/networks" and stage.name == "nor_conv" and k in (1, 3):
            return f"nor_conv_{k}x{k}"
        if stage.home == "std/ops" and stage.name in _CALLS:
            word, default = _CALLS[stage.name]
            if k is None or k == default:
                return word
    raise cannot_say(
        "the edge holds what no operation of NAS-Bench-201 is",
        edge.span,
        help=f"they are {', '.join(OPERATIONS.values())}",
    )
