"""Which lines of a program became which kernel, and why others nearly did."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from genolang.compiler.ir import Graph, Node, with_counts
from genolang.compiler.ir.made import Layout, Part
from genolang.compiler.ir.matched import Matched
from genolang.compiler.recognise.patterns import misses
from genolang.diagnostics import Span
from genolang.primitives import MapType

# Layers that are a kernel as they stand.
_KERNEL_LAYERS = frozenset(("relative_attention",))


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the program, how often its layers run in one forward pass, and its text."""

    file: str
    line: int
    count: int
    text: str

    @property
    def place(self) -> str:
        return f"{self.file}:{self.line}"


@dataclass(frozen=True, slots=True)
class KernelUse:
    """A kernel, how often it runs in one forward pass, and the lines whose layers it computes."""

    name: str
    count: int
    lines: tuple[Line, ...]


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Layers, by the line of the last one, that a kernel does not compute, and why."""

    kernel: str
    line: Line
    reason: str


_Key = tuple[str, str, int]


def kernel_uses(graph: Graph) -> list[KernelUse]:
    """The kernels of a graph after its passes by name, and their lines in order."""
    found = _lines(graph)
    counts: Counter[str] = Counter()
    for current, times in with_counts(graph):
        for _, node, _ in current:
            if name := _kernel(node):
                counts[name] += times
    lines: dict[str, list[Line]] = {name: [] for name in sorted(counts)}
    for (name, _, _), line in sorted(found.items()):
        lines[name].append(line)
    return [KernelUse(name, counts[name], tuple(some)) for name, some in lines.items()]


def near_misses(graph: Graph) -> list[LeftOut]:
    """Where the layers of a kernel's pattern stand that the kernel does not take."""
    return [
        LeftOut(miss.kernel, line_of(current.node(miss.number).span, times), miss.reason)
        for current, times in with_counts(graph)
        for miss in misses(current)
    ]


def switched_off(whole: Graph, graph: Graph, reason: str) -> list[LeftOut]:
    """What all passes find and some do not."""
    rest = _lines(graph)
    rows = []
    for key, line in sorted(_lines(whole).items()):
        less = line.count - (rest[key].count if key in rest else 0)
        if less > 0:
            rows.append(LeftOut(key[0], Line(line.file, line.line, less, line.text), reason))
    return rows


def matched(graph: Graph) -> Iterator[tuple[Matched, list[MapType], Line]]:
    """The calls of kernels that were found by their pattern, with the types of their maps."""
    for current, times in with_counts(graph):
        for _, node, arguments in current:
            if isinstance(node.fused, Matched):
                yield node.fused, [current.node(a).type for a in arguments], line_of(node.span, times)


def by_line(rows: Iterable[LeftOut]) -> list[LeftOut]:
    """Rows of one kernel, line and reason as one, in the order of the lines."""
    found: dict[tuple[str, int, str, str], LeftOut] = {}
    for row in rows:
        key = row.line.file, row.line.line, row.kernel, row.reason
        count = row.line.count + (found[key].line.count if key in found else 0)
        found[key] = replace(row, line=replace(row.line, count=count))
    return [found[key] for key in sorted(found)]


def line_of(span: Span, count: int) -> Line:
    """The line in which a span begins."""
    return Line(span.source.name, span.line, count, span.source.line(span.line).strip())


def _lines(graph: Graph) -> dict[_Key, Line]:
    """By kernel, file and line."""
    found: dict[_Key, Line] = {}
    for current, times in with_counts(graph):
        for _, node, _ in current:
            name = _kernel(node)
            if not name:
                continue
            here = {(s.source.name, s.line): s for s in node.origins or (node.span,)}
            for (file, number), span in here.items():
                before = found.get((name, file, number))
                found[name, file, number] = line_of(span, times + (before.count if before else 0))
    return found


def _kernel(node: Node) -> str:
    if isinstance(node.fused, Layout | Part):
        return ""
    if isinstance(node.fused, Matched):
        return node.fused.kernel
    if node.fused is not None:
        return node.fused.name
    return node.layer if node.layer in _KERNEL_LAYERS else ""
