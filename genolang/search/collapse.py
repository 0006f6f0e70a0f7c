"""Remedies for a differentiable search that falls into operations without weights.

Stopping on the count of skips is DARTS+ (Liang et al., 2019), its first criterion; stopping as the dominant
eigenvalue of the validation loss's Hessian by the logits grows is R-DARTS (Zela et al., 2020), section 4;
dropout on skips is P-DARTS (Chen et al., 2019), section 3.3, and its public code.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from genolang.search.choice_gradients import Loss, exact_products, first_order, statistics_kept
from genolang.search.health import skips
from genolang.search.progress import Progress, Rows
from genolang.search.space import derive
from genolang.search.strategy import Derives
from genolang.semantics.branches import Branch, branches
from genolang.semantics.program import Decision, Program
from genolang.semantics.settings import Collapse, SearchSettings

if TYPE_CHECKING:
    from genolang.compiler.driver import Choices, NetworkModule

ITERATIONS = 10
"""Steps of power iteration, two gradients each."""
REACH = 1e-2
"""How far the logits are moved for a finite difference, along a direction of length 1."""
DECAY = 0.2
"""By how much, in the exponent, dropout on skips falls each epoch. Source: P-DARTS's public code."""


class Watch:
    """Does, epoch by epoch, what the settings say against a collapse."""

    def __init__(
        self, settings: SearchSettings, program: Program, choices: Choices, derives: Derives | None = None
    ) -> None:
        self._settings, self._collapse, self._program = settings, settings.collapse, program
        self._choices, self._branches = choices, branches(program)
        self._derives = derives or partial(derive, program)
        if self._collapse.dropout:
            choices.drop(skip_mask(program, self._branches))

    def begin_epoch(self, epoch: int) -> None:
        settings, collapse = self._settings, self._collapse
        if collapse.dropout:
            self._choices.dropped.fill_(dropout_at(collapse, epoch, settings.choices_start, settings.epochs))

    def end_epoch(self, progress: Progress, logits: Rows, eigenvalue: Callable[[], float]) -> None:
        """Ends the search where its choices have collapsed, or are about to; they have moved by now."""
        collapse = self._collapse
        if collapse.skips:
            counts = skips(self._program, self._derives(logits), self._branches)
            for cell, count in counts.items():
                if count >= collapse.skips:
                    progress.stopped = (
                        f"{count} edges of `{cell}` have come to a skip, and {collapse.skips} are too many"
                    )
        if collapse.eigenvalue:
            progress.eigenvalues.append(eigenvalue())
            progress.kept = [*progress.kept, logits][-collapse.window - 1 :]
            if grown(collapse, progress.eigenvalues):
                progress.stopped = (
                    f"the dominant eigenvalue has grown to {progress.eigenvalues[-1]:.3g}, and the answer"
                    f" is that of {collapse.window} epochs before"
                )

    def take(self, progress: Progress) -> bool:
        """Goes back to the logits from before the eigenvalue grew; whether there was a reason to."""
        earlier = progress.kept[0] if progress.stopped is not None and progress.kept else {}
        for key, rows in earlier.items():
            self._choices[key] = torch.tensor(rows)
        return bool(earlier)


def skip_mask(program: Program, known: Mapping[Decision, Sequence[Branch]]) -> dict[str, Tensor]:
    """Which alternatives of every row hand on their input as it is: (rows, alternatives), by choice set.

    Slots have none: what is off in a residual branch is no path of its own.
    """
    return {
        key: torch.tensor([[branch.skip for branch in known[Decision(key, row)]] for row in range(len(choice.rows))])
        for key, choice in program.choices.items()
        if not choice.plug
    }


def dropout_at(collapse: Collapse, epoch: int, start: int, epochs: int) -> float:
    """The probability with which a skip is dropped in an epoch.

    While the choices stand still it falls in line with the epochs, and then by a factor for each.
    """
    if epoch < start:
        return collapse.dropout * (epochs - epoch - 1) / epochs
    return collapse.dropout * math.exp(-DECAY * (epoch - start))


def grown(collapse: Collapse, values: Sequence[float]) -> bool:
    """Whether the eigenvalue, averaged over `window` epochs, has grown too much over as many."""
    window = collapse.window
    if len(values) <= window:
        return False

    def averaged(end: int) -> float:
        part = values[max(0, end - window) : end]
        return sum(part) / len(part)

    return averaged(len(values) - window) < collapse.eigenvalue * averaged(len(values))


def curvature(
    loss: Loss, module: NetworkModule, weights: Sequence[Tensor], logits: Sequence[Tensor], generator: torch.Generator
) -> float:
    """The dominant eigenvalue of a loss in training; running statistics end as they began."""
    module.train()
    with statistics_kept(module), exact_products(logits[0].device):
        return dominant_eigenvalue(lambda: first_order(loss, weights, logits)[1], logits, generator)


def dominant_eigenvalue(
    gradient: Callable[[], Sequence[Tensor]], logits: Sequence[Tensor], generator: torch.Generator
) -> float:
    """The size of the largest eigenvalue of the Hessian by the logits, by power iteration.

    Products with the Hessian are differences of two gradients; the logits end as they began.
    """
    kept = [tensor.detach().clone() for tensor in logits]
    along = [torch.randn(t.shape, generator=generator).to(t) for t in logits]
    value = 0.0
    try:
        for _ in range(ITERATIONS):
            length = _norm(along)
            if not 0 < length < math.inf:
                return 0.0
            along = [v / length for v in along]
            ends = []
            for sign in (REACH, -REACH):
                _move(logits, kept, along, sign)
                ends.append([g.detach().clone() for g in gradient()])
            along = [(above - below) / (2 * REACH) for above, below in zip(*ends, strict=True)]
            value = _norm(along)
    finally:
        _move(logits, kept, kept, 0.0)
    return value


@torch.no_grad()
def _move(logits: Sequence[Tensor], kept: Sequence[Tensor], along: Sequence[Tensor], by: float) -> None:
    for tensor, start, direction in zip(logits, kept, along, strict=True):
        tensor.copy_(start + by * direction if by else start)


def _norm(parts: Sequence[Tensor]) -> float:
    return math.sqrt(sum(float(part.double().square().sum()) for part in parts))
