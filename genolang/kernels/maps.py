"""How maps (B, C, H, W) lie in memory."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor


def memory_format_of(x: Tensor) -> torch.memory_format:
    """channels_last where the map is that and nothing else, else contiguous."""
    last = x.is_contiguous(memory_format=torch.channels_last) and not x.is_contiguous()
    return torch.channels_last if last else torch.contiguous_format


def regular(x: Tensor) -> Tensor:
    """One image with its channels last at the distance from a next one that this layout has: torch's batch
    norm takes it for the other layout elsewhere, and reads wrong numbers."""
    if x.shape[0] != 1 or x.stride(0) == x.numel() or memory_format_of(x) != torch.channels_last:
        return x
    rows = x.permute(0, 2, 3, 1).flatten(0, 1)
    return torch.unflatten(rows, 0, (1, -1)).permute(0, 3, 1, 2)


def maps_like(x: Tensor, count: int, memory_format: torch.memory_format | None = None) -> Tensor:
    """An uninitialised buffer (count, B, C, H, W) of maps in the layout of x, or in the given one."""
    if (memory_format or memory_format_of(x)) != torch.channels_last:
        return x.new_empty((count, *x.shape))
    batch, channels, height, width = x.shape
    return x.new_empty((count, batch, height, width, channels)).permute(0, 1, 4, 2, 3)


def on_device_of(x: Tensor) -> AbstractContextManager[object]:
    """Launch where the tensor is: Triton launches on the current device."""
    return torch.cuda.device(x.device) if x.is_cuda else nullcontext()
