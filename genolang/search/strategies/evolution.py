"""`method evolution`: children of one parent with one decision changed; the oldest scheme dies, however good."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from genolang.search.evaluator import Measured
from genolang.search.schemes import Scheme, SchemeSpace
from genolang.semantics.methods import EvolutionSettings
from genolang.train.batches import generator_for


class EvolutionSampler:
    """A queue of schemes with their rewards, the youngest last; a step is one child."""

    def __init__(self, settings: EvolutionSettings, space: SchemeSpace, seed: int, connect: float) -> None:
        self.settings, self.space, self.seed, self.connect = settings, space, seed, connect
        self.steps = settings.evaluations
        self.population: list[tuple[float, Scheme]] = []

    def propose(self, step: int) -> list[Scheme]:
        settings = self.settings
        generator = generator_for(self.seed, "evolution", step)
        if step < settings.population:
            return [self.space.draw(self.connect, generator)]
        drawn = torch.randperm(len(self.population), generator=generator)[: settings.sample].tolist()
        _, parent = max((self.population[number] for number in drawn), key=lambda one: one[0])
        return [self._child(parent, generator)]

    def _child(self, parent: Scheme, generator: torch.Generator) -> Scheme:
        """The parent with one decision changed, and what else it takes to be legal."""
        for at in torch.randperm(len(parent), generator=generator).tolist():
            others = [option for option in self.space.rows[at].options if option != parent[at]]
            if others:
                changed = others[int(torch.randint(len(others), (1,), generator=generator))]
                child = self.space.legal((*parent[:at], changed, *parent[at + 1 :]), generator)
                if child != parent:
                    return child
        return parent

    def learn(self, step: int, schemes: list[Scheme], found: list[Measured]) -> dict[str, Any]:
        """`p_bar` is the mean share of the population that decides as its best scheme does."""
        born = [(measured.reward, scheme) for measured, scheme in zip(found, schemes, strict=True)]
        self.population = (self.population + born)[-self.settings.population :]
        leader = max(self.population, key=lambda one: one[0])[1]
        agreed = [a == b for _, scheme in self.population for a, b in zip(scheme, leader, strict=True)]
        return {"p_bar": sum(agreed) / len(agreed)}

    def answer(self) -> Scheme | None:
        return None

    def entropy(self) -> float | None:
        return None

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        return {}, {"population": [[reward, list(scheme)] for reward, scheme in self.population]}

    def restore(self, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
        self.population = [(reward, tuple(scheme)) for reward, scheme in facts["population"]]
