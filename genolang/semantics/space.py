"""The size of a search space: its decisions, and how many different answers they have."""

from __future__ import annotations

import math

from genolang.semantics.program import CellSpace, Program


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
