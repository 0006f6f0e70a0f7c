"""Schemes: one alternative for every decision of a supernet, so one of its sub-networks.

Slots of plug-ins are rows of two, off and on. In cells that keep some edges of a node, the
alternative of zeros stands for an edge that is not kept, and every scheme here keeps just as many
as the answer will; without such an alternative the supernet runs all edges of the node.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Generator

from genolang.search.space import Genotype, derive
from genolang.semantics.program import Program
from genolang.semantics.space import edges_by_node, selected_macs, usable

Scheme = tuple[int, ...]
"""The alternative of every row, in the order of `SchemeSpace.rows`."""


@dataclass(frozen=True, slots=True)
class Row:
    """One decision: its place, the alternatives it may take, whether it is the slot of a plug-in."""

    key: str
    row: int
    options: tuple[int, ...]
    plug: bool


@dataclass(frozen=True, slots=True)
class Kept:
    """The edges into a node: which rows decide on them, how many stay, the alternative of zeros."""

    rows: tuple[int, ...]
    keep: int
    zero: int


class SchemeSpace:
    """All schemes of a program with choices."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.kept = tuple(_kept(program))
        dropped = {row: kept.zero for kept in self.kept for row in kept.rows}
        self.rows = tuple(
            Row(key, row, tuple(sorted({*usable(program, key), *_also(dropped, number)})), program.choices[key].plug)
            for number, (key, row) in enumerate(program.decisions)
        )
        self.plugs = tuple(number for number, row in enumerate(self.rows) if row.plug)

    @cached_property
    def _costs(self) -> tuple[tuple[int, ...], ...]:
        """The network's MACs with every alternative of a row, all other rows at their first."""
        base = tuple(usable(self.program, row.key)[0] for row in self.rows)
        return tuple(
            tuple(self.macs((*base[:number], option, *base[number + 1 :])) for option in row.options)
            for number, row in enumerate(self.rows)
        )

    @cached_property
    def full(self) -> Scheme:
        """Every slot connected; elsewhere the most expensive alternative, the first of equals."""
        return self._each(lambda row, costs: 1 if row.plug else row.options[costs.index(max(costs))])

    @cached_property
    def plain(self) -> Scheme:
        """No slot connected; elsewhere the cheapest alternative that can be an answer."""

        def cheapest(row: Row, costs: tuple[int, ...]) -> int:
            ways = set(usable(self.program, row.key))
            return min((cost, option) for cost, option in zip(costs, row.options, strict=True) if option in ways)[1]

        return self._each(lambda row, costs: 0 if row.plug else cheapest(row, costs))

    def _each(self, choose: Callable[[Row, tuple[int, ...]], int]) -> Scheme:
        nothing: tuple[tuple[int, ...], ...] = ((),) * len(self.rows)
        costs = nothing if len(self.plugs) == len(self.rows) else self._costs
        chosen = tuple(choose(row, cost) for row, cost in zip(self.rows, costs, strict=True))
        return self.legal(chosen, torch.Generator().manual_seed(0))

    def draw(self, connect: float = 0.5, generator: Generator | None = None) -> Scheme:
        """A random scheme: slots connected with a probability, other decisions drawn evenly."""
        numbers = torch.rand(len(self.rows), generator=generator).tolist()
        drawn = tuple(
            int(number < connect) if row.plug else row.options[int(number * len(row.options))]
            for row, number in zip(self.rows, numbers, strict=True)
        )
        return self.legal(drawn, generator)

    def draw_with(self, connections: int, generator: Generator) -> Scheme:
        """A random scheme with so many slots connected, every one as likely; the rest drawn evenly."""
        found = list(self.draw(generator=generator))
        order = torch.randperm(len(self.plugs), generator=generator).tolist()
        for place, number in enumerate(order):
            found[self.plugs[number]] = int(place < connections)
        return tuple(found)

    def legal(self, scheme: Scheme, generator: Generator | None = None) -> Scheme:
        """The scheme with as many edges into each node as are kept: surplus ones are dropped at
        random, missing ones drawn."""
        found = list(scheme)
        for kept in self.kept:
            order = [kept.rows[i] for i in torch.randperm(len(kept.rows), generator=generator).tolist()]
            there = [row for row in order if found[row] != kept.zero]
            for row in there[kept.keep :]:
                found[row] = kept.zero
            absent = [row for row in order if found[row] == kept.zero]
            for row in absent[: max(0, kept.keep - len(there))]:
                ways = [option for option in self.rows[row].options if option != kept.zero]
                found[row] = ways[int(torch.randint(len(ways), (1,), generator=generator))]
        return tuple(found)

    def selection(self, scheme: Scheme) -> dict[str, list[int]]:
        """The scheme as `NetworkModule.select` takes it."""
        found: dict[str, list[int]] = {key: [] for key in self.program.choices}
        for row, option in zip(self.rows, scheme, strict=True):
            found[row.key].append(option)
        return found

    def logits(self, scheme: Scheme) -> dict[str, list[list[float]]]:
        """Logits of which the scheme is the strongest answer."""
        return {
            key: [
                [float(option == chosen) for option in range(len(self.program.choices[key].options))] for chosen in rows
            ]
            for key, rows in self.selection(scheme).items()
        }

    def genotype(self, scheme: Scheme) -> Genotype:
        """The answer that the scheme is."""
        return derive(self.program, self.logits(scheme))

    def macs(self, scheme: Scheme) -> int:
        """Multiply-accumulates of one image in evaluation."""
        return selected_macs(self.program, self.selection(scheme))

    def connections(self, scheme: Scheme) -> int:
        """How many slots are connected."""
        return sum(scheme[number] for number in self.plugs)

    def sparsity(self, scheme: Scheme) -> float:
        """The share of slots that are not connected. In a space without slots it is the share of
        MACs saved: 0 for those of `full`, 1 for those of `plain`, linear between and cut off beyond.

        Source: Efficient Attention Network, equation 6; spaces without slots are our extension.
        """
        if self.plugs:
            return 1 - self.connections(scheme) / len(self.plugs)
        most, least = self._range
        return min(1.0, max(0.0, (most - self.macs(scheme)) / (most - least))) if most > least else 0.0

    @cached_property
    def _range(self) -> tuple[int, int]:
        return self.macs(self.full), self.macs(self.plain)

    @cached_property
    def _wide(self) -> bool:
        return any(len(choice.options) > 10 for choice in self.program.choices.values())

    def text(self, scheme: Scheme) -> str:
        """`0110|1001`: a number per row, a bar between choice sets; past ten, commas between rows."""
        between = "," if self._wide else ""
        return "|".join(between.join(map(str, rows)) for rows in self.selection(scheme).values())

    def parse(self, text: str) -> Scheme:
        """What `text` wrote."""
        parts = [part.split(",") if self._wide else list(part) for part in text.split("|")]
        found = tuple(int(option) for part in parts for option in part)
        assert len(found) == len(self.rows), f"{text} is a scheme of another space"
        return found


def _also(dropped: Mapping[int, int], number: int) -> tuple[int, ...]:
    return (dropped[number],) if number in dropped else ()


def _kept(program: Program) -> list[Kept]:
    """The nodes that keep fewer edges than they have and whose choice can leave one out."""
    numbers = {decision: number for number, decision in enumerate(program.decisions)}
    found = []
    for cell in program.cells:
        key = cell.rank_by
        if key is None or cell.keep is None:
            continue
        zero = next((i for i, option in enumerate(program.choices[key].options) if option.zero), None)
        for edges in edges_by_node(cell).values():
            # Zeros at the first of several decisions leave the whole edge out.
            rows = tuple(numbers[cell.edges[edge].of(key)[0]] for edge in edges)
            if zero is not None and cell.keep < len(rows):
                found.append(Kept(rows, cell.keep, zero))
    return found
