"""The mixed sum on a CPU: ATen's own kernels, called so that no normalised map is kept.

A candidate's two gradients come from one call of the batch norm's backward: with the candidate's weight
as the norm's affine weight, the affine weight's gradient, summed, is that of the candidate's weight.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from genolang.kernels.cpu.norms import by_statistics, follow, gradients, moments, takes
from genolang.kernels.maps import memory_format_of
from genolang.kernels.mixed_sum.norms import Norms

aten = torch.ops.aten
# From here on (elements of a map) two vectorised passes beat the batch norm's own statistics: measured,
# `genoc bench thresholds`.
LARGE = 2**17


def forward(xs: Sequence[Tensor], weights: Tensor, norms: Norms) -> tuple[Tensor, Tensor, Tensor]:
    """The sum (B, C, H, W), and the means and reciprocal deviations (T, C) that it used."""
    wide = torch.promote_types(xs[0].dtype, torch.float32)
    total = torch.zeros_like(xs[0], dtype=wide, memory_format=memory_format_of(xs[0]))
    means, rstds = [], []
    for index, (x, weight) in enumerate(zip(xs, weights.tolist(), strict=True)):
        if not norms.normalised[index]:
            mean, rstd = total.new_zeros(x.shape[1]), total.new_ones(x.shape[1])
            total.add_(x, alpha=weight)
        elif not norms.training:
            mean, rstd = _kept(norms, index, wide)
            scale = rstd * weight
            total.addcmul_(x, _over_maps(scale)).sub_(_over_maps(scale * mean))
        elif x.dtype == wide and x.numel() >= LARGE and x.is_contiguous():
            mean, rstd, centred = _centre(x, norms, index)
            total.addcmul_(centred, _over_maps(rstd), value=weight)
        elif takes(whole := x.to(wide)):
            mean, variance = moments(whole)
            rstd = torch.rsqrt(variance + norms.eps)
            _follow(x, norms, index, mean, variance)
            total.add_(by_statistics(whole, None, None, mean, variance, norms.eps), alpha=weight)
        else:
            kept = norms.means[index], norms.variances[index]
            y, mean, rstd = torch.native_batch_norm(x, None, None, *kept, True, norms.momentum, norms.eps)
            total.add_(y, alpha=weight)
        means.append(mean)
        rstds.append(rstd)
    return total.to(xs[0].dtype), torch.stack(means), torch.stack(rstds)


def backward(
    grad: Tensor,
    xs: Sequence[Tensor],
    weights: Tensor,
    statistics: tuple[Tensor, Tensor],
    by_batch: Sequence[bool],
    needs: Sequence[bool],
) -> tuple[list[Tensor | None], Tensor]:
    """Gradients to the maps that need one, and to the weights."""
    means, rstds = statistics
    grad = grad.contiguous(memory_format=memory_format_of(xs[0]))
    # The kernel for channels_last reads past strides: the affine weights must lie in a row.
    scales = weights.to(means.dtype)[:, None].repeat(1, means.shape[1])
    found: list[Tensor | None] = []
    to_weights: list[Tensor] = []
    for x, mean, rstd, scale, batch, need in zip(xs, means, rstds, scales, by_batch, needs, strict=True):
        to_x, to_scale, _ = gradients(grad, x, scale, mean, rstd, (need, True, False), by_batch=batch)
        assert to_scale is not None
        found.append(to_x)
        to_weights.append(to_scale)
    return found, torch.stack(to_weights).sum(1).to(weights.dtype)


def _over_maps(values: Tensor) -> Tensor:
    return values[:, None, None]


def _kept(norms: Norms, index: int, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    mean, variance = norms.means[index], norms.variances[index]
    assert mean is not None and variance is not None
    return mean.to(dtype), torch.rsqrt(variance.to(dtype) + norms.eps)


def _centre(x: Tensor, norms: Norms, index: int) -> tuple[Tensor, Tensor, Tensor]:
    """Mean, reciprocal deviation and x - mean, by two passes; the running statistics follow."""
    size = x.numel() // x.shape[1]
    mean = x.sum((0, 2, 3)) / size
    centred = x - _over_maps(mean)
    zero, one = torch.zeros_like(mean), torch.ones_like(mean)
    # The affine weight's gradient of a batch norm that does nothing is the vectorised sum of products.
    squares = aten.native_batch_norm_backward(
        centred, centred, one, zero, one, None, None, False, 0.0, [False, True, False]
    )[1]
    variance = squares / size
    _follow(x, norms, index, mean, variance)
    return mean, torch.rsqrt(variance + norms.eps), centred


def _follow(x: Tensor, norms: Norms, index: int, mean: Tensor, variance: Tensor) -> None:
    kept_mean, kept_variance = norms.means[index], norms.variances[index]
    if kept_mean is not None and kept_variance is not None:
        follow((kept_mean, kept_variance), mean, variance, norms.momentum, x)
