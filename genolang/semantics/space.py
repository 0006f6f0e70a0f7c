"""The size of a search space: its decisions, and how many different answers they have."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from genolang.primitives import PRIMITIVES
from genolang.semantics.program import Block, CellSpace, Program


def usable(program: Program, key: str) -> list[int]:
    """The options that can be an answer: all but those that compute zeros."""
    options = program.choices[key].options
    found = [i for i, option in enumerate(options) if not option.zero]
    return found or list(range(len(options)))


def edges_by_node(cell: CellSpace) -> dict[str, list[int]]:
    """The numbers of the edges into every node that a search may drop, by node."""
    found: dict[str, list[int]] = {}
    for number, edge in enumerate(cell.edges):
        if cell.rank_by is None or cell.rank_by in edge.rows:
            found.setdefault(edge.end, []).append(number)
    return found


def decisions_in_cells(program: Program) -> set[tuple[str, int]]:
    """Every decision that stands on an edge of a cell."""
    return {d for cell in program.cells for edge in cell.edges for d in edge.rows.items()}


def count_choices(program: Program) -> int:
    """The number of open decisions."""
    return sum(len(choice.rows) for choice in program.choices.values())


def count_genotypes(program: Program) -> int:
    """The number of different answers: kept edges of every node times the options on each."""
    total = 1
    for cell in program.cells:
        ranked: set[int] = set()
        for numbers in edges_by_node(cell).values():
            ways = [_ways(program, cell, n) for n in numbers]
            total *= _kept(ways, len(numbers) if cell.keep is None else cell.keep)
            ranked.update(numbers)
        total *= math.prod(_ways(program, cell, n) for n in range(len(cell.edges)) if n not in ranked)
    inside = decisions_in_cells(program)
    for key, choice in program.choices.items():
        free = sum((key, row) not in inside for row in range(len(choice.rows)))
        total *= len(usable(program, key)) ** free
    return total


def _ways(program: Program, cell: CellSpace, edge: int) -> int:
    return math.prod(len(usable(program, key)) for key in cell.edges[edge].rows)


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
    chosen: dict[tuple[str, int], int | None] = {
        (key, row): None if program.choices[key].options[option].zero else option
        for key, rows in options.items() for row, option in enumerate(rows)
    }  # fmt: skip
    return _selected(program.block, chosen, {}) or 0


def _selected(
    block: Block, chosen: Mapping[tuple[str, int], int | None], known: dict[int, int | None]
) -> int | None:
    """The block's cost, None where its output is left out; a body is counted once, then looked up."""
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
            cost = _selected(node.body, chosen, known)
        elif node.kind == "layer":
            types = tuple(block.nodes[i].type for i in node.inputs)
            cost = PRIMITIVES[node.layer].macs(node.attrs or {}, types, node.type)
        if cost is not None:
            reads[index], costs[index] = there, cost
    needed, waiting = set(), [block.outputs[0]] if block.outputs[0] in reads else []
    while waiting:
        index = waiting.pop()
        if index not in needed:
            needed.add(index)
            waiting += reads[index]
    known[id(block)] = sum(costs[i] for i in needed) if needed else None
    return known[id(block)]
