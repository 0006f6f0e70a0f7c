"""The sizes of one call, and what all implementations do with the tables."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class Sizes(NamedTuple):
    """B, heads, key and value dimensions of one head, H, W."""

    batch: int
    heads: int
    key: int
    value: int
    height: int
    width: int

    @property
    def pixels(self) -> int:
        return self.height * self.width

    @property
    def scale(self) -> float:
        return float(self.key**-0.5)


def sizes(qkv: Tensor, relative_height: Tensor, relative_width: Tensor, heads: int) -> Sizes:
    """The sizes of the arguments of `relative_attention`. ValueError where they do not fit together."""
    if qkv.dim() != 4 or relative_height.dim() != 2 or relative_width.dim() != 2:
        raise ValueError("relative attention takes a map (B, C, H, W) and two tables (2L-1, key dimension)")
    key = relative_height.shape[1]
    values = qkv.shape[1] - 2 * heads * key
    if relative_width.shape[1] != key or values < 1 or values % heads:
        raise ValueError(
            f"{qkv.shape[1]} channels are not queries, keys and values of {heads} heads with tables of"
            f" {key} and {relative_width.shape[1]} columns"
        )
    found = Sizes(qkv.shape[0], heads, key, values // heads, qkv.shape[2], qkv.shape[3])
    rows, columns = relative_height.shape[0], relative_width.shape[0]
    if rows % 2 == 0 or columns % 2 == 0:
        raise ValueError(f"a table has a row for each offset, an odd number, not {rows} and {columns}")
    if 2 * found.height - 1 > rows or 2 * found.width - 1 > columns:
        raise ValueError(
            f"these relative positions are for maps of up to {(rows + 1) // 2}x{(columns + 1) // 2},"
            f" not {found.height}x{found.width}"
        )
    return found


def kept_for(qkv: Tensor, s: Sizes) -> Tensor:
    """What forward keeps for backward, besides the result: [rows, B * heads, H*W], in float32 at least.

    The last two rows are every query's largest logit and the sum of its weights before the division:
    with the logarithm of the sum, rounded as large logits are, weights of one would be off by as much. Before
    them lies, of a result of two bytes, the one in float32, in the order of `out`: backward takes out . grad
    off what is close to it where the values' mean is large.
    """
    wide = torch.promote_types(qkv.dtype, torch.float32)
    rows = 2 if wide == qkv.dtype else s.value + 2
    return qkv.new_empty((rows, s.batch * s.heads, s.pixels), dtype=wide)


def unpacked(kept: Tensor, out: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The result before it was rounded, the largest logits, and the sums [B * heads, H*W]."""
    return (out if len(kept) == 2 else kept[:-2]), kept[-2], kept[-1]


def centre(table: Tensor, length: int) -> Tensor:
    """The rows of a table that a map of this length needs: offsets -(length-1) to length-1."""
    start = table.shape[0] // 2 - (length - 1)
    return table[start : start + 2 * length - 1]


def by_pair(table: Tensor, length: int) -> Tensor:
    """(L, L, d): the row of a table for the offset from one position to another."""
    place = torch.arange(length, device=table.device)
    return table[place[None, :] - place[:, None] + table.shape[0] // 2]
