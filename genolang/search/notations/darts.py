"""`Genotype(normal=[('sep_conv_3x3', 0), ...], normal_concat=[2, 3, 4, 5], reduce=[...], ...)`.

Pairs are those of DARTS, PC-DARTS and P-DARTS; triples, with an attention module last, and the two
bottlenecks those of Att-DARTS. The text is parsed, never run.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from genolang.diagnostics import GenoError, Source, Span, did_you_mean, fail
from genolang.lang import syntax as s
from genolang.lang.formatter import format_source
from genolang.search.notations.cells import (
    CellEdge,
    ReadCell,
    Stage,
    cannot_say,
    cell_text,
    find_cell,
    read_cell,
    read_stage,
)
from genolang.semantics.modules import Module

FIELDS = ("normal", "normal_concat", "reduce", "reduce_concat", "normal_bottleneck", "reduce_bottleneck")
# A window's size stands in the name: `sep_conv_3x3` is `sep_conv(3)`.
WINDOWS = ("max_pool", "avg_pool", "sep_conv", "dil_conv")
PLAIN = {"none": "none", "skip_connect": "skip", "conv_7x1_1x7": "conv_7x1_1x7"}
ATTENTION = {
    "Identity": "identity",
    "SE": "se",
    "BAM": "bam_code",
    "CBAM": "cbam_code",
    "GE_theta-plus": "ge",
    "DoubleAttention": "double_attention",
}
_EXAMPLE = "Genotype(normal=[('sep_conv_3x3', 0), ('skip_connect', 1), ...], normal_concat=[2, 3, 4, 5], ...)"
_KINDS = (("normal", "normal"), ("reduction", "reduce"))


@dataclass(frozen=True, slots=True)
class _Calls:
    """The genotypes of a text by name, with what one is called that has none."""

    found: dict[str, ast.Call]
    source: Source


def read(source: Source, name: str | None) -> str:
    """The spec of a genotype, on the published networks of DARTS. Error: G610."""
    calls = _calls(source)
    source = calls.source
    title, call = _choose(calls, name)
    title = "a genotype" if title in ("", "genotype") else title
    fields = _fields(call, source)
    for field in FIELDS[:4]:
        if field not in fields:
            raise _bad(source, call, f"the genotype has no `{field}`", f"it reads {_EXAMPLE}")
    cells = [_cell_text(cell, kind, fields, source) for cell, kind in _KINDS]
    modules = "|".join(word for word in ATTENTION.values() if word != "identity")
    attention = re.search(rf"-> ({modules})\b", "".join(cells))
    imports = ["std.ops", *(["std.attention"] if attention else []), "darts.networks as darts"]
    text = "\n".join(
        [
            "geno 1",
            f"# The cells of {title}, on the networks of DARTS, of the published sizes.",
            f"import {', '.join(imports)}",
            "",
            *cells,
            "network cifar = darts.cifar(normal=normal, reduction=reduction)",
            "",
            "network imagenet = darts.imagenet(normal=normal, reduction=reduction)",
            "",
        ]
    )
    return format_source(Source("imported.geno", text))


def write(module: Module, name: str | None) -> str:
    """The cells `normal` and `reduction` as a genotype. Error: G609."""
    cells = [
        (kind, read_cell(find_cell(module, names)), module)
        for kind, names in (("normal", ["normal"]), ("reduce", ["reduction", "reduce"]))
    ]
    genes = {kind: _genes(cell, kind == "reduce") for kind, cell, _ in cells}
    ends = {kind: _concat(cell, module) for kind, cell, module in cells}
    triples = any(attention is not None for found in genes.values() for *_, attention in found) or any(
        bottleneck for _, bottleneck in ends.values()
    )
    parts = []
    for kind, _, _ in cells:
        listed = [(op, start, module or "") if triples else (op, start) for op, start, module in genes[kind]]
        parts += [f"{kind}={listed!r}", f"{kind}_concat={ends[kind][0]!r}"]
    if triples:
        parts += [f"{kind}_bottleneck={ends[kind][1]!r}" for kind, _, _ in cells]
    return f"{name or 'genotype'} = Genotype({', '.join(parts)})\n"


# Reading


def _bad(source: Source, node: ast.AST | None, message: str, help: str | None = None) -> GenoError:
    return fail("G610", message, None if node is None else _span(source, node), help=help)


def _span(source: Source, node: Any) -> Span:
    def offset(line: int, column: int) -> int:
        before = source.line(line).encode()[:column].decode(errors="ignore")
        return source.line_starts[line - 1] + len(before)

    return Span(source, offset(node.lineno, node.col_offset), offset(node.end_lineno, node.end_col_offset))


def _parsed(source: Source) -> tuple[ast.Module, Source]:
    """The text as Python, or else the last genotype in it up to its line's end, as logs print it."""
    try:
        return _python(source.text), source
    except SyntaxError as error:
        at = source.text.rfind("Genotype(")
        last = Source(source.name, source.text[at:].partition("\n")[0] if at >= 0 else "")
        try:
            if last.text:
                return _python(last.text), last
        except SyntaxError:
            pass
        line = min(max(error.lineno or 1, 1), len(source.line_starts))
        start = source.line_starts[line - 1]
        raise fail(
            "G610",
            f"this is no genotype, nor Python that holds one: {error.msg}",
            Span(source, start, start + len(source.line(line))),
            help=f"it reads {_EXAMPLE}",
        ) from None


