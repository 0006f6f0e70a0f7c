"""The layer of 2D relative self-attention."""

from __future__ import annotations

import torch
from torch import Size, Tensor, nn

from genolang.compiler.torch.planned import planned
from genolang.kernels.dispatch import REFERENCE
from genolang.kernels.relative_attention import relative_attention
from genolang.kernels.relative_attention.small import LARGEST
from genolang.semantics.program import Leaf


class RelativeAttention(nn.Module):
    """(B, 2 * key + value, H, W) to (B, value, H, W), for maps up to a size.

    The tables hold a row for each distance, in rows and in columns, that a map of that size has. ValueError
    for a larger map. Source: Bello et al. 2019, sections 3.1 and 3.2; first values as in its appendix.
    """

    def __init__(self, key: int, value: int, heads: int, height: int, width: int, plain: bool = False) -> None:
        super().__init__()
        self.value, self.heads, self.plain = value, heads, plain
        self.relative_height = nn.Parameter(torch.empty(2 * height - 1, key // heads))
        self.relative_width = nn.Parameter(torch.empty(2 * width - 1, key // heads))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        for table in (self.relative_height, self.relative_width):
            if not table.is_meta:
                nn.init.normal_(table, std=table.shape[1] ** -0.5)

    def forward(self, qkv: Tensor) -> Tensor:
        tables = self.relative_height, self.relative_width
        if self.plain:
            return relative_attention(qkv, *tables, self.heads, use=REFERENCE)
        if qkv.is_meta:
            # Saved: the input, the tables, the result, and for every query two numbers or, on small maps
            # (on a CPU), its weights.
            batch, _, height, width = qkv.shape
            pixels = height * width
            extra = batch * self.heads * pixels * (pixels if pixels <= LARGEST else 2)
            return planned(
                Size((batch, self.value, height, width)),
                qkv,
                *tables,
                saved=(qkv, *tables),
                extra=extra,
                save_result=True,
            )
        return relative_attention(qkv, *tables, self.heads)


def make_attention(leaf: Leaf, plain: bool) -> RelativeAttention:
    attrs, x = leaf.attrs, leaf.inputs[0]
    return RelativeAttention(attrs["key"], attrs["value"], attrs["heads"], x.H, x.W, plain)
