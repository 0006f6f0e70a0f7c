"""A map under a weighted sum of masks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Size, Tensor
from torch.autograd.function import once_differentiable

from genolang.kernels.cpu.mixing import product


def masked(x: Tensor, masks: Sequence[Tensor | None], shares: Tensor, total: Tensor | None = None) -> Tensor:
    """x * sum_t shares[t] * masks[t], None for a mask of ones; added to `total`, in its memory, if given.

    Masks are (B, C, H, W) or have size 1 on some axes.
    """
    found: Tensor = _Masked.apply(x, shares, total, *masks)  # type: ignore[no-untyped-call]
    return found


class _Masked(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, shares: Tensor, total: Tensor | None, *masks: Tensor | None) -> Tensor:
        mask = _sum(x, masks, shares.tolist())
        ctx.save_for_backward(x, shares, mask, *(m for m in masks if m is not None))
        ctx.given = [m is not None for m in masks]
        if total is None:
            return x * mask
        ctx.mark_dirty(total)
        return total.addcmul_(x, mask)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Any, ...]:
        x, shares, mask, *rest = ctx.saved_tensors
        waiting = iter(rest)
        to_mask = gradient * x
        by_shape: dict[Size, Tensor] = {}
        to_masks: list[Tensor | None] = []
        to_shares: list[Tensor] = []
        for given, share in zip(ctx.given, shares.tolist(), strict=True):
            if not given:
                to_shares.append(_narrowed(to_mask, Size((*x.shape[:2], 1, 1)), by_shape).sum())
                to_masks.append(None)
                continue
            one = next(waiting)
            found = _narrowed(to_mask, one.shape, by_shape)
            to_shares.append(product(found, one))
            to_masks.append(found * share)
        to_x = gradient * mask if ctx.needs_input_grad[0] else None
        to_total = gradient if ctx.needs_input_grad[2] else None
        return to_x, torch.stack(to_shares), to_total, *to_masks


def _narrowed(found: Tensor, shape: Size, known: dict[Size, Tensor]) -> Tensor:
    """A gradient summed to a mask's shape, each shape once."""
    if shape not in known:
        known[shape] = found.sum_to_size(shape)
    return known[shape]


def _sum(x: Tensor, masks: Sequence[Tensor | None], shares: Sequence[float]) -> Tensor:
    """The masks' weighted sum, as small as it may be."""
    ones = sum(share for mask, share in zip(masks, shares, strict=True) if mask is None)
    small: Tensor | None = None
    whole: Tensor | None = None
    for mask, share in zip(masks, shares, strict=True):
        if mask is None:
            continue
        if mask.shape == x.shape:
            whole = mask * share if whole is None else whole.add_(mask, alpha=share)
        else:
            small = mask * share if small is None else small + mask * share
    if small is None:
        small = x.new_full((1, 1, 1, 1), ones)
    elif ones:
        small = small + ones
    return small if whole is None else whole.add_(small)
