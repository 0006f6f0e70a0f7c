"""A network's graph, as it was written, as a networkx multigraph of plain values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from genolang.compiler.ir import Graph, Node, definitions
from genolang.diagnostics import Span
from genolang.primitives import PRIMITIVES
from genolang.semantics.program import ChoiceSet, Path, Program

if TYPE_CHECKING:
    import networkx as nx

FORMAT, VERSION = "genolang", 1


def to_networkx(graph: Graph, program: Program) -> nx.MultiDiGraph[str]:
    """A program's graph before any pass: nodes are values, an edge leads from an argument to its reader and
    has the argument's position as its key.

    The bodies of calls are components of their own, before those that call them; the network's is the last.
    """
    # A tenth of a second to import, for the few who ask.
    import networkx as nx

    bodies = definitions(graph)
    names = {id(body): name for name, body in bodies.items()}
    costs = _Costs()
    made: nx.MultiDiGraph[str] = nx.MultiDiGraph(
        format=FORMAT,
        version=VERSION,
        name=program.name,
        definitions=list(bodies),
        auxiliary_weight=program.auxiliary_weight,
        choices=[_choice(c) for c in program.choices.values()],
    )
    for name, body in bodies.items():
        ranks = _ranks(body)
        for number, node, arguments in body:
            outputs = [place for place, output in enumerate(body.outputs) if output == number]
            about = {"definition": name, "number": number} | _facts(node, names)
            if node.path:
                about |= {"path": ".".join(node.path), "rank": ranks[node.path]}
            parameters, buffers, macs = costs.of(body, node, arguments)
            about |= {"parameters": parameters, "buffers": buffers, "macs": macs}
            made.add_node(f"{name}/{number}", **about, **({"outputs": outputs} if outputs else {}))
            for position, argument in enumerate(arguments):
                made.add_edge(f"{name}/{argument}", f"{name}/{number}", key=position, argument=position)
    return made


def _facts(node: Node, names: Mapping[int, str]) -> dict[str, Any]:
    """What a node is, and where it stands in the text."""
    found: dict[str, Any] = {"kind": node.kind, "shape": list(node.type), "place": _place(node.span)}
    if node.kind == "layer":
        found |= {"layer": node.layer, "attributes": {k: _plain(v) for k, v in (node.attrs or {}).items()}}
    if node.body is not None:
        found["calls"] = names[id(node.body)]
    if node.mix is not None:
        found |= {"choice": node.mix.key, "row": node.mix.row, "combine": node.mix.combine}
    return found


def _place(span: Span) -> list[Any]:
    return [span.source.name, span.line]


def _plain(value: Any) -> Any:
    """An argument's value in JSON: a size of two numbers is a list, a fraction is text."""
    if isinstance(value, tuple):
        return list(value)
    return str(value) if isinstance(value, Fraction) else value


def _choice(choice: ChoiceSet) -> dict[str, Any]:
    return {
        "name": choice.key,
        "plug": choice.plug,
        "options": [option.text for option in choice.options],
        "zeros": [option.zero for option in choice.options],
        "rows": [
            {"definition": row.definition, "edge": list(row.edge) if row.edge else None, "place": _place(row.span)}
            for row in choice.rows
        ],
    }


def _ranks(graph: Graph) -> dict[Path, int]:
    """By a path, how many layers with weights stand before those under it."""
    found: dict[Path, int] = {}
    for rank, path in enumerate(graph.leaves):
        for length in range(1, len(path) + 1):
            found.setdefault(path[:length], rank)
    return found


@dataclass(slots=True)
class _Costs:
    """What bodies cost, each counted once: by identity, multiply-accumulates of the first output."""

    macs: dict[int, int] = field(default_factory=dict)

    def of(self, graph: Graph, node: Node, arguments: tuple[int, ...]) -> tuple[int, int, int]:
        """Parameters, buffers and multiply-accumulates of a node, those of what it calls."""
        if node.body is not None:
            owned = [leaf.weights for leaf in node.body.leaves.values()]
            return sum(w.params for w in owned), sum(w.buffers for w in owned), self.called(node.body)
        if node.kind != "layer" or node.attrs is None:
            return 0, 0, 0
        types, rule = [graph.node(a).type for a in arguments], PRIMITIVES[node.layer]
        weights = rule.weights(node.attrs, types)
        return weights.params, weights.buffers, rule.macs(node.attrs, types, node.type)

    def called(self, body: Graph) -> int:
        if id(body) not in self.macs:
            needed = body.needed(body.outputs[:1])
            self.macs[id(body)] = sum(self.of(body, n, a)[2] for i, n, a in body if i in needed)
        return self.macs[id(body)]
