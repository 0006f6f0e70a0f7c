"""1x1 convolution and batch norm in one: the norm's statistics follow from those of the map before.

For y = W z with z (pixels, channels) and centred, mean(y) = W mean(z) and var(y) = diag(W S W'), where
S = z' z / pixels. So y is never needed: forward is one product for S and one with the scaled weights,
backward needs z alone. All products are of matrices (pixels, channels), as maps lie in channels_last
order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from genolang.kernels.cpu.maps import joined, matrix, slices, unmatrix

# Below this share of what independent channels would give, a variance is computed from the result.
CANCELLED = 0.01


@dataclass(frozen=True, slots=True)
class Statistics:
    """Running statistics (C,) of one batch norm, which training updates, and how."""

    mean: Tensor
    variance: Tensor
    momentum: float
    eps: float


@dataclass(frozen=True, slots=True)
class Folded:
    """What the batch tells of T convolutions (T, O, C): weights times S, and 1 / deviation (T, O).

    Of those that are `cancelled`, channels that are much alike go against each other: only their results
    themselves, before any scale, are as exact as layer by layer.
    """

    weights: Tensor
    seen: Tensor
    rstds: Tensor
    cancelled: tuple[int, ...] = ()


def fold(pixels: Sequence[Tensor], means: Sequence[Tensor], weights: Tensor, kept: Sequence[Statistics]) -> Folded:
    """Fold the norms of T centred maps (pixels, C) into their convolutions; running statistics follow."""
    count = pixels[0].shape[0]
    second = torch.stack([z.t().mm(z) for z in pixels]).div_(count)
    seen = torch.bmm(weights, second)
    variances, cancelled = _variances(pixels, weights, second, seen)
    outer = torch.bmm(weights, torch.stack([*means])[:, :, None])[:, :, 0]
    unbiased = variances * (count / max(count - 1, 1))
    for statistics, mean, variance in zip(kept, outer, unbiased, strict=True):
        statistics.mean.lerp_(mean, statistics.momentum)
        statistics.variance.lerp_(variance, statistics.momentum)
    eps = variances.new_tensor([statistics.eps for statistics in kept])
    return Folded(weights, seen, torch.rsqrt(variances + eps[:, None]), cancelled)


def _variances(
    pixels: Sequence[Tensor], weights: Tensor, second: Tensor, seen: Tensor
) -> tuple[Tensor, tuple[int, ...]]:
    """What the convolutions' results vary by, (T, O), and which of them are cancelled."""
    found = (seen * weights).sum(2)
    apart = torch.bmm(weights.square(), second.diagonal(dim1=1, dim2=2)[:, :, None])[:, :, 0]
    cancelled = tuple((found < CANCELLED * apart).any(1).nonzero().flatten().tolist())
    for index in cancelled:
        found[index] = centred_product(pixels[index], weights[index]).square_().mean(0)
    return found.clamp_(min=0), cancelled


def centred_product(pixels: Tensor, weights: Tensor) -> Tensor:
    """The result (pixels, O) of a cancelled convolution: beside it the map's own mean is no longer small."""
    result = pixels.mm(weights.t())
    return result.sub_(result.mean(0))


