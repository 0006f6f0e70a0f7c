"""2D relative self-attention on feature maps: the logits of all pairs of pixels are never in memory."""

from __future__ import annotations

import torch
from torch import Tensor

from genolang.kernels.dispatch import FUSED, REFERENCE, choose
from genolang.kernels.dispatch import why as dispatch_why
from genolang.kernels.relative_attention import exported, operator, reference
from genolang.kernels.relative_attention.configurations import in_tiles
from genolang.kernels.relative_attention.operator import KERNEL, kernel_for
from genolang.kernels.relative_attention.sizes import sizes


def relative_attention(
    qkv: Tensor, relative_height: Tensor, relative_width: Tensor, heads: int, *, use: str | None = None
) -> Tensor:
    """Self-attention of a map's pixels, with learned biases for how far apart their rows and columns are.

    `qkv` (B, 2 * key + value, H, W) holds queries, keys and values, each head by head; the result is
    (B, value, H, W) in its dtype. The tables (2L-1, key / heads) hold a row for each offset from -(L-1)
    to L-1, shared by all heads; a map of fewer rows or columns than L reads their centre. `use` names an
    implementation: fused, cpu, augmented, reference. ValueError where sizes do not fit. First derivatives
    only.
    Source: Bello et al. 2019, "Attention Augmented Convolutional Networks", section 3.
    """
    if use == REFERENCE or 0 in qkv.shape[2:]:
        return reference.relative_attention(qkv, relative_height, relative_width, heads)
    if torch.compiler.is_exporting() or torch._C._get_tracing_state():
        return exported.relative_attention(qkv, relative_height, relative_width, heads)
    return operator.relative_attention(qkv, relative_height, relative_width, heads, use)


def why(qkv: Tensor, relative_height: Tensor, relative_width: Tensor, heads: int, use: str | None = None) -> str:
    """One sentence: which implementation these inputs get, and for what reason; of the fused one, also how
    backward runs."""
    tensors = qkv, relative_height, relative_width
    kernel = kernel_for(*tensors, heads)
    found = dispatch_why(kernel, tensors, use)
    if choose(kernel, tensors, use) != FUSED:
        return found
    tiled = in_tiles(sizes(*tensors, heads), qkv.dtype)
    return f"{found[:-1]}; backward {f'goes in tiles: {tiled}' if tiled else 'takes a head at once'}."


__all__ = ["KERNEL", "relative_attention", "why"]