def _python(text: str) -> ast.Module:
    try:
        return ast.parse(text)
    except (ValueError, RecursionError, MemoryError) as error:
        raise SyntaxError(str(error) or "it nests too deeply") from None


def _calls(source: Source) -> _Calls:
    found: dict[str, ast.Call] = {}
    tree, source = _parsed(source)
    for statement in tree.body:
        names = [t.id for t in getattr(statement, "targets", []) if isinstance(t, ast.Name)]
        value = getattr(statement, "value", None)
        if isinstance(value, ast.Name) and value.id in found:
            found |= dict.fromkeys(names, found[value.id])
        elif isinstance(value, ast.Call) and _called(value) == "Genotype":
            found |= dict.fromkeys(names or [""], value)
    return _Calls(found, source)


def _called(call: ast.Call) -> str | None:
    return getattr(call.func, "attr", None) or getattr(call.func, "id", None)


def _choose(calls: _Calls, name: str | None) -> tuple[str, ast.Call]:
    """The genotype of that name, or the only one."""
    found = calls.found
    if name is not None:
        if name not in found:
            raise _bad(
                calls.source,
                None,
                f"there is no genotype `{name}`",
                did_you_mean(name, found) or f"there are {', '.join(found) or 'none'}",
            )
        return name, found[name]
    different = {id(call): key for key, call in reversed(found.items())}
    if len(different) != 1:
        said = "there are several genotypes" if found else "there is no `Genotype(...)` in this text"
        raise _bad(
            calls.source, None, said, f"say which: --name {' | '.join(found)}" if found else f"it reads {_EXAMPLE}"
        )
    return next(iter(found.items()))


def _fields(call: ast.Call, source: Source) -> dict[str, ast.expr]:
    fields: dict[str, ast.expr] = {}
    names = (*FIELDS, *(["..."] * len(call.args)))
    pairs = [*zip(names, call.args, strict=False), *((k.arg, k.value) for k in call.keywords)]
    for field, value in pairs:
        if field not in FIELDS or field in fields or isinstance(value, ast.Starred):
            raise _bad(
                source,
                value,
                f"a genotype has no second or other field `{field}`",
                f"its fields are {', '.join(FIELDS)}",
            )
        fields[field] = value
    return fields


def _items(node: ast.expr, source: Source, what: str) -> list[ast.expr]:
    if isinstance(node, ast.Call) and _called(node) == "list" and len(node.args) == 1:
        node = node.args[0]
    if not isinstance(node, ast.List | ast.Tuple):
        raise _bad(source, node, f"{what} is a list")
    return node.elts


def _numbers(node: ast.expr, source: Source) -> list[tuple[int, ast.expr]]:
    """`[2, 3, 4, 5]` or `range(2, 6)`, every number with its place."""
    if isinstance(node, ast.Call) and _called(node) == "list" and len(node.args) == 1:
        node = node.args[0]
    if isinstance(node, ast.Call) and _called(node) == "range" and 1 <= len(node.args) <= 2:
        bounds = [_number(arg, source) for arg in node.args]
        if max(bounds) > 1000:
            raise _bad(source, node, "a cell has no thousand nodes")
        return [(number, node) for number in range(*bounds)]
    return [(_number(item, source), item) for item in _items(node, source, "what is concatenated")]


def _number(node: ast.expr, source: Source) -> int:
    if isinstance(node, ast.Constant) and type(node.value) is int:
        return node.value
    raise _bad(source, node, "a whole number from 0 is needed here")


def _text(node: ast.expr, source: Source) -> str:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    raise _bad(source, node, "a name in quotes is needed here")


