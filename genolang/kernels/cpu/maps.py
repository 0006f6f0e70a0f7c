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
    expected = None
    for size, step in ((W, columns), (H, rows), (B, images)):
        if size > 1:
            if expected is not None and step != expected:
                return False
            expected = size * step
    return True


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
    if not are_slices(maps):
        return torch.cat([last(x) for x in maps], 1)
    first = maps[0]
    B, C, H, W = first.shape
    C *= len(maps)
    return first.as_strided((B, C, H, W), (H * W * C, 1, W * C, C), first.storage_offset())


def are_slices(maps: Sequence[Tensor]) -> bool:
    """Whether the maps lie side by side in one, in channels_last order."""
    first = maps[0]
    _, C, H, W = first.shape
    wide = C * len(maps)
    strides = [(n, s) for n, s in enumerate((H * W * wide, 1, W * wide, wide)) if first.shape[n] > 1]
    start, storage = first.storage_offset(), first.untyped_storage()._cdata
    return all(
        x.shape == first.shape
        and all(x.stride(n) == s for n, s in strides)
        and x.storage_offset() == start + index * C
        and x.untyped_storage()._cdata == storage
        for index, x in enumerate(maps)
    )


def slices(x: Tensor, count: int) -> tuple[Tensor, ...]:
    """The inverse of `joined`: views of equal numbers of channels."""
    return x.chunk(count, 1) if count > 1 else (x,)
