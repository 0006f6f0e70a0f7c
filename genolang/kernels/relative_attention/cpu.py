"""2D relative self-attention in tiles of queries that stay in the cache, forward and backward.

Nothing of the size HWxHW exists at once: backward computes the weights of a tile again from the logarithm
of their sum. Plain PyTorch operations, for any device.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from genolang.kernels.relative_attention.sizes import Sizes, centre, sizes

# Logits of one tile and thread: 1 MiB in float32. Measured: 64 Ki to 512 Ki differ by less than a quarter.
TILE = 1 << 18


def _as_given(function: Callable[..., Any]) -> Callable[..., Any]:
    """Without autocast: dtypes are chosen here."""

    @functools.wraps(function)
    def run(first: Tensor, *rest: Any) -> Any:
        with torch.autocast(first.device.type, enabled=False):
            return function(first, *rest)

    return run


@_as_given
def forward(
    qkv: Tensor, relative_height: Tensor, relative_width: Tensor, heads: int
) -> tuple[Tensor, Tensor]:
    """(B, value, H, W) in the dtype of `qkv`, and the logarithms of the weights' sums (B * heads, H*W)."""
    s = sizes(qkv, relative_height, relative_width, heads)
    query, key, value = _heads(_wide(qkv), s)
    by_row, by_column = _biases(query, relative_height, relative_width, s)
    out, logsumexp = query.new_empty(value.shape), query.new_empty(query.shape[:2])
    for heads_here, pixels in _tiles(s):
        here = (heads_here, pixels)
        logits = _logits(query[here], key[heads_here], by_row[here], by_column[here])
        largest = logits.amax(2, keepdim=True)
        weights = logits.sub_(largest).exp_()
        total = weights.sum(2)
        out[heads_here, :, pixels] = (value[heads_here] @ weights.mT).div_(total[:, None])
        logsumexp[here] = largest[..., 0] + total.log_()
    return out.view(s.batch, s.heads * s.value, s.height, s.width).to(qkv.dtype), logsumexp


@_as_given
def backward(
    grad: Tensor, qkv: Tensor, relative_height: Tensor, relative_width: Tensor, heads: int, out: Tensor,
    logsumexp: Tensor,
) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
    """The gradients of `qkv` and of the two tables."""
    s = sizes(qkv, relative_height, relative_width, heads)
    query, key, value = _heads(_wide(qkv), s)
    grad = _wide(grad).reshape(value.shape)
    by_row, by_column = _biases(query, relative_height, relative_width, s)
    by_row = by_row - logsumexp[..., None, None]
    # softmax's gradient takes from each the mean over the weights, which is out . grad.
    mean = (grad * _wide(out).reshape(value.shape)).sum(1)[..., None]
    grad_query = torch.empty_like(query)
    grad_key, grad_value = key.new_zeros(key.shape), value.new_zeros(value.shape)
    grad_row = query.new_empty(*query.shape[:2], s.height)
    grad_column = query.new_empty(*query.shape[:2], s.width)
    for heads_here, pixels in _tiles(s):
        here = (heads_here, pixels)
        weights = _logits(query[here], key[heads_here], by_row[here], by_column[here]).exp_()
        grad_out = grad[heads_here, :, pixels]
        grad_value[heads_here].baddbmm_(grad_out, weights)
        change = torch.baddbmm(mean[here], grad_out.mT, value[heads_here], beta=-1).mul_(weights)
        by_place = change.view(*change.shape[:2], s.height, s.width)
        grad_column[here] = by_place.sum(2)
        grad_row[here] = by_place.sum(3)
        grad_query[here] = change @ key[heads_here].mT
        grad_key[heads_here].baddbmm_(query[here].mT, change)
    places = (s.batch * s.heads, s.height, s.width)
    below = _unslid(grad_row.view(*places, s.height).transpose(1, 2))
    right = _unslid(grad_column.view(*places, s.width))
    rows, columns = _tables(relative_height, relative_width, query, s)
    grad_grid = grad_query.view(*places, s.key)
    grad_grid += (below @ rows).transpose(1, 2)
    grad_grid += right @ columns
    grid = query.view(*places, s.key)
    grad_height = _table_gradient(below, grid.transpose(1, 2), relative_height)
    grad_width = _table_gradient(right, grid, relative_width)
    parts = (grad_query.mul_(s.scale).mT, grad_key, grad_value)
    joined = torch.cat([part.reshape(s.batch, s.heads * part.shape[1], s.pixels) for part in parts], 1)
    return joined.view(qkv.shape).to(qkv.dtype), grad_height, grad_width


def _wide(x: Tensor) -> Tensor:
    """Logits are sums of many products: two-byte numbers are widened."""
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x


def _heads(qkv: Tensor, s: Sizes) -> tuple[Tensor, Tensor, Tensor]:
    """Scaled queries (B * heads, H*W, d), keys (B * heads, d, H*W), values (B * heads, e, H*W)."""
    widths = [s.heads * s.key, s.heads * s.key, s.heads * s.value]
    query, key, value = (
        part.reshape(s.batch * s.heads, width // s.heads, s.pixels)
        for part, width in zip(torch.split(qkv, widths, dim=1), widths, strict=True)
    )
    return (query.mT * s.scale).contiguous(), key, value


def _tables(
    relative_height: Tensor, relative_width: Tensor, like: Tensor, s: Sizes
) -> tuple[Tensor, Tensor]:
    return centre(relative_height, s.height).to(like.dtype), centre(relative_width, s.width).to(like.dtype)


def _biases(
    query: Tensor, relative_height: Tensor, relative_width: Tensor, s: Sizes
) -> tuple[Tensor, Tensor]:
    """What a key's row and what its column add to a logit: (N, H*W, H, 1) and (N, H*W, 1, W)."""
    grid = query.view(query.shape[0], s.height, s.width, s.key)
    rows, columns = _tables(relative_height, relative_width, query, s)
    by_row = _slide(grid.transpose(1, 2) @ rows.t()).transpose(1, 2)
    by_column = _slide(grid @ columns.t())
    number = query.shape[:2]
    return by_row.reshape(*number, s.height, 1), by_column.reshape(*number, 1, s.width)


def _logits(query: Tensor, key: Tensor, by_row: Tensor, by_column: Tensor) -> Tensor:
    return (by_row + by_column).flatten(2).baddbmm_(query, key)


def _tiles(s: Sizes) -> Iterator[tuple[slice, slice]]:
    """Slices of heads and of query pixels: whole heads as long as a tile has room for one."""
    number, rows = s.batch * s.heads, max(1, TILE * torch.get_num_threads() // s.pixels)
    together = max(1, rows // s.pixels)
    for start in range(0, number, together):
        for first in range(0, s.pixels, rows):
            yield slice(start, start + together), slice(first, first + rows)


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