def _cell_text(cell: str, kind: str, fields: dict[str, ast.expr], source: Source) -> str:
    genes = _items(fields[kind], source, f"`{kind}`")
    if not genes or len(genes) % 2:
        raise _bad(source, fields[kind], f"`{kind}` lists two edges for each node, so not {len(genes)}")
    names = ["s0", "s1", *(f"n{number + 1}" for number in range(len(genes) // 2))]
    edges = [_edge_text(gene, 2 + n // 2, names, kind == "reduce", source) for n, gene in enumerate(genes)]
    ends = []
    for number, place in _numbers(fields[f"{kind}_concat"], source):
        if not 2 <= number < len(names):
            raise _bad(source, place, f"the cell has no node {number}; its nodes are 2 to {len(names) - 1}")
        ends.append(names[number])
    if not ends:
        raise _bad(source, fields[f"{kind}_concat"], f"`{kind}_concat` names no node")
    returns = f"concat({', '.join(ends)})" if len(ends) > 1 else ends[0]
    bottleneck = fields.get(f"{kind}_bottleneck")
    if bottleneck is not None and _text(bottleneck, source):
        returns += f" -> {_attention(bottleneck, source)}"
    return cell_text(
        cell,
        "prev2, prev1, channels=36",
        "s0 = prev2 -> fit(channels, like=prev1), s1 = prev1 -> relu_conv_bn(channels)",
        names[2:],
        edges,
        returns,
    )


def _edge_text(gene: ast.expr, node: int, names: Sequence[str], reduction: bool, source: Source) -> str:
    items = _items(gene, source, "an edge")
    if len(items) not in (2, 3):
        raise _bad(source, gene, "an edge is (operation, start) or (operation, start, attention)")
    start = _number(items[1], source)
    if not 0 <= start < node:
        raise _bad(source, items[1], f"an edge into node {node} starts at 0 to {node - 1}, not {start}")
    stages = [_operation(items[0], reduction and start < 2, source)]
    if len(items) == 3 and _text(items[2], source):
        stages.append(_attention(items[2], source))
    return f"{names[start]} -> {names[node]} : {' -> '.join([*stages, 'drop_path'])}"


def _operation(node: ast.expr, strided: bool, source: Source) -> str:
    name = _text(node, source)
    window = re.fullmatch(rf"({'|'.join(WINDOWS)})_([13579])x\2", name)
    if window is None and name not in PLAIN:
        known = [*PLAIN, *(f"{w}_{k}x{k}" for w in WINDOWS for k in (3, 5))]
        raise _bad(source, node, f"there is no operation `{name}`", did_you_mean(name, known))
    callee = PLAIN[name] if window is None else window[1]
    args = [] if window is None else [window[2]]
    args += ["stride=2"] if strided else []
    return f"{callee}({', '.join(args)})" if args else callee


def _attention(node: ast.expr, source: Source) -> str:
    name = _text(node, source)
    if name not in ATTENTION:
        raise _bad(
            source,
            node,
            f"there is no attention module `{name}`",
            did_you_mean(name, ATTENTION) or f"there are {', '.join(ATTENTION)}",
        )
    return ATTENTION[name]


# Writing


def _genes(cell: ReadCell, reduction: bool) -> list[tuple[str, int, str | None]]:
    if cell.inputs != 2:
        raise cannot_say(f"a cell of DARTS has two inputs, not {cell.inputs}", cell.span)
    found = []
    for number, node in enumerate(cell.nodes, start=2):
        edges = cell.into(number)
        if len(edges) != 2:
            raise cannot_say(f"two edges lead into each node, but {len(edges)} into `{node}`", cell.span)
        found += [_gene(edge, reduction and edge.start < 2) for edge in edges]
    return found


def _gene(edge: CellEdge, strided: bool) -> tuple[str, int, str | None]:
    stages = list(edge.stages)
    if stages[-1].name == "drop_path" and len(stages) > 1:
        stages.pop()
    if len(stages) > 2:
        raise cannot_say("an edge holds an operation and an attention module, no more", stages[2].span)
    return _operation_name(stages[0], strided), edge.start, _module_name(stages[1]) if stages[1:] else None


def _operation_name(stage: Stage, strided: bool) -> str:
    args = dict(stage.args)
    stride = args.pop("stride", 1)
    if stage.home == "std/ops" and stride != (2 if strided else 1):
        where = "leaves an input of the reduction cell" if strided else "does not leave one of its inputs"
        raise cannot_say(f"the stride is {stride}, though the edge {where}", stage.span)
    # A size that is not written is the default, three.
    k = args.pop("k", 3)
    plain = {ours: theirs for theirs, ours in PLAIN.items()}
    if stage.home == "std/ops" and not args and stage.name in WINDOWS:
        return f"{stage.name}_{k}x{k}"
    if stage.home == "std/ops" and not stage.args.keys() - {"stride"} and stage.name in plain:
        return plain[stage.name]
    raise cannot_say(f"there is no word for `{stage.span.text}` in DARTS", stage.span)


def _module_name(stage: Stage) -> str:
    theirs = {ours: name for name, ours in ATTENTION.items()}
    if stage.name in theirs and stage.home in ("std/attention", "core") and not stage.args:
        return theirs[stage.name]
    raise cannot_say(
        f"there is no word for `{stage.span.text}` in Att-DARTS",
        stage.span,
        help="its modules have their published reduction: `se`, `cbam_code`, ...",
    )


def _concat(cell: ReadCell, module: Module) -> tuple[list[int], str]:
    returns, bottleneck = cell.returns, ""
    if isinstance(returns, s.Pipeline) and len(returns.stages) == 2:
        stage = returns.stages[1]
        bottleneck = _module_name(read_stage(stage, stage, module, set()))
        returns = returns.stages[0]
    parts: tuple[s.Expr, ...] = (returns,)
    if isinstance(returns, s.Call) and isinstance(returns.callee, s.Name) and returns.callee.id == "concat":
        parts = tuple(arg.value for arg in returns.args)
    ends = [part.id for part in parts if isinstance(part, s.Name) and part.id in cell.nodes]
    if len(ends) != len(parts):
        raise cannot_say("a cell of DARTS returns nodes, concatenated", cell.returns.span)
    return [cell.number(name) for name in ends], bottleneck
