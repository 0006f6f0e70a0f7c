"""What each primitive without weights is in torch, as a function of maps (B, C, H, W)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Size, Tensor
from torch.nn import functional as F

from genolang.compiler.torch.activations import ACTIVATIONS, make_activation
from genolang.compiler.torch.planned import (
    broadcast_shape,
    planned,
    planned_concat,
    planned_largest,
    planned_pooled,
    planned_product,
    planned_result,
)
from genolang.primitives import PRIMITIVES, REDUCED, MapType, padding, pair

Attrs = Mapping[str, Any]
Function = Callable[..., Tensor]


def make_function(layer: str, attrs: Attrs, types: list[MapType]) -> Function:
    """A layer without weights, as a function of its maps."""
    return make_activation(layer, attrs) if layer in ACTIVATIONS else _FUNCTIONS[layer](attrs)


def number(value: Any) -> int | float:
    """A compile-time number as one that torch knows: fractions are exact until here."""
    return value if isinstance(value, int) else float(value)


def _add(attrs: Attrs) -> Function:
    constant = number(attrs["constant"])

    def add(first: Tensor, *rest: Tensor) -> Tensor:
        if first.is_meta:
            return planned(broadcast_shape(first, *rest), first, *rest)
        for other in rest:
            first = first + other
        return first + constant if constant else first

    return add


def _multiply(attrs: Attrs) -> Function:
    constant = number(attrs["constant"])

    def multiply(first: Tensor, *rest: Tensor) -> Tensor:
        for other in rest:
            if first.is_meta:
                first = planned_product(broadcast_shape(first, other), first, other)
            else:
                first = first * other
        if constant == 1:
            return first
        return planned(first.shape, first) if first.is_meta else first * constant

    return multiply


def _max_pool(attrs: Attrs) -> Function:
    k, stride, pad, ceil = pair(attrs["k"]), pair(attrs["stride"]), padding(attrs), attrs["ceil"]

    def max_pool(x: Tensor) -> Tensor:
        if x.is_meta:
            return planned_largest(_shape("max_pool", attrs, x), x)
        return F.max_pool2d(x, k, stride, pad, ceil_mode=ceil)

    return max_pool


def _avg_pool(attrs: Attrs) -> Function:
    k, stride, pad, ceil = pair(attrs["k"]), pair(attrs["stride"]), padding(attrs), attrs["ceil"]
    counted = attrs["count_pad"]

    def avg_pool(x: Tensor) -> Tensor:
        if x.is_meta:
            return planned(_shape("avg_pool", attrs, x), x, saved=(x,))
        return F.avg_pool2d(x, k, stride, pad, ceil, count_include_pad=counted)

    return avg_pool


def _shape(layer: str, attrs: Attrs, *maps: Tensor) -> Size:
    """The shape of a layer's result."""
    types = [MapType(*x.shape[1:]) for x in maps]
    return Size((maps[0].shape[0], *PRIMITIVES[layer].shape(attrs, types)))


def _resize(attrs: Attrs) -> Function:
    like, size = attrs["like"], attrs["size"]
    mode, _, aligned = attrs["mode"].partition("_")
    corners = bool(aligned) if mode == "bilinear" else None
    fixed = None if like else list(pair(size))

    def resize(x: Tensor, partner: Tensor | None = None) -> Tensor:
        if x.is_meta and mode != "area":
            return planned(_shape("resize", attrs, x, *([] if partner is None else [partner])), x)
        target = fixed if partner is None else partner.shape[-2:]
        return F.interpolate(x, size=target, mode=mode, align_corners=corners)

    return resize


