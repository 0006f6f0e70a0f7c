"""2D relative self-attention in tiles of queries that stay in the cache, forward and backward.

Nothing of the size HWxHW exists at once: backward computes the weights of a tile again. Plain PyTorch
operations, for any device.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from genolang.kernels.relative_attention.axes import as_given, biases, gradients, heads_of, widened
from genolang.kernels.relative_attention.sizes import Sizes, kept_for, sizes, unpacked

# Logits of one tile and thread: 1 MiB in float32. Measured: 64 Ki to 512 Ki differ by less than a quarter.
TILE = 1 << 18


@as_given
def forward(qkv: Tensor, relative_height: Tensor, relative_width: Tensor, heads: int) -> tuple[Tensor, Tensor]:
    """(B, value, H, W) in the dtype of `qkv`, and what is kept."""
    s = sizes(qkv, relative_height, relative_width, heads)
    query, key, value = heads_of(qkv, s)
    by_row, by_column = biases(query, relative_height, relative_width, s)
    kept = kept_for(qkv, s)
    exact, largest, total = unpacked(kept, query.new_empty(value.shape))
    out = exact.view(value.shape)
    for heads_here, pixels in _tiles(s):
        here = (heads_here, pixels)
        logits = _logits(query[here], key[heads_here], by_row[here], by_column[here])
        largest[here] = logits.amax(2)
        weights = logits.sub_(largest[here][..., None]).exp_()
        total[here] = weights.sum(2)
        out[heads_here, :, pixels] = (value[heads_here] @ weights.mT).div_(total[here][:, None])
    return out.view(s.batch, s.heads * s.value, s.height, s.width).to(qkv.dtype), kept


@as_given
def backward(
    grad: Tensor, qkv: Tensor, relative_height: Tensor, relative_width: Tensor, heads: int, out: Tensor, kept: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """The gradients of `qkv` and of the two tables."""
    s = sizes(qkv, relative_height, relative_width, heads)
    query, key, value = heads_of(qkv, s)
    grad = widened(grad).reshape(value.shape)
    by_row, by_column = biases(query, relative_height, relative_width, s)
    exact, largest, total = unpacked(kept, out)
    # Dividing what the weights are multiplied by costs less than dividing the weights.
    grad = grad / total[:, None]
    # softmax's gradient takes from each the mean over the weights, which is out . grad.
    mean = (grad * exact.reshape(value.shape)).sum(1)[..., None]
    grad_query = torch.empty_like(query)
    grad_key, grad_value = key.new_zeros(key.shape), value.new_zeros(value.shape)
    grad_row, grad_column = torch.empty_like(by_row), torch.empty_like(by_column)
    for heads_here, pixels in _tiles(s):
        here = (heads_here, pixels)
        logits = _logits(query[here], key[heads_here], by_row[here], by_column[here])
        weights = logits.sub_(largest[here][..., None]).exp_()
        grad_out = grad[heads_here, :, pixels]
        grad_value[heads_here].baddbmm_(grad_out, weights)
        change = torch.baddbmm(mean[here], grad_out.mT, value[heads_here], beta=-1).mul_(weights)
        by_place = change.view(*change.shape[:2], s.height, s.width)
        grad_column[here] = by_place.sum(2)
        grad_row[here] = by_place.sum(3)
        grad_query[here] = change @ key[heads_here].mT
        grad_key[heads_here].baddbmm_(query[here].mT, change)
    parts = (grad_query, grad_key, grad_value)
    return gradients(qkv, relative_height, relative_width, query, s, parts, (grad_row, grad_column))


def _logits(query: Tensor, key: Tensor, by_row: Tensor, by_column: Tensor) -> Tensor:
    return (by_row[..., None] + by_column[:, :, None]).flatten(2).baddbmm_(query, key)


def _tiles(s: Sizes) -> Iterator[tuple[slice, slice]]:
    """Slices of heads and of query pixels: whole heads as long as a tile has room for one."""
    number, rows = s.batch * s.heads, max(1, TILE * torch.get_num_threads() // s.pixels)
    together = max(1, rows // s.pixels)
    for start in range(0, number, together):
        for first in range(0, s.pixels, rows):
            yield slice(start, start + together), slice(first, first + rows)
