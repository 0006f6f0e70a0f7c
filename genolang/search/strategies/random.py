"""`method random`: schemes drawn as in pre-training, whatever was measured."""

from __future__ import annotations

from genolang.search.sampled import Memoryless
from genolang.search.schemes import Scheme, SchemeSpace
from genolang.semantics.methods import RandomSettings
from genolang.train.batches import generator_for


class RandomSampler(Memoryless):
    """One scheme per step."""

    def __init__(self, settings: RandomSettings, space: SchemeSpace, seed: int, connect: float) -> None:
        self.space, self.seed, self.connect = space, seed, connect
        self.steps = settings.evaluations

    def propose(self, step: int) -> list[Scheme]:
        return [self.space.draw(self.connect, generator_for(self.seed, "random", step))]
