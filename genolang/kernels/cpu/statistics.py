"""One map normalised for several batch norms without scale and shift."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from genolang.kernels.cpu.maps import last
from genolang.kernels.cpu.moments import Statistics


def normalised(x: Tensor, kept: Sequence[Statistics]) -> Tensor:
    """(x - mean) / deviation by the batch's statistics, which every norm's running ones follow.

    All norms have one `eps`. Keeps its result for backward, and not the map.
    """
    found: Tensor = _Normalised.apply(x, tuple(kept), kept[0].eps)  # type: ignore[no-untyped-call]
    return found


class _Normalised(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, kept: tuple[Statistics, ...], eps: float) -> Tensor:
        y, mean, rstd = torch.native_batch_norm(x, None, None, None, None, True, 0.0, eps)
        count = x.numel() // x.shape[1]
        variance = (rstd.pow(-2) - eps).clamp_(min=0).mul_(count / max(count - 1, 1))
        for statistics in kept:
            statistics.mean.lerp_(mean, statistics.momentum)
            statistics.variance.lerp_(variance, statistics.momentum)
        ctx.save_for_backward(y, rstd)
        ctx.eps = eps
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Any:
        y, rstd = ctx.saved_tensors
        # A batch norm of what is normalised already, with the old deviation as its scale.
        zero, one = torch.zeros_like(rstd), torch.ones_like(rstd)
        to_x, _, _ = torch.ops.aten.native_batch_norm_backward(
            last(gradient), y, rstd, None, None, zero, one, True, ctx.eps, [True, False, False]
        )
        return to_x, None, None
