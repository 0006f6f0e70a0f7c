"""The size of a search space: its decisions, and how many different answers they have."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

from genolang.semantics.program import Block, CellSpace, Decision, Path, Program


def usable(program: Program, key: str) -> list[int]:
    """The options that can be an answer: all but those that compute zeros."""
    options = program.choices[key].options
    found = [i for i, option in enumerate(options) if not option.zero]
    return found or list(range(len(options)))


def edges_by_node(cell: CellSpace) -> dict[str, list[int]]:
    """The numbers of the edges into every node that a search may drop, by node."""
    found: dict[str, list[int]] = {}
    for number, edge in enumerate(cell.edges):
        if cell.rank_by is None or edge.of(cell.rank_by):
            found.setdefault(edge.end, []).append(number)
    return found


def decisions_in_cells(program: Program) -> set[Decision]:
    """Every decision that stands on an edge of a cell."""
    return {d for cell in program.cells for edge in cell.edges for d in edge.decisions}


def outer(program: Program) -> dict[Decision, tuple[Decision, int]]:
    """The decisions that stand in an alternative of another one: that one, and the alternative.

    They are part of an answer only where it takes that alternative.
    """
    ways = {
        (program.place(d).edge, program.place(d).way): d for d in program.decisions if not program.choices[d.key].plug
    }
    found: dict[Decision, tuple[Decision, int]] = {}
    for (edge, way), decision in ways.items():
        for length in range(len(way) - 1, 0, -1):
            if way[length].option >= 0:
                found[decision] = ways[edge, way[:length]], way[length].option
                break
    return found


def part_of(
    decisions: Iterable[Decision], chosen: Mapping[Decision, int], around: Mapping[Decision, tuple[Decision, int]]
) -> list[Decision]:
    """Those decisions that are part of an answer; `around` is what `outer` gives."""

    def counts(decision: Decision) -> bool:
        if decision not in around:
            return True
        other, option = around[decision]
        return chosen[other] == option and counts(other)

    return [decision for decision in decisions if counts(decision)]


def where(program: Program, decision: Decision) -> str:
    """Where in its set a decision belongs: `s0 -> n1`, `line 7`, `block 3`; empty for the only one.

    Where one choice is decided several times in a line or on an edge, the column stands behind it.
    """
    choice, place = program.choices[decision.key], program.place(decision)
    if choice.plug:
        return f"block {decision.row + 1}"
    if len(choice.rows) == 1:
        return ""
    line, column = place.span.source.position(place.span.start)
    alike = [p for p in choice.rows if p.edge == place.edge and (p.edge or p.span.line == line)]
    found = f"{place.edge[0]} -> {place.edge[1]}" if place.edge else f"line {line}"
    return found if len(alike) == 1 else f"{found}, column {column}"


def label(program: Program, decision: Decision) -> str:
    """A decision in the words of the text: `normal.operation, s0 -> n1`, `small.gate, line 7`."""
    return ", ".join(filter(None, (decision.key, where(program, decision))))


def count_choices(program: Program) -> int:
    """The number of open decisions."""
    return sum(len(choice.rows) for choice in program.choices.values())


def count_genotypes(program: Program) -> int:
    """The number of different answers: kept edges of every node times the options on each."""
    total = 1
    ways = _Ways(program)
    for cell in program.cells:
        ranked: set[int] = set()
        for numbers in edges_by_node(cell).values():
            each = [ways.of(cell.edges[n].decisions) for n in numbers]
            total *= _kept(each, len(numbers) if cell.keep is None else cell.keep)
            ranked.update(numbers)
        rest = (n for n in range(len(cell.edges)) if n not in ranked)
        total *= math.prod(ways.of(cell.edges[n].decisions) for n in rest)
    inside = decisions_in_cells(program)
    return total * ways.of([d for d in program.decisions if d not in inside])


class _Ways:
    """How many answers decisions have, those inside their alternatives counted where they are taken."""

    def __init__(self, program: Program) -> None:
        self.usable = {key: usable(program, key) for key in program.choices}
        self.around = outer(program)
        self.within: dict[tuple[Decision, int], list[Decision]] = {}
        for decision, place in self.around.items():
            self.within.setdefault(place, []).append(decision)

    def of(self, decisions: Iterable[Decision]) -> int:
        return math.prod(self.one(d) for d in decisions if d not in self.around)

    def one(self, decision: Decision) -> int:
        return sum(
            math.prod(map(self.one, self.within.get((decision, option), ()))) for option in self.usable[decision.key]
        )


def in_digits(number: int) -> str:
    """A whole number in full, however long: Python writes no more than 4300 digits of an int."""
    from decimal import MAX_EMAX, MAX_PREC, MIN_EMIN, Context

    return f"{Context(prec=MAX_PREC, Emax=MAX_EMAX, Emin=MIN_EMIN).create_decimal(number):f}"


def _kept(ways: list[int], keep: int) -> int:
    """The sum over all sets of `keep` edges of the product of their options."""
    sums = [1] + [0] * keep
    for way in ways:
        for size in range(keep, 0, -1):
            sums[size] += sums[size - 1] * way
    return sums[keep]


def selected_macs(program: Program, options: Mapping[str, Sequence[int]]) -> int:
    """Multiply-accumulates of one image in evaluation with one alternative per row of every set.

    An alternative of zeros leaves out everything up to the sum that it would enter.
    """
    return _selected(program.block, _chosen(program, options), {}) or 0


def selected_params(program: Program, options: Mapping[str, Sequence[int]]) -> int:
    """Parameters with one alternative per row of every set, those of layers that are used alone."""
    needed: dict[int, list[int]] = {}
    _selected(program.block, _chosen(program, options), {}, needed)
    found: dict[Path, int] = {}
    stack: list[tuple[Block, Path]] = [(program.block, ())]
    while stack:
        block, path = stack.pop()
        if not block.open:
            found.update({path + inner: leaf.weights.params for inner, leaf in block.leaves.items()})
            continue
        for index in needed.get(id(block), ()):
            node = block.nodes[index]
            if node.body is not None:
                stack.append((node.body, path + node.path))
            elif node.path:
                found[path + node.path] = block.params_of(node)
    return sum(found.values())


def _chosen(program: Program, options: Mapping[str, Sequence[int]]) -> dict[tuple[str, int], int | None]:
    """The alternative of every decision, None for zeros."""
    return {
        (key, row): None if program.choices[key].options[option].zero else option
        for key, rows in options.items()
        for row, option in enumerate(rows)
    }


def _selected(
    block: Block,
    chosen: Mapping[tuple[str, int], int | None],
    known: dict[int, int | None],
    used: dict[int, list[int]] | None = None,
) -> int | None:
    """The block's cost, None where its output is left out; a body is counted once, then looked up.

    `used` takes the nodes that count, by block.
    """
    if id(block) in known:
        return known[id(block)]
    if not block.open:
        return block.macs[0]
    reads: dict[int, tuple[int, ...]] = {}
    costs: dict[int, int] = {}
    for index, node in enumerate(block.nodes):
        there = tuple(i for i in node.inputs if i in reads)
        cost: int | None = 0
        if node.mix is not None:
            option = chosen[node.mix.key, node.mix.row]
            there = there if option is None else (node.inputs[option],)
            cost = None if option is None or there[0] not in reads else 0
        elif node.layer == "add" and node.attrs == {"constant": 0}:
            cost = 0 if there else None
        elif there != node.inputs:
            cost = None
        elif node.body is not None:
            cost = _selected(node.body, chosen, known, used)
        elif node.kind == "layer":
            cost = block.macs_of(node)
        if cost is not None:
            reads[index], costs[index] = there, cost
    needed, waiting = set(), [block.outputs[0]] if block.outputs[0] in reads else []
    while waiting:
        index = waiting.pop()
        if index not in needed:
            needed.add(index)
            waiting += reads[index]
    known[id(block)] = sum(costs[i] for i in needed) if needed else None
    if used is not None:
        used[id(block)] = sorted(needed)
    return known[id(block)]
