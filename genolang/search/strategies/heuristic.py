"""`method heuristic`: a connection every so many blocks, counted through the whole network."""

from __future__ import annotations

from genolang.search.sampled import Memoryless
from genolang.search.schemes import Scheme, SchemeSpace
from genolang.semantics.methods import HeuristicSettings
from genolang.train.batches import generator_for


class HeuristicSampler(Memoryless):
    """The one scheme that the settings name.

    In a space without slots a connection is the dearest alternative, and no connection the cheapest.
    Source: Efficient Attention Network, section 6.2, HSP.
    """

    def __init__(self, settings: HeuristicSettings, space: SchemeSpace, seed: int, connect: float) -> None:
        self.settings, self.space = settings, space
        self.steps = 1

    def propose(self, step: int) -> list[Scheme]:
        every, first = self.settings.every, self.settings.offset % self.settings.every
        both = zip(self.space.full, self.space.plain, strict=True)
        scheme = tuple(on if at % every == first else off for at, (on, off) in enumerate(both))
        return [self.space.legal(scheme, generator_for(0, "heuristic"))]
