"""Stand-ins on the meta device that save for backward what the real layers save.

A plan runs a supernet's forward on tensors without data. For these three layers torch would take the
real operation apart in Python, at a hundred times the cost; the tests hold plans against real runs.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


class _Planned(torch.autograd.Function):
    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        raise AssertionError("a plan has no backward")


def planned(layer: type[_Planned], *operands: Tensor | None) -> Tensor:
    """The result of a stand-in, a tensor of the right shape on the meta device."""
    result: Tensor = layer.apply(*operands)  # type: ignore[no-untyped-call]
    return result


class PlannedBatchNorm(_Planned):
    """Saves the input, the scale, and the batch's mean and inverse deviation."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor | None) -> Tensor:
        mean = x.new_empty(x.shape[1])
        ctx.save_for_backward(x, weight, mean, x.new_empty(x.shape[1]))
        return x.new_empty(x.shape)


class PlannedRelu(_Planned):
    """Saves the result."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        result = x.new_empty(x.shape)
        ctx.save_for_backward(result)
        return result


class PlannedMix(_Planned):
    """Saves every candidate and its weight."""

    @staticmethod
    def forward(ctx: Any, *operands: Tensor) -> Tensor:
        ctx.save_for_backward(*operands)
        return operands[-1].new_empty(operands[-1].shape)
