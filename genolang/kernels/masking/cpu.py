"""Masking on a CPU: ATen's own kernels in fewer passes, and with fewer maps kept for backward."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from genolang.kernels.maps import memory_format_of
from genolang.kernels.masking.gate import CHANNEL, MIXED, SPATIAL, Gate

aten = torch.ops.aten
# What a variance of 0 becomes, so that its reciprocal is a number, and a deviation of 0.
TINY, NONE = 1e-36, 1e-24

Saved = tuple[Tensor, ...]


def masked_forward(t: Tensor, m: Tensor, gate: Gate) -> tuple[Tensor, Saved]:
    """The masked map, and what backward needs besides t and the first of it, a map."""
    if gate.kind == MIXED:
        mask = torch.sigmoid(m)
        return (torch.addcmul(t, t, mask) if gate.residual else mask * t), (mask,)
    if gate.kind == SPATIAL:
        mask, saved = standardised(m, gate.eps)
        mask.sigmoid_()
    else:
        norm = (m * m).sum(1, keepdim=True).sqrt_()
        mask, saved = m / norm.clamp(min=gate.eps), (m, norm)
        if gate.sigmoid:
            mask.sigmoid_()
    # Nobody else has the mask: the result takes its place.
    place = mask if memory_format_of(t) == memory_format_of(mask) else torch.empty_like(t)
    return (torch.addcmul(t, t, mask, out=place) if gate.residual else torch.mul(mask, t, out=place)), saved


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
    mask = logits if gate.kind == MIXED or not gate.sigmoid else logits.sigmoid()
    to_t = None
    if needs[0]:
        to_t = torch.addcmul(g, g, mask) if gate.residual else g * mask
    if not needs[1]:
        return to_t, None
    to_m = g * t
    if gate.sigmoid:
        to_m = aten.sigmoid_backward(to_m, mask)
    if gate.kind == SPATIAL:
        to_m = _through_rows(to_m, first, *rest[1:])
    elif gate.kind == CHANNEL:
        along = (to_m * logits).sum(1, keepdim=True).mul_(rest[0] > gate.eps)
        to_m = torch.addcmul(to_m, along, logits, value=-1).div_(divisor)
    return to_t, to_m


def _maps(rows: Tensor, like: Tensor) -> Tensor:
    return rows.view(like.shape[0], like.shape[1], 1, 1)


def standardised(m: Tensor, eps: float) -> tuple[Tensor, Saved]:
    """The map standardised over the positions of its rows, and what backward needs: what is left of it
    without their means, perhaps over a number, and by row (B, C) what that is to be multiplied with for the
    result, 1 / (unbiased deviation + eps), and what with for backward."""
    if memory_format_of(m) == torch.contiguous_format:
        return by_group_norm(m, eps)
    # ATen's group norm would take the mean's square off the mean of the squares here. The second mean is
    # what the first was rounded by: nothing is left of a constant row.
    left = m - m.mean((2, 3), keepdim=True)
    left -= left.mean((2, 3), keepdim=True)
    room = left * left
    count, larger = _sizes(m)
    deviation = (room.sum((2, 3)) / count).sqrt_().mul_(larger)
    scale = (deviation + eps).reciprocal_()
    stretch = (deviation.clamp(min=NONE) * scale).rsqrt_().mul_(larger)
    return torch.mul(left, _maps(scale, left), out=room), (left, scale, scale.clone(), stretch)


def by_group_norm(m: Tensor, eps: float) -> tuple[Tensor, Saved]:
    """The same without side effects, for maps that lie row by row."""
    batch, channels = m.shape[:2]
    count, larger = _sizes(m)
    # Of three axes: the strides of a map of one channel may look like channels last.
    rows = m.contiguous().view(batch, channels, count)
    hat, _, rstd = torch.native_group_norm(rows, None, None, batch, channels, count, channels, TINY)
    hat = hat.view(m.shape)
    deviation = rstd.reciprocal()
    # Of a constant row the group norm leaves its own rounding, blown up.
    there = deviation > 2 * TINY**0.5
    divisor = deviation * larger + eps
    factor = deviation / divisor * there
    stretch = (deviation * divisor * larger).sqrt() * there
    return _maps(factor, hat) * hat, (hat, factor, divisor.reciprocal(), stretch)


def _sizes(m: Tensor) -> tuple[int, float]:
    """The positions of a row, and how much larger its unbiased deviation is than the other."""
    count = m.shape[2] * m.shape[3]
    return count, (count / max(1, count - 1)) ** 0.5


def _through_rows(g: Tensor, left: Tensor, scale: Tensor, stretch: Tensor) -> Tensor:
    """scale * (g - mean(g) - scale^2 * x * mean(g * x)) of x = stretch * left, row by row."""
    batch, channels, height, width = g.shape
    if memory_format_of(left) == torch.channels_last:
        slope = (g * left).mean((2, 3)).mul_((scale * stretch).square_())
        g = g - g.mean((2, 3), keepdim=True)
        return g.addcmul_(left, _maps(slope, left), value=-1).mul_(_maps(scale, left))
    # What the backward of a group norm of one channel a group computes, for a mean of 0.
    rows = batch, channels, height * width
    found: Tensor = aten.native_group_norm_backward(
        # A view of a map with its channels last would do for `reshape`, and not for ATen.
        g.contiguous().view(rows),
        (_maps(stretch, left) * left).view(rows),
        torch.zeros_like(scale),
        scale,
        None,
        *rows[:2],
        rows[2],
        channels,
        [True, False, False],
    )[0]
    return found.view(left.shape)


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
