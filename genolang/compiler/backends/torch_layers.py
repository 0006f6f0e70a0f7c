"""What each primitive is in torch: a module with weights, or a function. (B, C, H, W) throughout."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Self

import torch
from torch import Size, Tensor, nn
from torch.nn import functional as F

from genolang.compiler.backends.planned import (
    broadcast_shape,
    planned,
    planned_concat,
    planned_pooled,
    planned_product,
)
from genolang.compiler.backends.torch_attention import make_attention
from genolang.primitives import REDUCED, MapType, padding, pair
from genolang.semantics.program import Leaf

Attrs = Mapping[str, Any]
Function = Callable[..., Tensor]


class BatchNorm(nn.BatchNorm2d):
    """Batch norm without a batch counter: momentum is fixed here, and the counter costs a kernel.

    State dicts that do have `num_batches_tracked` load all the same.
    """

    def __init__(self, channels: int, attrs: Attrs) -> None:
        super().__init__(channels, attrs["eps"], attrs["momentum"], attrs["affine"])
        self.num_batches_tracked: Tensor | None = None

    def forward(self, input: Tensor) -> Tensor:
        if input.is_meta and self.training:
            # Saved: the input, the scale, and the batch's mean and inverse deviation.
            return planned(input.shape, input, saved=(input, self.weight), extra=2 * input.shape[1])
        if self.training and input.numel() == input.shape[1]:
            raise ValueError(
                "batch norm cannot train on a single value per channel: use a batch of two or more"
            )
        return torch.batch_norm(
            input, self.weight, self.bias, self.running_mean, self.running_var, self.training,
            self.momentum or 0.0, self.eps, torch.backends.cudnn.enabled,
        )  # fmt: skip

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        # A variance may not fit into half precision where its map does.
        def kept(tensor: Tensor) -> Tensor:
            moved = fn(tensor)
            half = moved.dtype in (torch.float16, torch.bfloat16) and tensor.dtype == torch.float32
            return tensor.to(moved.device) if half else moved

        super()._apply(kept, recurse)  # type: ignore[no-untyped-call]
        return self

    def _load_from_state_dict(self, state_dict: Any, prefix: str, *rest: Any) -> None:
        state_dict.pop(prefix + "num_batches_tracked", None)
        nn.Module._load_from_state_dict(self, state_dict, prefix, *rest)


class Conv2d(nn.Conv2d):
    """torch's convolution, which on the meta device has nothing to initialise."""

    def reset_parameters(self) -> None:
        if not self.weight.is_meta:
            super().reset_parameters()

    def forward(self, x: Tensor) -> Tensor:
        rows, columns = self.stride
        strided = self.kernel_size == (1, 1) and rows * columns > 1 and self.padding == (0, 0)
        if strided and not x.is_contiguous():
            # With the channels last, torch 2.13's gradient of this on a CPU writes out of bounds.
            return F.conv2d(x[:, :, ::rows, ::columns], self.weight, self.bias, groups=self.groups)
        return super().forward(x)


class Linear(nn.Linear):
    """A dense layer on (B, C, 1, 1)."""

    def reset_parameters(self) -> None:
        if not self.weight.is_meta:
            super().reset_parameters()

    def forward(self, input: Tensor) -> Tensor:
        flat = input.flatten(1)
        if input.is_meta:
            return planned(Size((flat.shape[0], self.out_features, 1, 1)), flat, saved=(flat, self.weight))
        return F.linear(flat, self.weight, self.bias)[:, :, None, None]


class Scale(nn.Module):
    """A gain and a shift per channel."""

    def __init__(self, channels: int, gain: float, shift: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.full((channels,), gain))
        self.bias = nn.Parameter(torch.full((channels,), shift))

    def forward(self, x: Tensor) -> Tensor:
        y = torch.addcmul(self.bias[:, None, None], x, self.weight[:, None, None])
        return y.to(x.dtype)


