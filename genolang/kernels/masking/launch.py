"""Launching the Triton kernels of masking. Triton is imported with the first launch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from genolang.kernels.maps import memory_format_of, on_device_of
from genolang.kernels.masking.gate import CHANNEL, SPATIAL, Gate
from genolang.kernels.record import Configuration

# Tiles of [channels, positions]: rows go over positions, columns over channels.
CONFIGURATIONS = {
    "flat": Configuration({"BLOCK": 1024}),
    "rows 64": Configuration({"CHANNELS": 32, "BLOCK": 64}),
    "rows 256": Configuration({"CHANNELS": 8, "BLOCK": 256}),
    "rows 1024": Configuration({"CHANNELS": 2, "BLOCK": 1024}),
    "rows 4096": Configuration({"CHANNELS": 1, "BLOCK": 4096}, warps=8),
    # With two channels, the recalibration's backward spills in float16.
    "row 1024": Configuration({"CHANNELS": 1, "BLOCK": 1024}),
    "rows channels_last": Configuration({"CHANNELS": 32, "BLOCK": 64}),
    "columns 64": Configuration({"CHANNELS": 32, "BLOCK": 64}),
    "columns 128": Configuration({"CHANNELS": 8, "BLOCK": 128}),
    "columns channels_last": Configuration({"CHANNELS": 64, "BLOCK": 16}),
}
# The grid's last two axes end at 65535 programs; rows and columns have the smallest tiles.
MOST_CHANNELS = 65535
MOST_POSITIONS = 65535 * 16

Saved = tuple[Tensor, ...]


def masked_forward(t: Tensor, m: Tensor, gate: Gate) -> tuple[Tensor, Saved]:
    """The masked map, and what backward needs besides t."""
    how = memory_format_of(t)
    t, m = t.contiguous(memory_format=how), m.contiguous(memory_format=how)
    out = torch.empty_like(t, dtype=torch.promote_types(t.dtype, m.dtype))
    sizes, last = _sizes(t), how == torch.channels_last
    wide = torch.promote_types(out.dtype, torch.float32)
    if gate.kind == SPATIAL:
        means, deviations = (torch.empty(t.shape[:2], dtype=wide, device=t.device) for _ in range(2))
        _run("spatial_forward", _grid(t, _rows(t, last), "channels"), wide,
             t, m, out, means, deviations, *sizes,
             EPS=gate.eps, RESIDUAL=gate.residual, LAST=last)  # fmt: skip
        return out, (m, means, deviations)
    if gate.kind == CHANNEL:
        norms = torch.empty((t.shape[0], *t.shape[2:]), dtype=wide, device=t.device)
        _run("channel_forward", _grid(t, _columns(t, last), "positions"), wide, t, m, out, norms, *sizes,
             EPS=gate.eps, RESIDUAL=gate.residual, SIGMOID=gate.sigmoid, LAST=last)  # fmt: skip
        return out, (m, norms)
    _run("mixed_forward", _flat(t), wide, t, m, out, t.numel(), RESIDUAL=gate.residual)
    return out, (m,)


def masked_backward(
    g: Tensor, t: Tensor, saved: Saved, gate: Gate, needs: Sequence[bool]
) -> tuple[Tensor | None, Tensor | None]:
    """Gradients to the map and to the logits."""
    how = memory_format_of(t)
    m, *kept = saved
    g, t, m = (x.contiguous(memory_format=how) for x in (g, t, m))
    # What is not needed is not written: any tensor may stand there.
    to_t, to_m = (torch.empty_like(x) if need else g for x, need in zip((t, m), needs, strict=True))
    sizes, last = _sizes(t), how == torch.channels_last
    wide = torch.promote_types(g.dtype, torch.float32)
    wanted = {"RESIDUAL": gate.residual, "NEED_T": needs[0], "NEED_M": needs[1]}
    if gate.kind == SPATIAL:
        _run("spatial_backward", _grid(t, _rows(t, last), "channels"), wide,
             g, t, m, *kept, to_t, to_m, *sizes, EPS=gate.eps, LAST=last, **wanted)  # fmt: skip
    elif gate.kind == CHANNEL:
        _run("channel_backward", _grid(t, _columns(t, last), "positions"), wide,
             g, t, m, *kept, to_t, to_m, *sizes,
             EPS=gate.eps, SIGMOID=gate.sigmoid, LAST=last, **wanted)  # fmt: skip
    else:
        _run("mixed_backward", _flat(t), wide, g, t, m, to_t, to_m, t.numel(), **wanted)
    return to_t if needs[0] else None, to_m if needs[1] else None


def recalibrated_forward(x: Tensor, f: Tensor, m: Tensor, relu: bool) -> tuple[Tensor, Tensor]:
    """The recalibrated map, and the logits."""
    how = memory_format_of(x)
    x, f, m = (t.contiguous(memory_format=how) for t in (x, f, m))
    out = torch.empty_like(x, dtype=torch.promote_types(torch.promote_types(x.dtype, f.dtype), m.dtype))
    wide = torch.promote_types(out.dtype, torch.float32)
    last, mask = how == torch.channels_last, mask_of(f, m)
    _run("recalibrate_forward", _grid(x, _tiles(x, mask, last), "both"), wide, x, f, m, out, *_sizes(x),
         MASK=mask, RELU=relu, LAST=last)  # fmt: skip
    return out, m


def recalibrated_backward(
    g: Tensor, f: Tensor, m: Tensor, y: Tensor | None, needs: Sequence[bool]
) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
    """Gradients to x, f and the logits; y is the result where it went through a ReLU."""
    how = memory_format_of(f)
    g, f, m = (t.contiguous(memory_format=how) for t in (g, f, m))
    # Without a ReLU the gradient to x is the gradient itself.
    own_x = needs[0] and y is not None
    to_x = torch.empty_like(g) if own_x else g
    to_f, to_m = (torch.empty_like(t) if need else g for t, need in zip((f, m), needs[1:], strict=True))
    last, mask = how == torch.channels_last, mask_of(f, m)
    if own_x or any(needs[1:]):
        over = {"channel": "channels", "spatial": "positions"}.get(mask, "both")
        wide = torch.promote_types(g.dtype, torch.float32)
        result = g if y is None else y.contiguous(memory_format=how)
        _run("recalibrate_backward", _grid(f, _tiles(f, mask, last), over), wide,
             g, f, m, result, to_x, to_f, to_m, *_sizes(f), MASK=mask, RELU=y is not None,
             NEED_X=own_x, NEED_F=needs[1], NEED_M=needs[2], LAST=last)  # fmt: skip
    return to_x if needs[0] else None, to_f if needs[1] else None, to_m if needs[2] else None


def mask_of(f: Tensor, m: Tensor) -> str:
    """Whether logits are a map, one value a channel, or one a position."""
    if m.shape == f.shape:
        return "full"
    return "channel" if m.shape[1] == f.shape[1] else "spatial"


Grid = tuple[str, tuple[int, ...]]


def _flat(x: Tensor) -> Grid:
    return "flat", (-(-x.numel() // CONFIGURATIONS["flat"].blocks["BLOCK"]),)


def _grid(x: Tensor, configuration: str, over: str) -> Grid:
    """The configuration, and programs by image, and by tile along what none of them goes over itself."""
    blocks = CONFIGURATIONS[configuration].blocks
    channels, positions = _sizes(x)
    return configuration, (
        x.shape[0],
        1 if over == "positions" else -(-channels // blocks["CHANNELS"]),
        1 if over == "channels" else -(-positions // blocks["BLOCK"]),
    )


def _run(kernel: str, where: Grid, wide: torch.dtype, first: Tensor, *args: Any, **how: Any) -> None:
    import triton.language as tl

    from genolang.kernels.masking.fused import KERNELS

    configuration, grid = where
    chosen = CONFIGURATIONS[configuration]
    with on_device_of(first):
        KERNELS[kernel][grid](
            first, *args, **how, **chosen.blocks, ACC=tl.float64 if wide == torch.float64 else tl.float32,
            num_warps=chosen.warps, num_stages=chosen.stages,
        )  # fmt: skip


def _sizes(x: Tensor) -> tuple[int, int]:
    return x.shape[1], x.shape[2] * x.shape[3]


def _rows(x: Tensor, last: bool) -> str:
    count = x.shape[2] * x.shape[3]
    return "rows channels_last" if last else f"rows {next((b for b in (64, 256, 1024) if count <= b), 4096)}"


def _columns(x: Tensor, last: bool) -> str:
    if last:
        return "columns channels_last"
    return "columns 64" if x.shape[2] * x.shape[3] <= 64 else "columns 128"


def _tiles(x: Tensor, mask: str, last: bool) -> str:
    rows = {"rows 1024": "row 1024"}.get(_rows(x, last), _rows(x, last))
    return rows if mask == "channel" else _columns(x, last)