def through_result(
    gradient: Tensor, pixels: Tensor, weights: Tensor, rstds: Tensor, scales: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of a cancelled convolution (O, C), to its weights, its scales (O,) and its map, from the
    centred gradient behind the norm."""
    result = centred_product(pixels, weights).mul_(rstds)
    to_scales = (gradient * result).sum(0)
    direct = torch.addcmul(gradient, result, to_scales / -gradient.shape[0]).mul_(scales * rstds)
    return direct.t().mm(pixels), to_scales, direct.mm(weights)


def unfold(
    folded: Folded, products: Tensor, scales: Tensor, count: int
) -> tuple[Tensor, Tensor, tuple[Tensor, Tensor]]:
    """Gradients to the weights (T, O, C) and to the scales (T, O), and the matrices by which the
    centred gradient and the map give the map's gradient; `products` is gradient' map (T, O, C)."""
    weights, rstds = folded.weights, folded.rstds
    shares = rstds * (weights * products).sum(2)
    direct = scales * rstds
    # By how much a channel's own value lowers its gradient: the way through the deviation.
    own = direct * rstds * shares
    to_weights = direct[:, :, None] * products - own[:, :, None] * folded.seen
    by_gradient = direct[:, :, None] * weights
    by_map = torch.bmm(weights.transpose(1, 2), weights * (-own / count)[:, :, None])
    return to_weights, shares, (by_gradient, by_map)


def stacked(weights: Sequence[Tensor]) -> Tensor:
    """Weights (O, C, 1, 1) as (T, O, C)."""
    return torch.stack([w.flatten(1) for w in weights])


def norm_conv(
    maps: Sequence[Tensor],
    means: Sequence[Tensor],
    weights: Sequence[Tensor],
    affine: Sequence[tuple[Tensor, Tensor]],
    kept: Sequence[Statistics],
    *,
    relu: bool,
) -> tuple[Tensor, ...]:
    """Batch norm in training of the 1x1 convolution of every map, with a ReLU behind it if asked for.

    Maps are centred and come with the means (C,) taken off; `affine` holds scale and shift per map or
    nothing. The gradient to the maps has no mean.
    """
    flat = [t for pair in affine for t in pair]
    found: tuple[Tensor, ...] = _NormConv.apply(  # type: ignore[no-untyped-call]
        len(maps), tuple(kept), relu, *maps, *means, *weights, *flat
    )
    return found


class _NormConv(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, count: int, kept: tuple[Statistics, ...], relu: bool, *tensors: Tensor) -> tuple[Tensor, ...]:
        x = joined(tensors[:count])
        means, weights = tensors[count : 2 * count], stacked(tensors[2 * count : 3 * count])
        affine = tensors[3 * count :]
        pixels = matrix(x)
        folded = fold(pixels.chunk(count, 1), means, weights, kept)
        scales = torch.stack(affine[::2]) if affine else torch.ones_like(folded.rstds)
        y = _products(pixels, (scales * folded.rstds)[:, :, None] * weights)
        for index in folded.cancelled:
            z = pixels.chunk(count, 1)[index]
            scale = (scales * folded.rstds)[index]
            y.chunk(count, 1)[index].copy_(centred_product(z, weights[index]).mul_(scale))
        if affine:
            y.add_(torch.cat(affine[1::2]))
        if relu:
            y.relu_()
        y_map = unmatrix(y, x)
        kernels = tensors[2 * count : 3 * count]
        ctx.save_for_backward(x, folded.seen, folded.rstds, scales, *kernels, *([y_map] if relu else []))
        ctx.count, ctx.affine, ctx.cancelled = count, bool(affine), folded.cancelled
        return slices(y_map, count)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Any, ...]:
        count = ctx.count
        x, seen, rstds, scales, *rest = ctx.saved_tensors
        kernels, rest = rest[:count], rest[count:]
        incoming = joined(gradients)
        if rest:
            incoming = torch.ops.aten.threshold_backward(incoming, rest[0], 0)
        g, pixels = matrix(incoming), matrix(x)
        mean = g.mean(0)
        g = g.sub_(mean) if rest else g - mean
        size = g.shape[0]
        parts = list(zip(g.chunk(count, 1), pixels.chunk(count, 1), strict=True))
        products = torch.stack([a.t().mm(b) for a, b in parts])
        to_weights, to_scales, (by_gradient, by_map) = unfold(
            Folded(stacked(kernels), seen, rstds), products, scales, size
        )
        to_pixels = _products(g, by_gradient.transpose(1, 2))
        _add_products(to_pixels, pixels, by_map)
        for index in ctx.cancelled:
            behind, z = parts[index]
            to_weights[index], to_scales[index], to_map = through_result(
                behind, z, kernels[index].flatten(1), rstds[index], scales[index]
            )
            to_pixels.chunk(count, 1)[index].copy_(to_map)
        to_maps = slices(unmatrix(to_pixels, x), count)
        to_affine: list[Tensor] = []
        if ctx.affine:
            for scale, shift in zip(to_scales, (mean * size).chunk(count), strict=True):
                to_affine += [scale, shift]
        return (None, None, None, *to_maps, *[None] * count, *(w[:, :, None, None] for w in to_weights), *to_affine)


def _products(pixels: Tensor, weights: Tensor) -> Tensor:
    """Every slice of the pixels' channels by its own matrix (T, O, C): (pixels, T * O)."""
    count, out, _ = weights.shape
    found = pixels.new_empty(pixels.shape[0], count * out)
    for part, weight, result in zip(pixels.chunk(count, 1), weights, found.chunk(count, 1), strict=True):
        torch.mm(part, weight.t(), out=result)
    return found


def _add_products(found: Tensor, pixels: Tensor, matrices: Tensor) -> None:
    count = matrices.shape[0]
    for part, by, result in zip(pixels.chunk(count, 1), matrices, found.chunk(count, 1), strict=True):
        result.addmm_(part, by)
