"""How good a scheme is in the supernet: measured once, however often it is asked for."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING

from genolang.search.halves import Halves
from genolang.search.normalising import FreshStatistics
from genolang.search.schemes import Scheme, SchemeSpace
from genolang.train.evaluate import evaluate

if TYPE_CHECKING:
    from genolang.compiler.driver import NetworkModule


@dataclass(frozen=True, slots=True)
class Measured:
    """A scheme's validation accuracy and sparsity, 0 to 1, and their weighted sum."""

    accuracy: float
    sparsity: float
    reward: float


class Evaluator:
    """Accuracies of sub-networks on the choices' half, in evaluation mode.

    Batch norms take their running statistics, or those of the scheme where `statistics` makes them.
    `asked` counts every question of a search, the known ones too: that is its budget.
    """

    def __init__(
        self,
        module: NetworkModule,
        space: SchemeSpace,
        halves: Halves,
        accuracy: float,
        sparsity: float,
        statistics: FreshStatistics | None = None,
    ) -> None:
        self.module, self.space, self.halves = module, space, halves
        self.weights, self.statistics = (accuracy, sparsity), statistics
        self.known: dict[Scheme, float] = {}
        self.asked = 0

    def __call__(self, scheme: Scheme) -> Measured:
        """The scheme's measures, as one question of the budget."""
        self.asked += 1
        return self.measure(scheme)

    def measure(self, scheme: Scheme) -> Measured:
        """The scheme's measures; a scheme that was measured before costs nothing."""
        if scheme not in self.known:
            self.module.select(self.space.selection(scheme))
            with self.statistics.of_selection() if self.statistics else nullcontext():
                self.known[scheme] = evaluate(self.module, self.halves.measured()).accuracy
        accuracy, sparsity = self.known[scheme], self.space.sparsity(scheme)
        return Measured(accuracy, sparsity, self.weights[0] * accuracy + self.weights[1] * sparsity)

    def state(self) -> dict[str, object]:
        """What is known, as JSON."""
        return {"asked": self.asked, "known": {self.space.text(scheme): value for scheme, value in self.known.items()}}

    def restore(self, asked: int, known: Mapping[str, float]) -> None:
        """Takes up what `state` gave."""
        self.asked = asked
        self.known = {self.space.parse(text): value for text, value in known.items()}