class LayerNorm(nn.LayerNorm):
    """Layer norm over the channels at each position of (B, C, H, W)."""

    def forward(self, input: Tensor) -> Tensor:
        return super().forward(input.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class Dropout(nn.Module):
    """Dropout of single values, in training."""

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p

    def forward(self, x: Tensor) -> Tensor:
        # Numbers are drawn in memory's order: one order, so that a seed draws the same for any layout.
        return F.dropout(x.contiguous() if self.training else x, self.p, self.training)


class DropPath(nn.Module):
    """Drops whole samples with probability `p` and scales the others by 1 / (1 - p), in training.

    Source: FractalNet's path dropout as DARTS applies it to a node's incoming edges.
    """

    def __init__(self) -> None:
        super().__init__()
        self.p = 0.0

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.p == 0.0:
            return x
        keep = 1.0 - self.p
        mask = torch.rand((x.shape[0], 1, 1, 1), device=x.device, dtype=x.dtype) < keep
        return x * (mask.to(x.dtype) / keep)


def make_leaf(leaf: Leaf, *, plain: bool = False) -> nn.Module:
    """A layer with weights, in torch's default initialisation; a `plain` one calls no kernel."""
    attrs, x = leaf.attrs, leaf.inputs[0]
    if leaf.layer == "conv":
        return Conv2d(
            x.C, attrs["out"] or x.C, pair(attrs["k"]), pair(attrs["stride"]), padding(attrs),
            attrs["dilation"], attrs["groups"], attrs["bias"],
        )  # fmt: skip
    if leaf.layer == "linear":
        return Linear(x.C, attrs["out"], attrs["bias"])
    if leaf.layer == "scale":
        return Scale(x.C, float(attrs["gain"]), float(attrs["shift"]))
    if leaf.layer == "layer_norm":
        return LayerNorm(x.C, attrs["eps"])
    if leaf.layer == "relative_attention":
        return make_attention(leaf, plain)
    assert leaf.layer == "batch_norm", leaf.layer
    return BatchNorm(x.C, attrs)


def make_function(layer: str, attrs: Attrs, types: list[MapType]) -> Function:
    """A layer without weights, as a function of its maps."""
    return _FUNCTIONS[layer](attrs)


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
            first = planned_product(first, other) if first.is_meta else first * other
        return first * constant if constant != 1 else first

    return multiply


def _max_pool(attrs: Attrs) -> Function:
    k, stride, pad, ceil = pair(attrs["k"]), pair(attrs["stride"]), padding(attrs), attrs["ceil"]
    return lambda x: F.max_pool2d(x, k, stride, pad, ceil_mode=ceil)


def _avg_pool(attrs: Attrs) -> Function:
    k, stride, pad, ceil = pair(attrs["k"]), pair(attrs["stride"]), padding(attrs), attrs["ceil"]
    return lambda x: F.avg_pool2d(x, k, stride, pad, ceil, count_include_pad=False)


def _resize(attrs: Attrs) -> Function:
    like, size = attrs["like"], attrs["size"]
    mode, _, aligned = attrs["mode"].partition("_")
    corners = bool(aligned) if mode == "bilinear" else None
    fixed = None if like else list(pair(size))

    def resize(x: Tensor, partner: Tensor | None = None) -> Tensor:
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
    return lambda x: torch.zeros_like(x[:, :, ::stride, ::stride])


def _softmax(attrs: Attrs) -> Function:
    if attrs["over"] == "channels":
        return lambda x: x.softmax(1)
    return lambda x: x.flatten(2).softmax(2).view_as(x)


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


def _relu(x: Tensor) -> Tensor:
    return planned(x.shape, x, save_result=True) if x.is_meta else torch.relu(x)


def _global_max(x: Tensor) -> Tensor:
    # Unlike amax, this sends the gradient to one position only, as the published modules do.
    return F.adaptive_max_pool2d(x, 1)


def _max(attrs: Attrs) -> Function:
    if attrs["over"] == "space":
        return _global_max
    (axis,) = _axes(attrs)
    return lambda x: x.max(dim=axis, keepdim=True).values


def _matmul(a: Tensor, b: Tensor) -> Tensor:
    rows, columns, kind = a.flatten(2), b.flatten(2), a.device.type
    single = a.dtype == b.dtype == torch.float32
    if single and not a.is_meta and torch.is_autocast_enabled(kind):
        # Autocast would take single precision away where it was asked for.
        with torch.autocast(kind, enabled=False):
            product = torch.matmul(rows, columns)
    else:
        product = torch.matmul(rows, columns)
    return product.view(*product.shape[:2], *b.shape[2:])


def _transpose(x: Tensor) -> Tensor:
    return x.flatten(2).transpose(1, 2).unsqueeze(3)


def _plain(function: Function) -> Callable[[Attrs], Function]:
    return lambda attrs: function


_FUNCTIONS: dict[str, Callable[[Attrs], Function]] = {
    "relu": _plain(_relu),
    "sigmoid": _plain(torch.sigmoid),
    "tanh": _plain(torch.tanh),
    "silu": _plain(F.silu),
    "softmax": _softmax,
    "standardize": _standardize,
    "l2_norm": _l2_norm,
    "max_pool": _max_pool,
    "avg_pool": _avg_pool,
    "global_avg_pool": lambda attrs: _averaged((2, 3)),
    "global_max_pool": _plain(_global_max),
    "mean": _mean,
    "max": _max,
    "concat": _plain(_concat),
    "slice": _slice,
    "repeat_channels": _repeat_channels,
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
