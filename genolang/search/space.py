"""Search spaces and their answers: which decisions there are, how many answers, and choosing one."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from genolang.semantics.program import CellSpace, Program
from genolang.semantics.space import decisions_in_cells, edges_by_node, usable

Decision = tuple[str, int]
Logits = Mapping[str, Sequence[Sequence[float]]]


@dataclass(frozen=True, slots=True)
class ChosenEdge:
    """An edge that stays: its number in the cell's space and the option of each choice on it."""

    edge: int
    options: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class Genotype:
    """One answer: the edges of every searched cell, and the option of every decision elsewhere.

    A node's edges stand strongest first, as DARTS lists them.
    """

    cells: tuple[tuple[str, tuple[ChosenEdge, ...]], ...]
    others: tuple[tuple[Decision, int], ...]

    def to_json(self) -> dict[str, Any]:
        return {
            "cells": {
                name: [{"edge": e.edge, "options": dict(e.options)} for e in edges]
                for name, edges in self.cells
            },
            "others": [[key, row, option] for (key, row), option in self.others],
        }

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> Genotype:
        cells = tuple(
            (name, tuple(ChosenEdge(e["edge"], tuple(e["options"].items())) for e in edges))
            for name, edges in data["cells"].items()
        )
        return Genotype(cells, tuple(((k, r), o) for k, r, o in data["others"]))


def softmax(row: Sequence[float]) -> list[float]:
    top = max(row)
    powers = [math.exp(v - top) for v in row]
    total = sum(powers)
    return [p / total for p in powers]


def derive(program: Program, logits: Logits) -> Genotype:
    """The strongest answer, as published: softmax over all options, the maximum over all but zeros.

    A node keeps the edges whose best option weighs most by the choice that `keep` names; ties keep
    the earlier edge and the earlier option. Source: DARTS, section 2.4 and its public code.
    """
    weights = {key: [softmax(row) for row in rows] for key, rows in logits.items()}

    def best(key: str, row: int) -> tuple[float, int]:
        options = usable(program, key)
        top = max(options, key=lambda option: (weights[key][row][option], -option))
        return weights[key][row][top], top

    return _answer(
        program,
        lambda key, row: best(key, row)[1],
        lambda cell, numbers: sorted(
            numbers, key=lambda n: -best(cell.rank_by or "", cell.edges[n].rows[cell.rank_by or ""])[0]
        ),
    )  # fmt: skip


def random_genotype(program: Program, generator: random.Random) -> Genotype:
    """An answer drawn uniformly: edges of a node, then options, each on its own."""

    def shuffled(cell: CellSpace, numbers: list[int]) -> list[int]:
        return sorted(generator.sample(numbers, len(numbers))[: cell.keep])

    return _answer(
        program, lambda key, row: generator.choice(usable(program, key)), shuffled
    )


def _answer(
    program: Program, choose: Callable[[str, int], int],
    rank: Callable[[CellSpace, list[int]], list[int]],
) -> Genotype:  # fmt: skip
    cells = []
    for cell in program.cells:
        ranked = edges_by_node(cell)
        loose = {number for numbers in ranked.values() for number in numbers}
        kept: list[int] = []
        for node in dict.fromkeys(edge.end for edge in cell.edges):
            mine = [n for n, edge in enumerate(cell.edges) if edge.end == node]
            # Edges that `keep` does not rank always stay.
            kept += [n for n in mine if n not in loose]
            numbers = ranked.get(node, [])
            kept += numbers if cell.keep is None else rank(cell, numbers)[: cell.keep]
        chosen = tuple(
            ChosenEdge(n, tuple((k, choose(k, r)) for k, r in cell.edges[n].rows.items())) for n in kept
        )
        cells.append((cell.definition, chosen))
    inside = decisions_in_cells(program)
    others = tuple(
        ((key, row), choose(key, row))
        for key, choice in program.choices.items()
        for row in range(len(choice.rows))
        if (key, row) not in inside
    )
    return Genotype(tuple(cells), others)


def schemes(program: Program, genotype: Genotype) -> dict[str, str]:
    """Which slots are connected, by choice set: a bit per block, the first block first."""
    found: dict[str, str] = {}
    for (key, _), option in genotype.others:
        if program.choices[key].plug:
            found[key] = found.get(key, "") + str(option)
    return found


def describe_genotype(program: Program, genotype: Genotype) -> dict[str, list[str]]:
    """Every cell's kept edges as text, `s0 -> n1 : sep_conv(3), se`, and other decisions by name."""
    spaces = {cell.definition: cell for cell in program.cells}
    found: dict[str, list[str]] = {}
    for name, edges in genotype.cells:
        for chosen in edges:
            edge = spaces[name].edges[chosen.edge]
            texts = [program.choices[key].options[o].text for key, o in chosen.options]
            found.setdefault(name, []).append(f"{edge.start} -> {edge.end} : {', '.join(texts)}")
    found |= {key: [bits] for key, bits in schemes(program, genotype).items()}
    for (key, row), option in genotype.others:
        if program.choices[key].plug:
            continue
        found.setdefault(key, []).append(f"[{row}] {program.choices[key].options[option].text}")
    return found
