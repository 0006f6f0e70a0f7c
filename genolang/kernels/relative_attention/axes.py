"""What the implementations in plain PyTorch share: heads, the biases of both axes, and their gradients."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from genolang.kernels.relative_attention.sizes import Sizes, centre


def as_given(function: Callable[..., Any]) -> Callable[..., Any]:
    """Without autocast: dtypes are chosen here."""

    @functools.wraps(function)
    def run(first: Tensor, *rest: Any) -> Any:
        with torch.autocast(first.device.type, enabled=False):
            return function(first, *rest)

    return run


def widened(x: Tensor) -> Tensor:
    """Logits are sums of many products: two-byte numbers are widened."""
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x


def heads_of(qkv: Tensor, s: Sizes) -> tuple[Tensor, Tensor, Tensor]:
    """Scaled queries (B * heads, H*W, d), keys (B * heads, d, H*W), values (B * heads, e, H*W)."""
    widths = [s.heads * s.key, s.heads * s.key, s.heads * s.value]
    query, key, value = (
        # Products of slices of a channels_last map are slow.
        part.reshape(s.batch * s.heads, width // s.heads, s.pixels).contiguous()
        for part, width in zip(torch.split(widened(qkv), widths, dim=1), widths, strict=True)
    )
    return (query.mT * s.scale).contiguous(), key, value


def biases(query: Tensor, relative_height: Tensor, relative_width: Tensor, s: Sizes) -> tuple[Tensor, Tensor]:
    """What a key's row and what its column add to a logit: (N, H*W, H) and (N, H*W, W)."""
    grid = query.view(query.shape[0], s.height, s.width, s.key)
    rows, columns = _tables(relative_height, relative_width, query, s)
    by_row = _slide(grid.transpose(1, 2) @ rows.t()).transpose(1, 2)
    by_column = _slide(grid @ columns.t())
    return by_row.reshape(*query.shape[:2], s.height), by_column.reshape(*query.shape[:2], s.width)


def gradients(
    qkv: Tensor,
    relative_height: Tensor,
    relative_width: Tensor,
    query: Tensor,
    s: Sizes,
    parts: tuple[Tensor, Tensor, Tensor],
    by_axis: tuple[Tensor, Tensor],
) -> tuple[Tensor, Tensor, Tensor]:
    """Those of `qkv` and of both tables, from `parts`, those of queries (as if without biases), keys and
    values in the shapes of `heads_of`, and from those of the biases."""
    places = (s.batch * s.heads, s.height, s.width)
    below = _unslid(by_axis[0].view(*places, s.height).transpose(1, 2))
    right = _unslid(by_axis[1].view(*places, s.width))
    rows, columns = _tables(relative_height, relative_width, query, s)
    grad_query, grad_key, grad_value = parts
    grad_grid = grad_query.view(*places, s.key)
    grad_grid += (below @ rows).transpose(1, 2)
    grad_grid += right @ columns
    grid = query.view(*places, s.key)
    grad_height = _table_gradient(below, grid.transpose(1, 2), relative_height)
    grad_width = _table_gradient(right, grid, relative_width)
    joined = torch.cat(
        [
            part.reshape(s.batch, s.heads * part.shape[1], s.pixels)
            for part in (grad_query.mul_(s.scale).mT, grad_key, grad_value)
        ],
        1,
    )
    return joined.view(qkv.shape).to(qkv.dtype), grad_height, grad_width


def _tables(relative_height: Tensor, relative_width: Tensor, like: Tensor, s: Sizes) -> tuple[Tensor, Tensor]:
    return centre(relative_height, s.height).to(like.dtype), centre(relative_width, s.width).to(like.dtype)


def _slide(products: Tensor) -> Tensor:
    """(..., L, 2L-1) by offset to (..., L, L) by position: [i, x] is [i, x - i + L - 1], without a copy
    where the last two axes are contiguous."""
    length = products.shape[-2]
    if length == 1:
        return products
    # In the flat rows one step down and one to the left is a constant stride of 2L - 2.
    flat = products.flatten(-2)[..., length - 1 : length - 1 + length * (2 * length - 2)]
    return flat.view(*flat.shape[:-1], length, 2 * length - 2)[..., :length]


def _unslid(by_place: Tensor) -> Tensor:
    """The gradient of `_slide`: (..., L, L) by position to (..., L, 2L-1) by offset."""
    length = by_place.shape[-1]
    found = by_place.new_zeros(*by_place.shape[:-1], 2 * length - 1)
    _slide(found).copy_(by_place)
    return found


def _table_gradient(by_offset: Tensor, grid: Tensor, table: Tensor) -> Tensor:
    """By offset (..., 2L-1) and queries (..., d) to the table's gradient; zero outside its centre."""
    found = table.new_zeros(table.shape)
    product = by_offset.flatten(0, -2).t() @ grid.flatten(0, -2)
    centre(found, (by_offset.shape[-1] + 1) // 2).copy_(product)
    return found
