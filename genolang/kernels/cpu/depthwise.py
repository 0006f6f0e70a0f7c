"""Several depthwise convolutions at once: of one map, or each of its own."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from genolang.kernels.cpu.maps import joined, last, slices
from genolang.kernels.cpu.windows import Window, convolve, input_gradient, thin, weight_gradient


def depthwise(
    maps: Sequence[Tensor], windows: Sequence[Window], weights: Sequence[Tensor], *, centre: bool = False
) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
    """Convolutions (B, C, H', W') of one map or of as many maps as there are windows, and their means.

    With `centre` every channel's mean (C,) is taken off and handed out apart, without a gradient; the
    gradient that comes back must then have no mean either, which that of any batch norm's input is.
    Convolutions with equal windows run as one. Without `centre` there are no means.
    """
    found: tuple[Tensor, ...] = _Depthwise.apply(tuple(windows), centre, len(maps), *maps, *weights)  # type: ignore[no-untyped-call]
    return found[: len(windows)], found[len(windows) :]


def alike(windows: Iterable[Window]) -> dict[Window, list[int]]:
    """The places of each window."""
    found: dict[Window, list[int]] = {}
    for index, window in enumerate(windows):
        found.setdefault(window, []).append(index)
    return found


class _Sources:
    """The maps as one tensor for every set of equal windows; what several sets read is made once."""

    def __init__(self, maps: Sequence[Tensor]) -> None:
        self.maps = maps
        self.made: dict[tuple[int, int], Tensor] = {}

    def read(self, members: Sequence[int], window: Window) -> tuple[Tensor, Window]:
        """The source of some members and the window in it."""
        if len(self.maps) > 1:
            return joined([self.maps[m] for m in members]), window
        stride = window.stride if window.thins else 1
        key = (len(members), stride)
        if key not in self.made:
            x = thin(self.maps[0], stride) if stride > 1 else last(self.maps[0])
            self.made[key] = torch.cat([x] * len(members), 1) if len(members) > 1 else x
        return self.made[key], window.thinned if stride > 1 else window


class _Depthwise(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, windows: tuple[Window, ...], centre: bool, count: int, *tensors: Tensor
    ) -> tuple[Tensor, ...]:
        maps, weights = tensors[:count], tensors[count:]
        results: list[Tensor] = [*weights]
        means: list[Tensor] = [*weights] if centre else []
        sources = _Sources(maps)
        for window, members in alike(windows).items():
            x, inner = sources.read(members, window)
            weight = weights[members[0]] if len(members) == 1 else torch.cat([weights[m] for m in members])
            y = last(convolve(x, weight, inner))
            if centre:
                mean = y.mean((0, 2, 3))
                y.sub_(mean[:, None, None])
                for member, part in zip(members, mean.chunk(len(members)), strict=True):
                    means[member] = part
            for member, part in zip(members, slices(y, len(members)), strict=True):
                results[member] = part
        ctx.save_for_backward(*tensors)
        ctx.windows, ctx.count = windows, count
        ctx.mark_non_differentiable(*means)
        ctx.set_materialize_grads(False)
        return (*results, *means)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Any, ...]:
        tensors = ctx.saved_tensors
        maps, weights = tensors[: ctx.count], tensors[ctx.count :]
        needed, wanted = ctx.needs_input_grad[3 : 3 + ctx.count], ctx.needs_input_grad[3 + ctx.count :]
        to_maps: list[Tensor | None] = [None] * len(maps)
        to_weights: list[Tensor | None] = [None] * len(weights)
        sources = _Sources(maps)
        live = [window if gradients[index] is not None else None for index, window in enumerate(ctx.windows)]
        for window, members in alike(w for w in ctx.windows).items():
            members = [m for m in members if live[m] is not None]
            if not members:
                continue
            x, inner = sources.read(members, window)
            gradient = joined([g for m in members if (g := gradients[m]) is not None])
            if any(wanted[m] for m in members):
                parts = weight_gradient(gradient, x, inner).chunk(len(members))
                for member, part in zip(members, parts, strict=True):
                    to_weights[member] = part
            if any(needed):
                weight = torch.cat([weights[m] for m in members])
                parts = slices(input_gradient(gradient, x, weight, inner), len(members))
                _add(to_maps, members, parts, maps, window.stride if inner != window else 1)
        return (None, None, None, *to_maps, *to_weights)


def _add(
    found: list[Tensor | None], members: Sequence[int], parts: Sequence[Tensor], maps: Sequence[Tensor], stride: int
) -> None:
    """Add gradients to those of their maps; with a stride they belong to every stride-th pixel."""
    if len(maps) > 1:
        for member, part in zip(members, parts, strict=True):
            found[member] = part
        return
    total = parts[0] if len(parts) == 1 else parts[0] + parts[1]
    for part in parts[2:]:
        total += part
    first = found[0]
    if first is None:
        if stride == 1:
            found[0] = total
            return
        first = found[0] = torch.zeros_like(maps[0], memory_format=torch.channels_last)
    first[:, :, ::stride, ::stride] += total
