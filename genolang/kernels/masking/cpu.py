"""Masking on a CPU: ATen's own kernels in fewer passes, and with fewer maps kept for backward."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from genolang.kernels.maps import layout
from genolang.kernels.masking.gate import CHANNEL, SPATIAL, Gate

aten = torch.ops.aten
# What a variance of 0 becomes, so that its reciprocal is a number.
TINY = 1e-36

Saved = tuple[Tensor, ...]


def masked_forward(t: Tensor, m: Tensor, gate: Gate) -> tuple[Tensor, Saved]:
    """The masked map, and what backward needs besides t and the first of it, a map."""
    if gate.kind == SPATIAL:
        hat, rows = standardise(m, gate.eps)
        mask, saved = (_maps(rows[0], hat) * hat).sigmoid_(), (hat, *rows)
    elif gate.kind == CHANNEL:
        norm = (m * m).sum(1, keepdim=True).sqrt_()
        mask, saved = m / norm.clamp(min=gate.eps), (m, norm)
        if gate.sigmoid:
            mask.sigmoid_()
    else:
        mask = torch.sigmoid(m)
        saved = (mask,)
    return (torch.addcmul(t, t, mask) if gate.residual else mask * t), saved


def masked_backward(
    g: Tensor, t: Tensor, saved: Saved, gate: Gate, needs: Sequence[bool]
) -> tuple[Tensor | None, Tensor | None]:
    """Gradients to the map and to the logits."""
    first, *rest = saved
    logits = first
    if gate.kind == SPATIAL:
        logits = _maps(rest[0], first) * first
    elif gate.kind == CHANNEL:
        divisor = rest[0].clamp(min=gate.eps)
        logits = first / divisor
    mask = logits if gate.kind not in (SPATIAL, CHANNEL) or not gate.sigmoid else logits.sigmoid()
    to_t = None
    if needs[0]:
        to_t = torch.addcmul(g, g, mask) if gate.residual else g * mask
    if not needs[1]:
        return to_t, None
    to_m = g * t
    if gate.sigmoid:
        to_m = aten.sigmoid_backward(to_m, mask)
    if gate.kind == SPATIAL:
        _, scale, stretch = rest
        to_m = _through_rows(to_m, _maps(stretch, first) * first, scale)
    elif gate.kind == CHANNEL:
        along = (to_m * logits).sum(1, keepdim=True).mul_(rest[0] > gate.eps)
        to_m = torch.addcmul(to_m, along, logits, value=-1).div_(divisor)
    return to_t, to_m


def _maps(rows: Tensor, like: Tensor) -> Tensor:
    return rows.view(like.shape[0], like.shape[1], 1, 1)


def standardise(m: Tensor, eps: float) -> tuple[Tensor, Saved]:
    """The map by mean and biased deviation of its rows, and per row (B, C): from that to the unbiased
    deviation plus eps, one over that, and the factor by which backward takes the map."""
    batch, channels, height, width = m.shape
    count = height * width
    m = m.contiguous(memory_format=layout(m))
    hat, _, rstd = torch.native_group_norm(m, None, None, batch, channels, count, channels, TINY)
    deviation = rstd.reciprocal()
    larger = (count / max(1, count - 1)) ** 0.5
    divisor = deviation * larger + eps
    return hat, (deviation / divisor, divisor.reciprocal(), (deviation * divisor * larger).sqrt())


def _through_rows(g: Tensor, stretched: Tensor, scale: Tensor) -> Tensor:
    """scale * (g - mean(g) - scale^2 * stretched * mean(g * stretched)), row by row: what the backward of
    a group norm of one channel a group computes, for a mean of 0."""
    batch, channels, height, width = g.shape
    g, stretched = g.contiguous(), stretched.contiguous()
    found: Tensor = aten.native_group_norm_backward(
        g, stretched, torch.zeros_like(scale), scale, None,
        batch, channels, height * width, channels, [True, False, False],
    )[0]  # fmt: skip
    return found


def recalibrated_forward(x: Tensor, f: Tensor, m: Tensor, relu: bool) -> tuple[Tensor, Tensor]:
    """The recalibrated map, and the mask."""
    mask = torch.sigmoid(m)
    y = torch.addcmul(x, mask, f)
    return (y.relu_() if relu else y), mask


def recalibrated_backward(
    g: Tensor, f: Tensor, mask: Tensor, y: Tensor | None, needs: Sequence[bool]
) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
    """Gradients to x, f and the logits; y is the result where it went through a ReLU."""
    if y is not None:
        g = aten.threshold_backward(g, y, 0)
    to_f = g * mask if needs[1] else None
    to_m = None
    if needs[2]:
        to_m = aten.sigmoid_backward((g * f).sum_to_size(mask.shape), mask)
    return (g if needs[0] else None), to_f, to_m
