"""Maps in channels_last order as matrices of pixels by channels, and several maps as one."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def last(x: Tensor) -> Tensor:
    """The map with its channels last in memory, a slice of such a map as it is."""
    if x.stride(1) == 1 and pixels_merge(x):
        return x
    return x.contiguous(memory_format=torch.channels_last)


def pixels_merge(x: Tensor) -> bool:
    """Whether the pixels of (B, C, H, W) lie at one distance from each other."""
    B, _, H, W = x.shape
    images, _, rows, columns = x.stride()
    return (W == 1 or H == 1 or rows == W * columns) and (
        B == 1 or images == H * (rows if H > 1 else W * columns)
    )


def matrix(x: Tensor) -> Tensor:
    """(B, C, H, W) as (B * H * W, C), without a copy where `last` holds."""
    return x.permute(0, 2, 3, 1).reshape(-1, x.shape[1])


def unmatrix(pixels: Tensor, like: Tensor) -> Tensor:
    """(B * H * W, C) as a map with the batch and size of another one."""
    B, _, H, W = like.shape
    return pixels.view(B, H, W, pixels.shape[1]).permute(0, 3, 1, 2)


def joined(maps: Sequence[Tensor]) -> Tensor:
    """The maps side by side in the channels; without a copy where they are slices that lie so."""
    if len(maps) == 1:
        return last(maps[0])
    first = maps[0]
    B, C, H, W = first.shape
    strides = (H * W * C * len(maps), 1, W * C * len(maps), C * len(maps))
    start = first.storage_offset()
    aligned = all(
        x.shape == first.shape and x.stride() == strides and x.storage_offset() == start + index * C
        for index, x in enumerate(maps)
    )
    if aligned and len({x.untyped_storage().data_ptr() for x in maps}) == 1:
        return first.as_strided((B, C * len(maps), H, W), strides, start)
    return torch.cat([last(x) for x in maps], 1)


def slices(x: Tensor, count: int) -> tuple[Tensor, ...]:
    """The inverse of `joined`: views of equal numbers of channels."""
    return x.chunk(count, 1) if count > 1 else (x,)
