"""Weighted sums of maps, some behind a 1x1 convolution and a batch norm, keeping the maps alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from genolang.kernels.cpu.maps import last, matrix, unmatrix
from genolang.kernels.cpu.moments import Folded, Statistics, centred_product, fold, stacked, through_result, unfold

# The library's scalar product adds float32 numbers one after the other: it gets pieces.
_PIECE = 2**18


def mixed(
    shares: Tensor,
    maps: Sequence[Tensor],
    plain: Sequence[Tensor],
    means: Sequence[Tensor] = (),
    weights: Sequence[Tensor] = (),
    kept: Sequence[Statistics] = (),
) -> Tensor:
    """sum_t shares[t] * y_t, first of the maps, then of the plain ones.

    y is a plain map itself; of a map it is the batch norm in training, without scale and shift, of its
    1x1 convolution. Those maps are centred and come with the means (C,) taken off.
    """
    found: Tensor = _Mixed.apply(  # type: ignore[no-untyped-call]
        len(maps), tuple(kept), shares, *maps, *plain, *means, *weights
    )
    return found


class _Mixed(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, folded: int, kept: tuple[Statistics, ...], shares: Tensor, *tensors: Tensor) -> Tensor:
        count = shares.shape[0]
        maps, plain = tensors[:folded], tensors[folded:count]
        means, weights = tensors[count : count + folded], tensors[count + folded :]
        numbers = shares.tolist()
        small: list[Tensor] = []
        if maps:
            pixels = [matrix(x) for x in maps]
            found = fold(pixels, means, stacked(weights), kept)
            small = [found.seen, found.rstds]
            scales = shares[:folded, None] * found.rstds
            scaled = scales[:, :, None] * found.weights
            scaled[list(found.cancelled)] = 0
            total = pixels[0].mm(scaled[0].t())
            for z, weight in zip(pixels[1:], scaled[1:], strict=True):
                total.addmm_(z, weight.t())
            for index in found.cancelled:
                total += centred_product(pixels[index], found.weights[index]).mul_(scales[index])
            ctx.cancelled = found.cancelled
            result = unmatrix(total, maps[0])
        else:
            result = plain[0].mul(numbers[0])
        for x, number in list(zip(plain, numbers[folded:], strict=True))[0 if maps else 1 :]:
            result.add_(x, alpha=number)
        ctx.save_for_backward(shares, *small, *maps, *plain, *weights)
        ctx.folded, ctx.count = folded, count
        return result

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Any, ...]:
        folded, count = ctx.folded, ctx.count
        shares, *rest = ctx.saved_tensors
        small, rest = (rest[:2], rest[2:]) if folded else ([], rest)
        maps, plain, weights = rest[:folded], rest[folded:count], rest[count:]
        to_shares: list[Tensor] = []
        to_maps: list[Tensor | None] = []
        to_weights: list[Tensor] = []
        if maps:
            g = matrix(last(gradient))
            centred = g - g.mean(0)
            pixels = [matrix(x) for x in maps]
            found = Folded(stacked(weights), *small)
            products = torch.stack([centred.t().mm(z) for z in pixels])
            scales = shares[:folded, None].expand_as(found.rstds)
            all_weights, to_scales, (direct, own) = unfold(found, products, scales, g.shape[0])
            to_maps += [
                unmatrix(centred.mm(a).addmm_(z, b), gradient) for z, a, b in zip(pixels, direct, own, strict=True)
            ]
            for index in ctx.cancelled:
                all_weights[index], to_scales[index], to_map = through_result(
                    centred, pixels[index], found.weights[index], found.rstds[index], scales[index]
                )
                to_maps[index] = unmatrix(to_map, gradient)
            to_weights = [w[:, :, None, None] for w in all_weights]
            to_shares.append(to_scales.sum(1))
        needed = ctx.needs_input_grad[3 + folded : 3 + count]
        numbers = shares.tolist()[folded:]
        for x, number, needs in zip(plain, numbers, needed, strict=True):
            to_maps.append(gradient * number if needs else None)
            to_shares.append(product(gradient, x)[None])
        return None, None, torch.cat(to_shares), *to_maps, *[None] * folded, *to_weights


def product(a: Tensor, b: Tensor) -> Tensor:
    """The sum of all products of two maps' elements."""
    if not (a.is_contiguous() and b.is_contiguous()):
        a, b = matrix(last(a)), matrix(last(b))
    pieces = zip(*(torch.split(t.reshape(-1), _PIECE) for t in (a, b)), strict=True)
    return torch.stack([torch.dot(x, y) for x, y in pieces]).sum()
