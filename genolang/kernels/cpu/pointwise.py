"""1x1 convolutions as products of matrices (pixels, channels)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from genolang.kernels.cpu.maps import last, matrix, unmatrix


def pointwise(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """(B, C, H, W) by weights (O, C, 1, 1) to (B, O, H, W), which lies in channels_last order."""
    found: Tensor = _Pointwise.apply(x, weight, bias)  # type: ignore[no-untyped-call]
    return found


class _Pointwise(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        # As it came: a view, say of every second pixel, keeps nothing that is not kept anyway.
        ctx.save_for_backward(x, weight)
        pixels, by = matrix(last(x)), weight.flatten(1).t()
        return unmatrix(pixels.mm(by) if bias is None else torch.addmm(bias, pixels, by), x)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        needs_x, needs_weight, needs_bias = ctx.needs_input_grad
        g = matrix(last(gradient))
        to_x = unmatrix(g.mm(weight.flatten(1)), x) if needs_x else None
        to_weight = g.t().mm(matrix(last(x))).view_as(weight) if needs_weight else None
        return to_x, to_weight, g.sum(0) if needs_bias else None
