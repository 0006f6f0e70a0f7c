"""Launching the Triton kernels of the mixed sum. Triton is imported with the first launch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from genolang.kernels.maps import maps_like, memory_format_of, on_device_of
from genolang.kernels.mixed_sum.norms import Norms
from genolang.kernels.record import Configuration

# A row of more elements does not stay in the registers of one program. Backward goes over it in blocks.
LONGEST_SLAB = 16384
FORWARD_SLABS = (1024, 4096, LONGEST_SLAB)
BACKWARD_SLABS = (1024, 4096, 8192)
# Candidates' flags travel as the bits of one integer.
MOST_CANDIDATES = 62
# The grid's second axis ends here.
MOST_CHANNELS = 65535

CONFIGURATIONS = {
    "slab 1024": Configuration({"BLOCK": 1024}),
    "slab 4096": Configuration({"BLOCK": 4096}, warps=8),
    "slab 16384": Configuration({"BLOCK": 16384}, warps=16),
    "slab 8192": Configuration({"BLOCK": 8192}, warps=16),
    "rows": Configuration({"LINES": 1, "BLOCK": 2048}),
    "flat": Configuration({"LINES": 256, "BLOCK": 8}),
    "channels_last": Configuration({"LINES": 16, "BLOCK": 128}),
    "wide channels_last": Configuration({"LINES": 64, "BLOCK": 32}),
    "merge": Configuration({"ROWS": 32, "CHANNELS": 16}),
}


def forward(xs: Sequence[Tensor], weights: Tensor, norms: Norms) -> tuple[Tensor, Tensor, Tensor]:
    """The sum (B, C, H, W), and the means and reciprocal deviations (T, C) that it used."""
    how_laid = memory_format_of(xs[0])
    last, maps = how_laid == torch.channels_last, tuple(x.contiguous(memory_format=how_laid) for x in xs)
    sizes, name = _plan(maps[0], last, FORWARD_SLABS)
    out = torch.empty_like(maps[0])
    count, (channels, _, size) = len(maps), sizes
    wide = torch.promote_types(out.dtype, torch.float32)
    means, rstds = (torch.empty((count, channels), dtype=wide, device=out.device) for _ in range(2))
    flags = _bits(norms.normalised), _bits(m is not None for m in norms.means)
    kept = _kept(norms.means, weights), _kept(norms.variances, weights)
    how = {"TRAINING": norms.training, "MOMENTUM": norms.momentum, "EPS": norms.eps}
    with on_device_of(out):
        if name.startswith("slab"):
            _run("slab_forward", name, (channels,), wide,
                 maps, weights, *kept, out, means, rstds, count, *flags, *sizes, **how)  # fmt: skip
            return out, means, rstds
        grid = _grid(name, sizes)
        block = CONFIGURATIONS[name].blocks["BLOCK"]
        part = torch.empty((2, count, grid[0], channels), dtype=wide, device=out.device)
        if norms.training and flags[0]:
            _run("partial_statistics", name, (*grid, count), wide, maps, *part, flags[0], *sizes, LAST=last)
        merges = _ceiling(channels, CONFIGURATIONS["merge"].blocks["CHANNELS"])
        _run("finish_statistics", "merge", (count, merges), wide,
             *part, *kept, means, rstds, *flags, grid[0], channels, size, BLOCK=block, **how)  # fmt: skip
        name, grid = _apply(name, sizes)
        _run("apply_forward", name, grid, wide,
             maps, weights, means, rstds, out, count, *sizes, LAST=last, FLAT=name == "flat")  # fmt: skip
    return out, means, rstds


def backward(
    grad: Tensor,
    xs: Sequence[Tensor],
    weights: Tensor,
    statistics: tuple[Tensor, Tensor],
    by_batch: Sequence[bool],
    needs: Sequence[bool],
) -> tuple[list[Tensor | None], Tensor]:
    """Gradients to the maps that need one (views of one buffer), and to the weights."""
    how_laid = memory_format_of(xs[0])
    last, maps = how_laid == torch.channels_last, tuple(x.contiguous(memory_format=how_laid) for x in xs)
    grad = grad.contiguous(memory_format=how_laid)
    sizes, name = _plan(maps[0], last, BACKWARD_SLABS)
    means, rstds = statistics
    count, wide = len(maps), means.dtype
    to_xs = maps_like(maps[0], sum(needs), how_laid)
    sums = torch.empty((count, sizes[0]), dtype=wide, device=grad.device)
    flags = _bits(by_batch), _bits(needs)
    with on_device_of(grad):
        if name.startswith("slab"):
            _run("slab_backward", name, (sizes[0],), wide,
                 grad, maps, weights, means, rstds, to_xs, sums, count, *flags, *sizes)  # fmt: skip
        else:
            grid = _grid(name, sizes)
            parts = torch.empty((count + 1, grid[0], sizes[0]), dtype=wide, device=grad.device)
            _run("partial_products", name, grid, wide,
                 grad, maps, means, rstds, parts, count, *sizes, LAST=last)  # fmt: skip
            sums = parts.sum(1)
            if any(needs):
                name, grid = _apply(name, sizes)
                _run("apply_backward", name, grid, wide,
                     grad, maps, weights, means, rstds, sums, to_xs,
                     count, *flags, *sizes, LAST=last, FLAT=name == "flat")  # fmt: skip
    each = iter(to_xs.unbind())
    return [next(each) if need else None for need in needs], sums[:count].sum(1).to(weights.dtype)


def _run(kernel: str, configuration: str, grid: tuple[int, ...], wide: torch.dtype, *args: Any, **how: Any) -> None:
    import triton.language as tl

    from genolang.kernels.mixed_sum.fused import KERNELS

    chosen = CONFIGURATIONS[configuration]
    KERNELS[kernel][grid](
        *args, **how, **chosen.blocks, ACC=tl.float64 if wide == torch.float64 else tl.float32,
        num_warps=chosen.warps, num_stages=chosen.stages,
    )  # fmt: skip


def _ceiling(whole: int, part: int) -> int:
    return -(-whole // part)


def _plan(x: Tensor, last: bool, slabs: Sequence[int]) -> tuple[tuple[int, int, int], str]:
    """(C, H*W, B*H*W) and the name of the configuration."""
    batch, channels, height, width = x.shape
    size = batch * height * width
    if last:
        name = "wide channels_last" if channels >= 64 else "channels_last"
    elif size > LONGEST_SLAB:
        name = "rows"
    else:
        name = f"slab {next((block for block in slabs if size <= block), slabs[-1])}"
    return (channels, height * width, size), name


def _grid(name: str, sizes: tuple[int, int, int]) -> tuple[int, int]:
    blocks = CONFIGURATIONS[name].blocks
    return _ceiling(sizes[2], blocks["BLOCK"]), _ceiling(sizes[0], blocks["LINES"])


def _apply(name: str, sizes: tuple[int, int, int]) -> tuple[str, tuple[int, int]]:
    """The configuration of the kernels that do not sum, and their grid: unaligned rows are taken as one."""
    channels, area, size = sizes
    block, lines = (CONFIGURATIONS["flat"].blocks[key] for key in ("BLOCK", "LINES"))
    if name != "rows" or area % 16 == 0 or area < block - 1:
        return name, _grid(name, sizes)
    return "flat", (_ceiling(channels * size, block * lines), 1)


def _bits(flags: Any) -> int:
    return sum(1 << index for index, flag in enumerate(flags) if flag)


def _kept(statistics: Sequence[Tensor | None], unread: Tensor) -> tuple[Tensor, ...]:
    """Running statistics as one argument; where there are none, something that is never read."""
    there = next((s for s in statistics if s is not None), unread)
    return tuple(there if s is None else s for s in statistics)
