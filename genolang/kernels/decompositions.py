"""The operators `genolang::*` in operations of ATen, for what takes a table of such: `run_decompositions` of
an exported program, `make_fx`, Inductor. Public functions export as plain operations without it; this is for
programs that hold the operators already."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

# Registers its operator; those of the others come with what is used of them below.
import genolang.kernels.mixed_sum.operator  # noqa: F401
from genolang.kernels.dispatch import CPU
from genolang.kernels.masking import reference as masking
from genolang.kernels.masking.cpu import by_group_norm
from genolang.kernels.masking.gate import CHANNEL, SPATIAL, Gate
from genolang.kernels.relative_attention import exported as attention
from genolang.kernels.relative_attention.axes import biases, heads_of
from genolang.kernels.relative_attention.sizes import sizes


def table() -> dict[Any, Callable[..., Any]]:
    """Functions without side effects by operator, of the forward direction."""
    ops = torch.ops.genolang
    return {
        ops.mixed_sum.default: _mixed_sum,
        ops.masked.default: _masked,
        ops.recalibrated.default: _recalibrated,
        ops.relative_attention.default: _relative_attention,
    }


def _mixed_sum(
    xs: list[Tensor],
    weights: Tensor,
    means: list[Tensor],
    variances: list[Tensor],
    normalised: list[bool],
    training: bool,
    momentum: float,
    eps: float,
    use: str,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    wide = torch.promote_types(xs[0].dtype, torch.float32)
    kept = iter(zip(means, variances, strict=True))
    total = torch.zeros_like(xs[0], dtype=wide)
    used, moved = [], []
    for x, weight, normed in zip(xs, weights.unbind(), normalised, strict=True):
        zero = x.new_zeros(x.shape[1], dtype=wide)
        mean, rstd = zero, zero + 1
        if normed:
            old_mean, old_variance = next(kept)
            if training:
                x, mean, rstd, old_mean, old_variance = torch.ops.aten._native_batch_norm_legit_functional(
                    x, None, None, old_mean, old_variance, True, momentum, eps
                )
            else:
                mean, rstd = old_mean.to(wide), torch.rsqrt(old_variance.to(wide) + eps)
                x = (x - mean[:, None, None]) * rstd[:, None, None]
            moved.append((old_mean, old_variance))
        total = total + weight * x
        used.append((mean, rstd))
    after = [m for m, _ in moved] + [v for _, v in moved]
    return (
        total.to(xs[0].dtype),
        torch.stack([m for m, _ in used]),
        torch.stack([r for _, r in used]),
        torch.stack(after) if after else weights.new_empty((0, xs[0].shape[1])),
    )


def _masked(
    t: Tensor, m: Tensor, kind: str, residual: bool, eps: float, sigmoid: bool, by: str
) -> tuple[Tensor, list[Tensor]]:
    wide = m.to(torch.promote_types(torch.promote_types(t.dtype, m.dtype), torch.float32))
    extra: list[Tensor] = []
    if kind == CHANNEL:
        extra = [(wide * wide).sum(1, keepdim=by == CPU).sqrt()]
    elif by == CPU:
        extra = [*by_group_norm(m, eps)[1]] if kind == SPATIAL else [torch.sigmoid(m)]
    elif kind == SPATIAL:
        deviation, mean = torch.std_mean(wide, (2, 3), correction=min(1, m.shape[2] * m.shape[3] - 1))
        extra = [mean, deviation]
    return masking.masked(t, m, Gate(kind, residual, eps, sigmoid)), extra


def _recalibrated(x: Tensor, f: Tensor, m: Tensor, relu: bool, by: str) -> tuple[Tensor, list[Tensor]]:
    return masking.recalibrated(x, f, m, relu), [torch.sigmoid(m)] if by == CPU else []


def _relative_attention(
    qkv: Tensor, relative_height: Tensor, relative_width: Tensor, heads: int, use: str
) -> tuple[Tensor, Tensor]:
    """What only backward reads is made of all logits; where the result alone is used, none of it is left."""
    s = sizes(qkv, relative_height, relative_width, heads)
    query, key, value = heads_of(qkv, s)
    by_row, by_column = biases(query, relative_height, relative_width, s)
    logits = query @ key + (by_row[..., None] + by_column[:, :, None]).flatten(2)
    out = attention.relative_attention(qkv, relative_height, relative_width, heads)
    largest = logits.amax(2, keepdim=True)
    weights = (logits - largest).exp()
    total = weights.sum(2, keepdim=True)
    kept = [largest.mT.movedim(1, 0), total.mT.movedim(1, 0)]
    if out.dtype != logits.dtype:
        kept = [(value @ (weights / total).mT).reshape(s.value, *logits.shape[:2]), *kept]
    return out.contiguous(), torch.cat(kept)
