"""Masking as autograd sees it: saves two maps, computes the rest again."""

from __future__ import annotations

from collections.abc import Sequence
from types import ModuleType
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from genolang.kernels.masking.gate import CHANNEL, SPATIAL, Gate

Implementation = ModuleType | None  # launch or cpu; None: shapes only


class Masked(torch.autograd.Function):
    """Keeps the map and one more, of the logits' size."""

    @staticmethod
    def forward(ctx: Any, by: Implementation, gate: Gate, t: Tensor, m: Tensor) -> Tensor:
        out, saved = _masked_shapes(t, m, gate) if by is None else by.masked_forward(t, m, gate)
        ctx.save_for_backward(t, *saved)
        ctx.by, ctx.gate, ctx.dtype = by, gate, m.dtype
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, g: Tensor) -> Any:
        t, *saved = ctx.saved_tensors
        if ctx.by is None:
            return None, None, torch.empty_like(t), torch.empty_like(saved[0])
        return None, None, *ctx.by.masked_backward(g, t, tuple(saved), ctx.gate, ctx.needs_input_grad[2:])


class Recalibrated(torch.autograd.Function):
    """Keeps the features, the mask's logits or the mask, and the result where it went through a ReLU."""

    @staticmethod
    def forward(ctx: Any, by: Implementation, relu: bool, x: Tensor, f: Tensor, m: Tensor) -> Tensor:
        y, kept = (torch.empty_like(x), m) if by is None else by.recalibrated_forward(x, f, m, relu)
        ctx.save_for_backward(f, kept, *([y] if relu else []))
        ctx.by = by
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, g: Tensor) -> Any:
        f, kept, *y = ctx.saved_tensors
        if ctx.by is None:
            return None, None, g, torch.empty_like(f), torch.empty_like(kept)
        needs = ctx.needs_input_grad[2:]
        return None, None, *ctx.by.recalibrated_backward(g, f, kept, y[0] if y else None, needs)


def _masked_shapes(t: Tensor, m: Tensor, gate: Gate) -> tuple[Tensor, Sequence[Tensor]]:
    if gate.kind == SPATIAL:
        rows = m.new_empty(m.shape[:2])
        return torch.empty_like(t), (m, rows, rows.clone())
    return torch.empty_like(t), (m, m[:, :1].clone()) if gate.kind == CHANNEL else (m,)
