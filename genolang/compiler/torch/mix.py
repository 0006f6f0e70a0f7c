"""A mixed operation in torch, in its plain form."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from genolang.compiler.torch.planned import broadcast_shape, planned


def mix_function(start: int, kept: tuple[int, ...], combine: str) -> Callable[..., Tensor]:
    """A mixed operation: candidates summed (or multiplied) by the weights of their logits' row.

    The first argument is the flat tuple of all weights of the choice set; `start` is the row's
    first. Sources: DARTS, equation 2; Att-DARTS, equations 10 and 17.
    """
    places = tuple(start + k for k in kept)

    def mix_sum(weights: tuple[Tensor, ...], *candidates: Tensor) -> Tensor:
        if candidates[0].is_meta:
            operands = (*candidates, *(weights[p] for p in places))
            return planned(broadcast_shape(*candidates), *operands, saved=operands)
        total = weights[places[0]] * candidates[0]
        for place, candidate in zip(places[1:], candidates[1:], strict=True):
            total = total + weights[place] * candidate
        return total

    def mix_product(weights: tuple[Tensor, ...], *masks: Tensor) -> Tensor:
        if masks[0].is_meta:
            shares, learned = [weights[p] for p in places], [m for m in masks if m.requires_grad]
            # Saved besides: the logarithm of every mask, and what it is the logarithm of.
            extra = sum(m.numel() for m in (*masks, *learned))
            return planned(
                broadcast_shape(*masks), *masks, *shares, saved=(*shares, *learned), extra=extra, save_result=True
            )
        tiny = torch.finfo(masks[0].dtype).tiny
        total = weights[places[0]] * masks[0].clamp_min(tiny).log()
        for place, mask in zip(places[1:], masks[1:], strict=True):
            total = total + weights[place] * mask.clamp_min(tiny).log()
        return total.exp()

    return mix_product if combine == "product" else mix_sum
