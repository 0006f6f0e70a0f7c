"""Depthwise convolutions of square, odd windows, and their two gradients, for channels_last maps.

oneDNN's fast weight gradient takes windows of up to three columns without dilation and with at most
one column of padding; what it falls back to is 5 to 30 times slower. Columns are folded into channels
until every window is of that kind: with a map seen as (B, f * C, H, W / f), which is the same memory,
taps that are f columns apart become neighbours.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

_gradients = torch.ops.aten.convolution_backward


class Window(NamedTuple):
    """A depthwise window of size x size taps; padding keeps the size at stride 1."""

    size: int
    stride: int = 1
    dilation: int = 1

    @property
    def reach(self) -> int:
        return self.dilation * (self.size // 2)

    @property
    def thins(self) -> bool:
        """Whether the window reads every stride-th row and column only."""
        return self.stride > 1 and self.dilation % self.stride == 0

    @property
    def thinned(self) -> Window:
        """The same window on the rows and columns that it reads."""
        return Window(self.size, 1, self.dilation // self.stride)


def convolve(x: Tensor, weight: Tensor, window: Window) -> Tensor:
    """(B, C, H, W) by weights (C, 1, k, k)."""
    if window.thins:
        return convolve(thin(x, window.stride), weight, window.thinned)
    return F.conv2d(x, weight, None, window.stride, window.reach, window.dilation, x.shape[1])


def thin(x: Tensor, stride: int) -> Tensor:
    return x[:, :, ::stride, ::stride].contiguous(memory_format=torch.channels_last)


def input_gradient(gradient: Tensor, x: Tensor, weight: Tensor, window: Window) -> Tensor:
    """To the convolved map; of `x` only the shape counts."""
    if window.stride == 1:
        # Dilated, the library's backward is slow and its forward is not.
        return convolve(gradient, weight.flip(2, 3), window)
    if window.thins:
        found = torch.zeros_like(x, memory_format=torch.channels_last)
        found[:, :, :: window.stride, :: window.stride] = convolve(gradient, weight.flip(2, 3), window.thinned)
        return found
    return _library(gradient, x, weight, window, [True, False, False])[0]


def weight_gradient(gradient: Tensor, x: Tensor, window: Window) -> Tensor:
    """To the weights (C, 1, k, k); the map and the gradient with all channels in a row."""
    if window.thins:
        return weight_gradient(gradient, thin(x, window.stride), window.thinned)
    if window == (5, 2, 1) and x.shape[3] % 2 == 0:
        return _halving_gradient(gradient, x, window)
    if window.stride > 1 or (window.size == 3 and window.dilation == 1) or window.size == 1:
        shape = (x.shape[1], 1, window.size, window.size)
        return _library(gradient, x, x.new_empty(shape), window, [False, True, False])[1]
    if window.size == 3 and x.shape[3] % window.dilation == 0:
        return _neighbours(gradient, x, window)
    return _folded_gradient(gradient, x, window)


def _library(
    gradient: Tensor,
    x: Tensor,
    weight: Tensor,
    window: Window,
    wanted: list[bool],
    stride: tuple[int, int] | None = None,
    padding: tuple[int, int] | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    found: tuple[Tensor, Tensor, Tensor] = _gradients(
        gradient,
        x,
        weight,
        None,
        stride or [window.stride] * 2,
        padding or [window.reach] * 2,
        [window.dilation] * 2,
        False,
        [0, 0],
        x.shape[1],
        wanted,
    )
    return found


def _three_columns(gradient: Tensor, x: Tensor, rows: int, padding: tuple[int, int], stride: int = 1) -> Tensor:
    """Weight gradient (C, 1, rows, 3) of a plain window."""
    weight = x.new_empty((x.shape[1], 1, rows, 3))
    return _library(gradient, x, weight, Window(3), [False, True, False], (stride, 1), padding)[1]


def _fold(x: Tensor, by: int) -> Tensor:
    """(B, C, H, W) as (B, by * C, H, W / by): channels of neighbouring columns, without a copy."""
    B, C, H, W = x.shape
    return x.permute(0, 2, 3, 1).reshape(B, H, W // by, by * C).permute(0, 3, 1, 2)


def _unfold(found: Tensor, channels: int, dilation: int) -> Tensor:
    """(f * C, 1, rows, 3) added up over the folded columns, rows between the taps left out."""
    f = found.shape[0] // channels
    return found.view(f, channels, 1, *found.shape[2:]).sum(0)[:, :, ::dilation]


def _neighbours(gradient: Tensor, x: Tensor, window: Window) -> Tensor:
    """Three columns of taps, `dilation` apart: neighbours once as many columns are folded."""
    d = window.dilation
    found = _three_columns(_fold(gradient, d), _fold(x, d), 2 * d + 1, (d, 1))
    return _unfold(found, x.shape[1], d)


def _halving_gradient(gradient: Tensor, x: Tensor, window: Window) -> Tensor:
    """Stride 2 in columns is stride 1 on even and odd columns apart."""
    found = _three_columns(
        torch.cat([gradient, gradient], 1), _fold(x, 2), window.size, (window.reach, window.reach // 2), 2
    )
    # (2, C, 1, k, 3): tap 2 * o + p of the columns is tap o of the columns with parity p.
    taps = found.view(2, x.shape[1], 1, window.size, 3).permute(1, 2, 3, 4, 0).flatten(3)
    return taps[..., : window.size]


def _put_padded(place: Tensor, x: Tensor, margin: int) -> None:
    """Maps (B, H, W, C) into larger ones, zeros around them."""
    H, W = x.shape[1:3]
    place[:, :margin] = 0
    place[:, margin + H :] = 0
    middle = place[:, margin : margin + H]
    middle[:, :, :margin] = 0
    middle[:, :, margin + W :] = 0
    middle[:, :, margin : margin + W] = x


def _folded_gradient(gradient: Tensor, x: Tensor, window: Window) -> Tensor:
    """More than three columns of taps: one pass for each residue of the taps, on a padded copy.

    With m passes, taps m * dilation columns apart are neighbours after as many columns are folded; each
    pass sees the copy shifted by `dilation` columns, which is another start in the same memory.
    """
    B, C, H, W = x.shape
    d, k, reach = window.dilation, window.size, window.reach
    passes = -(-k // 3)
    f = passes * d
    wide = -(-W // f) * f
    if wide != W:
        gradient = F.pad(gradient, (0, wide - W)).contiguous(memory_format=torch.channels_last)
    rows, columns = H + 2 * reach, wide + 2 * f
    slack = (passes - 1) * d
    memory = x.new_empty((B * rows * columns + slack) * C)
    memory[B * rows * columns * C :] = 0
    _put_padded(memory[: B * rows * columns * C].view(B, rows, columns, C), x.permute(0, 2, 3, 1), reach)
    folded = _fold(gradient, f)
    shape = (B, f * C, rows, columns // f)
    strides = (rows * columns * C, 1, columns * C, f * C)
    found = [
        _three_columns(folded, memory.as_strided(shape, strides, shift * d * C), d * (k - 1) + 1, (0, 0))
        for shift in range(passes)
    ]
    # Tap o of pass s is column s + passes * o of the window.
    taps = torch.stack([_unfold(one, C, d) for one in found], -1).flatten(3)
    return taps[..., :k]


def whole_window(x: Tensor, weight: Tensor) -> Tensor:
    """Depthwise windows as large as the map: (B, C, H, W) by weights (C, 1, H, W) to (B, C, 1, 1)."""
    found: Tensor = _WholeWindow.apply(x, weight)  # type: ignore[no-untyped-call]
    return found


class _WholeWindow(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        return (x * weight[:, 0]).sum((2, 3), keepdim=True)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None]:
        x, weight = ctx.saved_tensors
        needs_x, needs_weight = ctx.needs_input_grad
        # Written out as the map lies, which multiplying would not see.
        to_x = torch.mul(gradient, weight[:, 0], out=torch.empty_like(x)) if needs_x else None
        to_weight = (x * gradient).sum(0)[:, None] if needs_weight else None
        return to_x, to_weight
