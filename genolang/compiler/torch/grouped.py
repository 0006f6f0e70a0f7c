"""Layers of one kind as one call: for a GPU, where so small a call is mostly waited for.

Their results lie side by side in one map, as the next such layers want them; for anybody else they are
copied apart, all at once.

Weights are put together anew in every pass, since each belongs to a layer of its own. That takes calls
too, so it begins at `FEWEST` layers; counted, not timed: no GPU has run it.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

# Forward and backward, two depthwise convolutions of one map are seven calls apart and eight together.
FEWEST = 3


class Row:
    """Maps (B, C, H, W) side by side in one, (B, count * C, H, W)."""

    def __init__(self, whole: Tensor, count: int) -> None:
        self._whole, self._count = whole, count
        self._apart: tuple[Tensor, ...] = ()

    def results(self) -> list[Centred]:
        parts = self._whole.chunk(self._count, 1)
        return [Centred(part, None, self, place) for place, part in enumerate(parts)]

    def apart(self) -> tuple[Tensor, ...]:
        """The maps, each in memory of its own."""
        if not self._apart:
            B, _, H, W = self._whole.shape
            self._apart = self._whole.view(B, self._count, -1, H, W).transpose(0, 1).contiguous().unbind()
        return self._apart


class Centred(NamedTuple):
    """A depthwise convolution's result; in training on a CPU without its channels' means. Where it stands in
    a row it has a place there."""

    map: Tensor
    mean: Tensor | None = None
    row: Row | None = None
    place: int = 0

    def alone(self) -> Tensor:
        """The map as something that is no part of another one."""
        return self.map if self.row is None else self.row.apart()[self.place]


def as_one(x: Tensor) -> bool:
    """Whether layers that read maps like this one run as one call."""
    return x.is_cuda and not torch.compiler.is_compiling() and x.numel() > 0


def depthwise_convs(maps: Sequence[Tensor], convs: Sequence[Any]) -> list[Centred]:
    """Depthwise convolutions (C, 1, k, k) without biases, of one map or of one each; those of one window
    that stand in a row as one."""
    results: list[Centred] = []
    each = maps if len(maps) > 1 else [*maps] * len(convs)
    for _, pairs in groupby(zip(convs, each, strict=True), lambda pair: _window(pair[0])):
        some, given = zip(*pairs, strict=True)
        if len(some) < FEWEST:
            results += [Centred(conv(x)) for conv, x in zip(some, given, strict=True)]
        elif len(maps) == 1:
            results += Row(_of_one(maps[0], some), len(some)).results()
        else:
            x, first = side_by_side(given), some[0]
            weights = torch.cat([conv.weight for conv in some])
            y = F.conv2d(x, weights, None, first.stride, first.padding, first.dilation, x.shape[1])
            results += Row(y, len(some)).results()
    return results


def _window(conv: Any) -> tuple[Any, ...]:
    return conv.kernel_size, conv.stride, conv.padding, conv.dilation


def _of_one(x: Tensor, convs: Sequence[Any]) -> Tensor:
    """As many results a channel as there are convolutions; `x` is neither repeated nor kept twice."""
    first, count, channels = convs[0], len(convs), x.shape[1]
    # Channel by channel, by a copy of the weights: gradients of a stack would lie scattered.
    weights = torch.cat([conv.weight for conv in convs]).view(count, channels, 1, *first.kernel_size)
    weights = weights.transpose(0, 1).flatten(0, 1)
    y = F.conv2d(x, weights, None, first.stride, first.padding, first.dilation, channels)
    B, _, H, W = y.shape
    return y.view(B, channels, count, H, W).transpose(1, 2).flatten(1, 2)


def norm_convs(maps: Sequence[Tensor], convs: Sequence[Any], norms: Sequence[Any], *, relu: bool) -> tuple[Tensor, ...]:
    """1x1 convolutions (O, C, 1, 1) without biases and batch norms, alike, one for each map; maybe ReLUs."""
    x, count = side_by_side(maps), len(maps)
    y = F.conv2d(x, torch.cat([conv.weight for conv in convs]), groups=count)
    y = _normalised(y, norms)
    return torch.relu(y).chunk(count, 1) if relu else y.chunk(count, 1)


def _normalised(y: Tensor, norms: Sequence[Any]) -> Tensor:
    first, count = norms[0], len(norms)
    if first.training and y.numel() == y.shape[1]:
        raise ValueError("batch norm cannot train on a single value per channel: use a batch of two or more")
    scale = torch.cat([norm.weight for norm in norms]) if first.affine else None
    shift = torch.cat([norm.bias for norm in norms]) if first.affine else None
    mean = torch.cat([norm.running_mean for norm in norms])
    variance = torch.cat([norm.running_var for norm in norms])
    result = torch.batch_norm(
        y, scale, shift, mean, variance, first.training, first.momentum, first.eps, torch.backends.cudnn.enabled
    )
    if first.training:
        kept = [*(norm.running_mean for norm in norms), *(norm.running_var for norm in norms)]
        torch._foreach_copy_(kept, [*mean.chunk(count), *variance.chunk(count)])
    return result


def side_by_side(maps: Sequence[Tensor]) -> Tensor:
    """The maps as one along their channels: the map that they are all the parts of, or a copy."""
    whole, first = maps[0]._base, maps[0]
    if whole is None or whole.dim() != 4 or whole.shape[1] != len(maps) * first.shape[1]:
        return torch.cat([*maps], 1)
    step = first.shape[1] * whole.stride(1)
    parts = all(
        x._base is whole
        and x.shape == first.shape
        and x.stride() == whole.stride()
        and x.storage_offset() == whole.storage_offset() + number * step
        for number, x in enumerate(maps)
    )
    return whole if parts else torch.cat([*maps], 1)
