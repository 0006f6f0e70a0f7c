"""`method genetic`: tournament selection, uniform crossover, mutation; the best scheme survives."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Generator, Tensor

from genolang.search.evaluator import Measured
from genolang.search.schemes import Scheme, SchemeSpace
from genolang.semantics.methods import GeneticSettings
from genolang.train.batches import generator_for


class GeneticSampler:
    """A population and its rewards; a step is a generation, the last one cut to the budget."""

    def __init__(self, settings: GeneticSettings, space: SchemeSpace, seed: int, connect: float) -> None:
        self.settings, self.space, self.seed, self.connect = settings, space, seed, connect
        self.steps = -(-settings.evaluations // settings.population)
        self.population: list[tuple[float, Scheme]] = []

    def propose(self, step: int) -> list[Scheme]:
        settings = self.settings
        generator = generator_for(self.seed, "genetic", step)
        count = min(settings.population, settings.evaluations - step * settings.population)
        if not self.population:
            return [self.space.draw(self.connect, generator) for _ in range(count)]
        return [self._child(generator) for _ in range(count)]

    def _child(self, generator: Generator) -> Scheme:
        settings, space = self.settings, self.space
        first, second = self._parent(generator), self._parent(generator)
        chances = torch.rand(1 + 2 * len(first), generator=generator).tolist()
        crossed = chances[0] < settings.crossover
        fresh = space.draw(self.connect, generator)
        child = []
        for at, (one, other) in enumerate(zip(first, second, strict=True)):
            taken = other if crossed and chances[1 + 2 * at] < 0.5 else one
            child.append(fresh[at] if chances[2 + 2 * at] < settings.mutation else taken)
        return space.legal(tuple(child), generator)

    def _parent(self, generator: Generator) -> Scheme:
        """The best of some that are drawn evenly; of equals the first drawn."""
        size = (self.settings.tournament,)
        drawn = torch.randint(len(self.population), size, generator=generator).tolist()
        best: tuple[float, Scheme] = max((self.population[n] for n in drawn), key=lambda one: one[0])
        return best[1]

    def learn(self, step: int, schemes: list[Scheme], found: list[Measured]) -> dict[str, Any]:
        """The new generation, its worst replaced by the best scheme so far.

        `p_bar` is the mean share of the population that decides as its best scheme does.
        """
        new = [(measured.reward, scheme) for measured, scheme in zip(found, schemes, strict=True)]
        if self.population:
            best = max(self.population, key=lambda one: one[0])
            worst = min(range(len(new)), key=lambda number: new[number][0])
            if best[0] > new[worst][0]:
                new[worst] = best
        self.population = new
        leader = max(new, key=lambda one: one[0])[1]
        agreed = [option == chosen for _, scheme in new for option, chosen in zip(scheme, leader, strict=True)]
        return {"p_bar": sum(agreed) / len(agreed)}

    def answer(self) -> Scheme | None:
        return None

    def entropy(self) -> float | None:
        return None

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        return {}, {"population": [[reward, list(scheme)] for reward, scheme in self.population]}

    def restore(self, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
        self.population = [(reward, tuple(scheme)) for reward, scheme in facts["population"]]
