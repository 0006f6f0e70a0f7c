"""2D relative self-attention as it is defined, with all logits in memory: slow and plain."""

from __future__ import annotations

import torch
from torch import Tensor

from genolang.kernels.relative_attention.sizes import by_pair, sizes


def relative_attention(
    qkv: Tensor, relative_height: Tensor, relative_width: Tensor, heads: int
) -> Tensor:
    """The logit of pixel i for pixel j is q_i . (k_j + rW[jx - ix] + rH[jy - iy]) / sqrt(d).

    Source: Bello et al. 2019, "Attention Augmented Convolutional Networks", equations 2 and 3.
    """
    s = sizes(qkv, relative_height, relative_width, heads)
    wide = qkv.float() if qkv.dtype in (torch.float16, torch.bfloat16) else qkv
    q, k, v = (
        torch.unflatten(part, 1, (heads, -1))
        for part in torch.split(wide, [heads * s.key, heads * s.key, heads * s.value], dim=1)
    )
    rows = by_pair(relative_height.to(wide.dtype), s.height)
    columns = by_pair(relative_width.to(wide.dtype), s.width)
    # y, x: the query's place; z, w: the key's.
    content = torch.einsum("bndyx,bndzw->bnyxzw", q, k)
    vertical = torch.einsum("bndyx,yzd->bnyxz", q, rows)
    horizontal = torch.einsum("bndyx,xwd->bnyxw", q, columns)
    logits = (content + vertical[..., :, None] + horizontal[..., None, :]) * s.scale
    weights = logits.flatten(4).softmax(-1).view_as(logits)
    out = torch.einsum("bnyxzw,bnezw->bneyx", weights, v)
    return out.reshape(s.batch, heads * s.value, s.height, s.width).to(qkv.dtype)
