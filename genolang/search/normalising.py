"""Batch-norm statistics of one sub-network, in place of those of everything that was trained.

A supernet's running statistics are averages over the schemes that it was trained under, which no scheme has
itself. Source: Bender et al., 2018, and Guo et al. (Single Path One-Shot), 2020, which both measure after the
statistics are computed anew.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from genolang.search.halves import Halves
from genolang.semantics.settings import SearchSettings
from genolang.train.evaluate import evaluate

if TYPE_CHECKING:
    from genolang.compiler.driver import NetworkModule

SMALL = 2.0**-24
"""A momentum of which each call leaves as much as every other: running values are then sums, times this."""
COUNTING = 0.125
"""Calls are counted by what is left of `MARK` when each takes an eighth."""
MARK = 2.0**100


class FreshStatistics:
    """Statistics that are made for what a module has selected, from `batches` training batches.

    A batch norm gets the average over its calls, one or more a batch, of the batch's mean and unbiased
    variance, as torch does without a momentum. The batches are those of the weights' half, drawn and
    augmented as in training, the same for every selection under one seed. Dropout is off, as it is
    where things are measured.
    """

    def __init__(self, module: NetworkModule, halves: Halves, seed: int, batches: int) -> None:
        assert batches > 0, "statistics come from images"
        self._module, self._batches = module, halves.batches(halves.weights, seed, "statistics")
        self._count = batches
        self._norms = [m for m in module.modules() if isinstance(m, nn.BatchNorm2d)]

    @staticmethod
    def asked(settings: SearchSettings, module: NetworkModule, halves: Halves, seed: int) -> FreshStatistics | None:
        """What the settings ask for; None for running statistics."""
        return FreshStatistics(module, halves, seed, settings.statistics) if settings.statistics else None

    @contextmanager
    def of_selection(self) -> Iterator[None]:
        """While it lasts the module has the selection's statistics, afterwards those that it had."""
        norms, module = self._norms, self._module
        momenta = [norm.momentum for norm in norms]
        kept = [tuple(tensor.clone() for tensor in _running(norm)) for norm in norms]
        modes = [m.training for m in module.modules()]
        try:
            module.eval()
            for norm in norms:
                norm.training = True
            with torch.no_grad():
                self._estimate(kept)
            module.eval()
            yield
        finally:
            for norm, momentum, tensors in zip(norms, momenta, kept, strict=True):
                norm.momentum = momentum
                for running, tensor in zip(_running(norm), tensors, strict=True):
                    running.copy_(tensor)
            for part, mode in zip(module.modules(), modes, strict=True):
                part.training = mode

    def _estimate(self, before: list[tuple[Tensor, ...]]) -> None:
        calls = self._calls()
        self._begin(SMALL, 0.0)
        for number in range(self._count):
            self._module(self._batch(number))
        for norm, old, count in zip(self._norms, before, calls, strict=True):
            for running, tensor in zip(_running(norm), old, strict=True):
                # A norm that the selection leaves out keeps what it has.
                running.copy_(running / (SMALL * count * self._count) if count else tensor)

    def _calls(self) -> list[int]:
        """How often a pass calls each norm: those of modules that slots share, more than once."""
        self._begin(COUNTING, MARK)
        self._module(self._batch(0)[:2])
        left = [math.log2(float(_running(norm)[0][0]) / MARK) for norm in self._norms]
        return [round(share / math.log2(1 - COUNTING)) for share in left]

    def _begin(self, momentum: float, value: float) -> None:
        for norm in self._norms:
            norm.momentum = momentum
            for running in _running(norm):
                running.fill_(value)

    def _batch(self, number: int) -> Tensor:
        return self._batches.batch(*divmod(number, len(self._batches)))[0]


def fresh_accuracy(settings: SearchSettings, module: NetworkModule, halves: Halves, seed: int) -> float | None:
    """The accuracy of what the module has selected, by fresh statistics where the settings ask for them."""
    fresh = FreshStatistics.asked(settings, module, halves, seed)
    if fresh is None:
        return None
    with fresh.of_selection():
        return evaluate(module, halves.measured()).accuracy


def _running(norm: nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    assert norm.running_mean is not None
    assert norm.running_var is not None
    return norm.running_mean, norm.running_var
