"""2D relative self-attention as it is defined, with the logits of all pairs of pixels in memory."""

from __future__ import annotations

import torch
from torch import Tensor

from genolang.kernels.relative_attention.sizes import by_pair, sizes


def relative_attention(qkv: Tensor, relative_height: Tensor, relative_width: Tensor, heads: int) -> Tensor:
    """The logit of pixel i for pixel j is q_i . (k_j + rW[jx - ix] + rH[jy - iy]) / sqrt(d).

    Source: Bello et al. 2019, "Attention Augmented Convolutional Networks", equations 2 and 3.
    """
    s = sizes(qkv, relative_height, relative_width, heads)
    wide = qkv.float() if qkv.dtype in (torch.float16, torch.bfloat16) else qkv
    # Queries and keys (B, heads, H*W, d), values (B, heads, H*W, e).
    q, k, v = (
        torch.unflatten(part, 1, (heads, -1)).flatten(3).mT
        for part in torch.split(wide, [heads * s.key, heads * s.key, heads * s.value], dim=1)
    )
    q = q * float(s.key**-0.5)
    grid = torch.unflatten(q, 2, (s.height, s.width))
    # y, x: the query's place; z, w: the key's.
    below = torch.einsum("bnyxd,yzd->bnyxz", grid, by_pair(relative_height.to(wide.dtype), s.height))
    right = torch.einsum("bnyxd,xwd->bnyxw", grid, by_pair(relative_width.to(wide.dtype), s.width))
    added = below[..., :, None] + right[..., None, :]
    logits = q @ k.mT + added.flatten(4).flatten(2, 3)
    out = logits.softmax(3) @ v
    return torch.unflatten(out.mT.flatten(1, 2), 2, (s.height, s.width)).to(qkv.dtype)
