"""One map normalised for several batch norms without scale and shift."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from genolang.kernels.cpu.moments import Statistics
from genolang.kernels.cpu.norms import by_statistics, follow, gradients, moments


def normalised(x: Tensor, kept: Sequence[Statistics]) -> Tensor:
    """(x - mean) / deviation by the batch's statistics, which every norm's running ones follow.

    All norms have one `eps`. Keeps its result for backward, and not the map.
    """
    found: Tensor = _Normalised.apply(x, tuple(kept), kept[0].eps)  # type: ignore[no-untyped-call]
    return found


class _Normalised(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, kept: tuple[Statistics, ...], eps: float) -> Tensor:
        mean, variance = moments(x)
        for statistics in kept:
            follow((statistics.mean, statistics.variance), mean, variance, statistics.momentum, x)
        y = by_statistics(x, None, None, mean, variance, eps)
        ctx.save_for_backward(y, torch.rsqrt(variance + eps))
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Any:
        y, rstd = ctx.saved_tensors
        # A batch norm of what is normalised already, with the old deviation as its scale.
        zero, one = torch.zeros_like(rstd), torch.ones_like(rstd)
        to_x, _, _ = gradients(gradient, y, rstd, zero, one, (True, False, False))
        return to_x, None, None
