"""Search spaces and their answers: which decisions there are, how many answers, and choosing one."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from genolang.lang.printer import print_expression
from genolang.semantics.program import CellSpace, Decision, Program
from genolang.semantics.space import decisions_in_cells, edges_by_node, outer, part_of, usable, where

# A row of logits per decision, by choice set.
Logits = Mapping[str, Sequence[Sequence[float]]]


@dataclass(frozen=True, slots=True)
class ChosenEdge:
    """An edge that stays: its number in the cell's space and the option of each decision on it."""

    edge: int
    options: tuple[tuple[Decision, int], ...]


@dataclass(frozen=True, slots=True)
class Genotype:
    """One answer: the edges of every searched cell, and the option of every decision elsewhere.

    A node's edges stand strongest first, as DARTS lists them. Decisions inside alternatives that the
    answer does not take are no part of it.
    """

    cells: tuple[tuple[str, tuple[ChosenEdge, ...]], ...]
    others: tuple[tuple[Decision, int], ...]

    def to_json(self) -> dict[str, Any]:
        return {
            "cells": {
                name: [{"edge": e.edge, "options": _to_json(e.options)} for e in edges] for name, edges in self.cells
            },
            "others": _to_json(self.others),
        }

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> Genotype:
        cells = tuple(
            (name, tuple(ChosenEdge(e["edge"], _from_json(e["options"])) for e in edges))
            for name, edges in data["cells"].items()
        )
        return Genotype(cells, _from_json(data["others"]))

    @property
    def options(self) -> dict[Decision, int]:
        """The option of every decision that is part of the answer."""
        edges = (option for _, chosen in self.cells for edge in chosen for option in edge.options)
        return {**dict(edges), **dict(self.others)}


def _to_json(options: Sequence[tuple[Decision, int]]) -> list[list[str | int]]:
    return [[key, row, option] for (key, row), option in options]


def _from_json(data: Sequence[Any]) -> tuple[tuple[Decision, int], ...]:
    return tuple((Decision(key, row), option) for key, row, option in data)


def softmax(row: Sequence[float]) -> list[float]:
    top = max(row)
    powers = [math.exp(v - top) for v in row]
    total = sum(powers)
    return [p / total for p in powers]


def derive(program: Program, logits: Logits) -> Genotype:
    """The strongest answer, as published: softmax over all options, the maximum over all but zeros.

    A node keeps the edges whose best option weighs most by the choice that `keep` names, the product
    of both where it stands twice on an edge; ties keep the earlier edge and the earlier option.
    Source: DARTS, section 2.4 and its public code.
    """
    best: dict[Decision, int] = {}
    weights: dict[Decision, float] = {}
    for decision in program.decisions:
        row = softmax(logits[decision.key][decision.row])
        best[decision] = max(usable(program, decision.key), key=lambda option: (row[option], -option))
        weights[decision] = row[best[decision]]
    around = outer(program)

    def strength(cell: CellSpace, number: int) -> float:
        ranked = part_of(cell.edges[number].of(cell.rank_by), best, around)
        return math.prod(weights[decision] for decision in ranked)

    return _answer(program, best, lambda cell, numbers: sorted(numbers, key=lambda n: -strength(cell, n)))


def random_genotype(program: Program, generator: random.Random) -> Genotype:
    """An answer drawn uniformly: edges of a node, then options, each on its own."""

    def shuffled(cell: CellSpace, numbers: list[int]) -> list[int]:
        return sorted(generator.sample(numbers, len(numbers))[: cell.keep])

    return _answer(program, _Drawn(program, generator), shuffled)


class _Drawn(dict[Decision, int]):
    """An option for every decision, drawn when it is first asked for."""

    def __init__(self, program: Program, generator: random.Random) -> None:
        self.program, self.generator = program, generator

    def __missing__(self, decision: Decision) -> int:
        self[decision] = self.generator.choice(usable(self.program, decision.key))
        return self[decision]


def _answer(
    program: Program, options: Mapping[Decision, int], rank: Callable[[CellSpace, list[int]], list[int]]
) -> Genotype:
    cells = []
    around = outer(program)

    def chosen(decisions: Iterable[Decision]) -> tuple[tuple[Decision, int], ...]:
        return tuple((d, options[d]) for d in part_of(decisions, options, around))

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
        cells.append((cell.definition, tuple(ChosenEdge(n, chosen(cell.edges[n].decisions)) for n in kept)))
    inside = decisions_in_cells(program)
    return Genotype(tuple(cells), chosen(d for d in program.decisions if d not in inside))


def schemes(program: Program, genotype: Genotype) -> dict[str, str]:
    """Which slots are connected, by choice set: a bit per block, the first block first."""
    found: dict[str, str] = {}
    for (key, _), option in genotype.others:
        if program.choices[key].plug:
            found[key] = found.get(key, "") + str(option)
    return found


def describe_genotype(program: Program, genotype: Genotype) -> dict[str, list[str]]:
    """Every cell's kept edges as text, `s0 -> n1 : sep_conv(3), se`, the bits of slots, and other
    decisions by their lines, `line 7 : se`."""
    spaces = {cell.definition: cell for cell in program.cells}
    found: dict[str, list[str]] = {}
    for name, edges in genotype.cells:
        for chosen in edges:
            edge = spaces[name].edges[chosen.edge]
            texts = [_text(program, decision, option) for decision, option in chosen.options]
            found.setdefault(name, []).append(f"{edge.start} -> {edge.end} : {', '.join(texts)}")
    found |= {key: [bits] for key, bits in schemes(program, genotype).items()}
    for decision, option in genotype.others:
        if not program.choices[decision.key].plug:
            words = where(program, decision), _text(program, decision, option)
            found.setdefault(decision.key, []).append(" : ".join(filter(None, words)))
    return found


def _text(program: Program, decision: Decision, option: int) -> str:
    """An alternative as the answer reads it, but for arguments that the place hands on."""
    return print_expression(program.place(decision).options[option])
