"""2D relative self-attention of small maps, with all weights in memory: nothing is computed twice.

Plain PyTorch operations, for any device.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from genolang.kernels.relative_attention.axes import as_given, biases, gradients, heads_of, widened
from genolang.kernels.relative_attention.sizes import Sizes, sizes

# Pixels. Measured, `genoc bench thresholds`: tiles are slower up to here; from 18x18 on as fast, in a third
# of the memory.
LARGEST = 256


@as_given
def forward(qkv: Tensor, relative_height: Tensor, relative_width: Tensor, heads: int) -> tuple[Tensor, Tensor]:
    """(B, value, H, W) in the dtype of `qkv`, and the weights (B * heads, H*W, H*W)."""
    s = sizes(qkv, relative_height, relative_width, heads)
    query, key, value = heads_of(qkv, s)
    added = torch.cat(biases(query, relative_height, relative_width, s), 2) @ _places(s, query)
    weights = torch.softmax(added.baddbmm_(query, key), 2)
    out = value @ weights.mT
    return out.view(s.batch, s.heads * s.value, s.height, s.width).to(qkv.dtype), weights


@as_given
def backward(
    grad: Tensor, qkv: Tensor, relative_height: Tensor, relative_width: Tensor, heads: int, out: Tensor, weights: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """The gradients of `qkv` and of the two tables."""
    s = sizes(qkv, relative_height, relative_width, heads)
    query, key, value = heads_of(qkv, s)
    grad = widened(grad).reshape(value.shape)
    change = torch.ops.aten._softmax_backward_data(grad.mT @ value, weights, 2, weights.dtype)
    parts = (change @ key.mT, query.mT @ change, grad @ weights)
    by_axis = torch.split(change @ _places(s, query).t(), [s.height, s.width], dim=2)
    by_row, by_column = (part.contiguous() for part in by_axis)
    return gradients(qkv, relative_height, relative_width, query, s, parts, (by_row, by_column))


def _places(s: Sizes, like: Tensor) -> Tensor:
    """(H + W, H*W): ones where a pixel has this row, and where it has this column."""
    place = torch.arange(s.pixels, device=like.device)
    rows, columns = F.one_hot(place // s.width, s.height), F.one_hot(place % s.width, s.width)
    return torch.cat([rows, columns], 1).t().to(like.dtype)
