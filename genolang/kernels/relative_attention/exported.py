"""2D relative self-attention for programs that run without this package, in PyTorch's own operations.

The bias of key j is one number by its row and one by its column: with these H + W numbers behind the query,
and behind the key ones where its row and its column stand, plain attention computes all of it.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from genolang.kernels.relative_attention.sizes import by_pair, sizes


def relative_attention(qkv: Tensor, relative_height: Tensor, relative_width: Tensor, heads: int) -> Tensor:
    """(B, 2 * key + value, H, W) to (B, value, H, W), with nothing of the size HWxHW in memory."""
    s = sizes(qkv, relative_height, relative_width, heads)
    widths = [heads * s.key, heads * s.key, heads * s.value]
    query, key, value = (
        torch.unflatten(part, 1, (heads, -1)).flatten(3).mT for part in torch.split(qkv, widths, dim=1)
    )
    # The compiler of torch 2.9 cannot follow properties of a named tuple.
    query = query * float(s.key**-0.5)
    grid = torch.unflatten(query, 2, (s.height, s.width))
    by_row = torch.einsum("bnyxd,yzd->bnyxz", grid, by_pair(relative_height.to(qkv.dtype), s.height))
    by_column = torch.einsum("bnyxd,xwd->bnyxw", grid, by_pair(relative_width.to(qkv.dtype), s.width))
    biases = torch.cat([by_row, by_column], 4).flatten(2, 3)
    place = torch.arange(s.height * s.width, device=qkv.device)
    rows, columns = F.one_hot(place // s.width, s.height), F.one_hot(place % s.width, s.width)
    places = torch.cat([rows, columns], 1).to(qkv.dtype).expand(*key.shape[:2], -1, -1)
    # A value as wide as the key lets the fast implementations take it.
    padded = F.pad(value, (0, max(0, s.key + s.height + s.width - s.value)))
    out = F.scaled_dot_product_attention(torch.cat([query, biases], 3), torch.cat([key, places], 3), padded, scale=1.0)
    return torch.unflatten(out[..., : s.value].mT.flatten(1, 2), 2, (s.height, s.width))
