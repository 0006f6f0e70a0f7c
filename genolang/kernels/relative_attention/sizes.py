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


def centre(table: Tensor, length: int) -> Tensor:
    """The rows of a table that a map of this length needs: offsets -(length-1) to length-1."""
    start = table.shape[0] // 2 - (length - 1)
    return table[start : start + 2 * length - 1]


def by_pair(table: Tensor, length: int) -> Tensor:
    """(L, L, d): the row of a table for the offset from one position to another."""
    place = torch.arange(length, device=table.device)
    return table[place[None, :] - place[:, None] + table.shape[0] // 2]