def _subsampled(x: Tensor, stride: int, offset: int) -> Tensor:
    rows, columns = -(-x.shape[2] // stride), -(-x.shape[3] // stride)
    y = x[:, :, offset::stride, offset::stride]
    if offset and (y.shape[2] != rows or y.shape[3] != columns):
        # An odd size leaves the shifted grid one short: the missing row and column are zero.
        y = F.pad(y, (0, columns - y.shape[3], 0, rows - y.shape[2]))
    return y


def _subsample(attrs: Attrs) -> Function:
    stride, offset = attrs["stride"], attrs["offset"]
    return lambda x: _subsampled(x, stride, offset)


def _pad_space(attrs: Attrs) -> Function:
    (top, left), (bottom, right) = pair(attrs["before"]), pair(attrs["after"])
    return lambda x: F.pad(x, (left, right, top, bottom))


def _l2_norm(attrs: Attrs) -> Function:
    dims, eps = _axes(attrs), number(attrs["eps"])
    # Neither a norm of half-precision numbers nor `eps` may fit into half precision.
    return lambda x: F.normalize(_single(x), dim=dims, eps=eps).to(x.dtype)  # type: ignore[arg-type]


def _zeros(attrs: Attrs) -> Function:
    stride = attrs["stride"]

    def zeros(x: Tensor) -> Tensor:
        y = x[:, :, ::stride, ::stride]
        return y.new_empty(y.shape) if y.is_meta else torch.zeros_like(y)

    return zeros


def _softmax(attrs: Attrs) -> Function:
    if attrs["over"] == "channels":
        return planned_result(lambda x: x.softmax(1))
    return planned_result(lambda x: x.flatten(2).softmax(2).view_as(x))


def _mean(attrs: Attrs) -> Function:
    groups = attrs["groups"]
    if groups == 1:
        return _averaged(_axes(attrs))

    def mean(x: Tensor) -> Tensor:
        B, C, *size = x.shape
        if x.is_meta:
            return planned(Size((B, groups, *size)), x)
        return x.view(B, groups, C // groups, *size).mean(2)

    return mean


def _single(x: Tensor) -> Tensor:
    return x.to(torch.promote_types(x.dtype, torch.float32))


def _axes(attrs: Attrs) -> tuple[int, ...]:
    return REDUCED[attrs["over"]]


def _standardize(attrs: Attrs) -> Function:
    dims, eps = _axes(attrs), number(attrs["eps"])

    def standardize(x: Tensor) -> Tensor:
        # Squares of half-precision numbers may not fit; a single value has no deviation.
        wide = _single(x)
        count = x.shape[1] if dims == (1,) else x.shape[2] * x.shape[3]
        deviation, mean = torch.std_mean(wide, dims, correction=min(1, count - 1), keepdim=True)
        return ((wide - mean) / (deviation + eps)).to(x.dtype)

    return standardize


def _slice(attrs: Attrs) -> Function:
    start, stop = attrs["start"], attrs["stop"]
    return lambda x: x[:, start:stop]


def _repeat_channels(attrs: Attrs) -> Function:
    times = attrs["times"]
    return lambda x: x.repeat_interleave(times, dim=1)


def _pad_channels(attrs: Attrs) -> Function:
    out = attrs["out"]

    def pad_channels(x: Tensor) -> Tensor:
        more = out - x.shape[1]
        return F.pad(x, (0, 0, 0, 0, more // 2, more - more // 2))

    return pad_channels


def _averaged(dims: tuple[int, ...]) -> Function:
    return lambda x: planned_pooled(x, dims) if x.is_meta else x.mean(dims, keepdim=True)


def _concat(*maps: Tensor) -> Tensor:
    return planned_concat(maps) if maps[0].is_meta else torch.cat(maps, 1)


def _global_max(x: Tensor) -> Tensor:
    # Unlike amax, this sends the gradient to one position only, as the published modules do.
    return planned_largest(Size((*x.shape[:2], 1, 1)), x) if x.is_meta else F.adaptive_max_pool2d(x, 1)


def _max(attrs: Attrs) -> Function:
    if attrs["over"] == "space":
        return _global_max
    (axis,) = _axes(attrs)
    return lambda x: x.max(dim=axis, keepdim=True).values


def _matmul(a: Tensor, b: Tensor) -> Tensor:
    if a.is_meta:
        return planned_product(_shape("matmul", {}, a, b), a, b)
    rows, columns, kind = a.flatten(2), b.flatten(2), a.device.type
    single = a.dtype == b.dtype == torch.float32
    if single and torch.is_autocast_enabled(kind):
        # Autocast would take single precision away where it was asked for.
        with torch.autocast(kind, enabled=False):
            product = torch.matmul(rows, columns)
    else:
        product = torch.matmul(rows, columns)
    return product.view(*product.shape[:2], *b.shape[2:])


def _transpose(x: Tensor) -> Tensor:
    return x.flatten(2).transpose(1, 2).unsqueeze(3)


def _moved(layer: str, function: Callable[..., Tensor], argument: str) -> Callable[[Attrs], Function]:
    """What moves numbers about, of one argument."""

    def make(attrs: Attrs) -> Function:
        value = attrs[argument]
        return lambda x: planned(_shape(layer, attrs, x), x) if x.is_meta else function(x, value)

    return make


def _adaptive_max_pool(attrs: Attrs) -> Function:
    size = pair(attrs["size"])

    def adaptive_max_pool(x: Tensor) -> Tensor:
        if x.is_meta:
            return planned_largest(_shape("adaptive_max_pool", attrs, x), x)
        return F.adaptive_max_pool2d(x, size)

    return adaptive_max_pool


def coordinates(x: Tensor) -> Tensor:
    """Rows and columns (B, 2, H, W) of a map, from -1 to 1; 0 where there is only one."""
    B, _, H, W = x.shape
    rows, columns = ((2 * torch.arange(n, device=x.device, dtype=x.dtype) - (n - 1)) / max(n - 1, 1) for n in (H, W))
    return torch.stack((rows[:, None].expand(H, W), columns.expand(H, W))).expand(B, 2, H, W)


def sinusoids(x: Tensor, channels: int, temperature: float) -> Tensor:
    """Sines and cosines (B, channels, H, W) of rows and of columns (Vaswani et al., 2017, in two dimensions)."""
    B, _, H, W = x.shape
    quarter = channels // 4
    steps = torch.arange(quarter, device=x.device, dtype=torch.promote_types(x.dtype, torch.float32))
    rates = temperature ** (-steps / max(quarter - 1, 1))
    rows, columns = (rates[:, None] * torch.arange(n, device=x.device) for n in (H, W))
    tall = torch.cat((rows.sin(), rows.cos()))[:, :, None].expand(-1, H, W)
    wide = torch.cat((columns.sin(), columns.cos()))[:, None].expand(-1, H, W)
    return torch.cat((tall, wide)).to(x.dtype).expand(B, channels, H, W)


def _sinusoids(attrs: Attrs) -> Function:
    channels, temperature = attrs["channels"], float(attrs["temperature"])
    return lambda x: sinusoids(x, channels or x.shape[1], temperature)


def _plain(function: Function) -> Callable[[Attrs], Function]:
    return lambda attrs: function


_FUNCTIONS: dict[str, Callable[[Attrs], Function]] = {
    "softmax": _softmax,
    "standardize": _standardize,
    "l2_norm": _l2_norm,
    "max_pool": _max_pool,
    "avg_pool": _avg_pool,
    "adaptive_max_pool": _adaptive_max_pool,
    "global_avg_pool": lambda attrs: _averaged((2, 3)),
    "global_max_pool": _plain(_global_max),
    "mean": _mean,
    "max": _max,
    "concat": _plain(_concat),
    "slice": _slice,
    "repeat_channels": _repeat_channels,
    "channel_shuffle": _moved("channel_shuffle", F.channel_shuffle, "groups"),
    "pixel_shuffle": _moved("pixel_shuffle", F.pixel_shuffle, "r"),
    "pixel_unshuffle": _moved("pixel_unshuffle", F.pixel_unshuffle, "r"),
    "coordinates": _plain(coordinates),
    "sinusoids": _sinusoids,
    "pad_channels": _pad_channels,
    "add": _add,
    "subtract": _plain(torch.sub),
    "multiply": _multiply,
    "divide": _plain(torch.div),
    "resize": _resize,
    "pad_space": _pad_space,
    "subsample": _subsample,
    "zeros": _zeros,
    "matmul": _plain(_matmul),
    "transpose": _plain(_transpose),
    "single_precision": _plain(_single),
    "precision": _plain(lambda x, like: x.to(like.dtype)),
    "identity": _plain(lambda x: x),
}
