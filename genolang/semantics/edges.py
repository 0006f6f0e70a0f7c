"""The edges of a cell by name: patterns spelled out, and ends that cannot be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from genolang.diagnostics import Diagnostic, GenoError, did_you_mean, fail
from genolang.lang import syntax as s
from genolang.lang.limits import limit, limit_note
from genolang.semantics.modules import DefinitionRef

STARTS = ("earlier", "inputs", "nodes")
ENDS = ("each", "later", "nodes")

EdgeEnds = tuple[str, str, s.Edge]


def input_names(ref: DefinitionRef) -> list[str]:
    """The maps at which edges may start where no `inputs` line says it."""
    return [name for name in ref.map_params if name != "x"] or ["x"]


def spell_out(edges: Sequence[s.Edge], inputs: Sequence[str], nodes: Sequence[str]) -> list[EdgeEnds]:
    """All edges in the order written, patterns by target, then by start. Errors: G401, G403, G507."""
    found: list[EdgeEnds] = []
    numbers = {name: number for number, name in enumerate(nodes)}
    for edge in edges:
        found += ends_of(edge, inputs, numbers)
        if len(found) > limit("edges"):
            raise _too_many(edge)
    return found


def _too_many(edge: s.Edge) -> GenoError:
    return fail("G507", f"a cell has at most {limit('edges'):,} edges", edge.span, notes=(limit_note("edges"),))


def ends_of(edge: s.Edge, inputs: Sequence[str], numbers: Mapping[str, int]) -> list[EdgeEnds]:
    """The edges that one line stands for; `numbers` are the places of the nodes in their order."""
    start, end = edge.start.id, edge.end.id
    nodes = list(numbers)
    if end not in ENDS and end not in numbers:
        raise _unknown_end(edge, inputs, nodes)
    if start in ENDS and start not in STARTS:
        raise fail(
            "G401",
            f"`{start}` stands at the end of an edge only",
            edge.start.span,
            help="`edges earlier -> each : operation`",
        )
    if start not in STARTS and start not in inputs and start not in numbers:
        raise _unknown(edge.start, [*inputs, *nodes], STARTS)
    targets = nodes if end in ENDS else [end]
    found: list[EdgeEnds] = []
    for target in targets:
        if start == "earlier":
            starts: Sequence[str] = [*inputs, *nodes[: numbers[target]]]
        elif start == "nodes":
            starts = nodes[: numbers[target]]
        elif start == "inputs":
            starts = inputs
        elif start in inputs or numbers[start] < numbers[target]:
            starts = [start]
        elif end in ENDS:
            continue
        else:
            raise fail(
                "G403",
                f"an edge from `{start}` to `{target}` goes backwards",
                edge.span,
                help="nodes are computed in the order of the `nodes` line",
            )
        found += [(each, target, edge) for each in starts]
        if len(found) > limit("edges"):
            raise _too_many(edge)
    return found


def _unknown_end(edge: s.Edge, inputs: Sequence[str], nodes: Sequence[str]) -> GenoError:
    if edge.end.id in inputs:
        return fail(
            "G403",
            f"an edge leads into the input `{edge.end.id}`",
            edge.span,
            help="edges lead from inputs to nodes: `edges input -> node : operation`",
        )
    if edge.end.id in STARTS:
        return fail(
            "G401",
            f"`{edge.end.id}` stands at the start of an edge only",
            edge.end.span,
            help="`edges earlier -> each : operation`",
        )
    return _unknown(edge.end, nodes, ENDS)


def _unknown(name: s.Name, names: Sequence[str], patterns: tuple[str, ...]) -> GenoError:
    listed = ", ".join(f"`{n}`" for n in names[:8])
    return fail(
        "G401",
        f"there is no node `{name.id}`",
        name.span,
        help=did_you_mean(name.id, [*names, *patterns])
        or (f"there are {listed}; new nodes are declared by `nodes`" if listed else f"declare it: `nodes {name.id}`"),
    )


def check_edges(ref: DefinitionRef, body: Sequence[s.Statement]) -> list[Diagnostic]:
    """What is wrong with the ends of a definition's edges: G401, G402, G403, G411, G507."""
    edges = [edge for statement in body if isinstance(statement, s.Edges) for edge in statement.edges]
    nodes = next((st for st in body if isinstance(st, s.Nodes)), None)
    inputs = next((st for st in body if isinstance(st, s.Inputs)), None)
    found: list[Diagnostic] = []
    if inputs is not None and nodes is not None and body.index(inputs) > body.index(nodes):
        found.append(
            Diagnostic(
                "G411", "`inputs` stands before `nodes`", inputs.span, help="the nodes' edges start at the inputs"
            )
        )
    starts = input_names(ref) if inputs is None else [item.name.id for item in inputs.inputs]
    names = [] if nodes is None else [name.id for name in nodes.names]
    numbers = {name: number for number, name in enumerate(names)}
    reached: set[str] = set()
    for edge in edges:
        try:
            reached.update(end for _, end, _ in ends_of(edge, starts, numbers))
        except GenoError as error:
            found += error.diagnostics
        if len(found) >= limit("problems"):
            return found
    if nodes is not None and not found:
        found += [
            Diagnostic(
                "G402",
                f"no edge leads into the node `{name.id}`",
                name.span,
                help=f"add one (`edges earlier -> {name.id} : relu`), or remove the node",
            )
            for name in nodes.names
            if name.id not in reached
        ]
    return found
