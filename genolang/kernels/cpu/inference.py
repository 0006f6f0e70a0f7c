"""Convolutions without gradients, with a bias, an addend and a ReLU in one call.

oneDNN takes weights in an order of its own. A convolution as torch calls it brings them into that order
every time, which for many channels and few pixels costs as much as the convolution; here it is done once.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import copy, deepcopy
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

# Fewer multiplications than this are a product of matrices for a 1x1 window; for others, fewer positions
# and weights than these are left to ATen: measured, `genoc bench thresholds`.
FEW_PRODUCTS = 10_000_000
FEW_POSITIONS, FEW_WEIGHTS = 512, 50_000


_PRODUCT, _ATEN, _ORDERED = 1, 2, 3
Answer = Callable[..., Tensor]


def takes(x: Tensor) -> bool:
    """Whether a map is taken here: float32 on a CPU, and nobody asks for gradients."""
    return (
        x.is_cpu
        and x.dtype == torch.float32
        and type(x) is Tensor
        and not (x.requires_grad and torch.is_grad_enabled())
        and not torch.compiler.is_compiling()
        and not torch._C._get_tracing_state()
        and not torch._C._is_any_autocast_enabled()
        and x.numel() > 0
    )


def answer(layer: nn.Module, relu: bool) -> Answer | None:
    """A layer and what follows as a function of a map (B, C, H, W) and perhaps an addend, None for a layer
    that has no quick one.

    It follows the layer when its weights change, and takes what `takes` takes.
    """
    if isinstance(layer, nn.Conv2d):
        there: bool = torch._C._has_mkldnn and hasattr(torch.ops.mkldnn, "_convolution_pointwise")
        return Convolution(layer, relu) if there else None
    return Dense(layer, relu) if isinstance(layer, nn.Linear) else None


class Convolution:
    """A convolution that keeps its weights in oneDNN's order."""

    def __init__(self, conv: nn.Conv2d, relu: bool) -> None:
        assert not isinstance(conv.padding, str)
        assert conv.padding_mode == "zeros"
        self.relu = relu
        self.weights = conv._parameters
        self.places = [*conv.padding], [*conv.stride], [*conv.dilation], conv.groups
        windows = (conv.kernel_size, conv.stride, conv.padding, conv.groups)
        self.is_product = windows == ((1, 1), (1, 1), (0, 0), 1)
        self.packed: _Packed | None = None
        # The last map's shape, and in which way such a map is computed.
        self.shape, self.way = torch.Size(), 0

    def __deepcopy__(self, known: dict[int, Any]) -> Convolution:
        # Weights in oneDNN's order cannot be copied; the copy makes its own.
        made = copy(self)
        made.weights, made.packed = deepcopy(self.weights, known), None
        return made

    def __call__(self, x: Tensor, addend: Tensor | None = None) -> Tensor:
        weight, bias = self.weights["weight"], self.weights["bias"]
        assert weight is not None
        if x.shape != self.shape:
            self.shape, self.way = x.shape, self.chosen(x, weight)
        if self.way == _ORDERED:
            return self.convolved(x, self.in_order(weight, x), bias, addend)
        if self.way == _PRODUCT:
            # Of a map with its channels last the pixels are rows already.
            y = functional.linear(x.permute(0, 2, 3, 1), weight.flatten(1), bias).permute(0, 3, 1, 2)
        else:
            padding, stride, dilation, groups = self.places
            y = torch.conv2d(x, weight, bias, stride, padding, dilation, groups)
        if addend is not None:
            y += addend
        return torch.relu_(y) if self.relu else y

    def chosen(self, x: Tensor, weight: Tensor) -> int:
        positions, count = x.shape[0] * x.shape[2:].numel(), weight.numel()
        if self.is_product and positions * count < FEW_PRODUCTS:
            return _PRODUCT
        few = positions < FEW_POSITIONS and count < FEW_WEIGHTS and self.places[3] == 1
        return _ATEN if few else _ORDERED

    def convolved(self, x: Tensor, weight: Tensor, bias: Tensor | None, addend: Tensor | None) -> Tensor:
        """The convolution and what follows, with weights in oneDNN's order."""
        if addend is None:
            after = "relu" if self.relu else "none"
            y: Tensor = _single(x, weight, bias, *self.places, after, [], "")
        else:
            unary = "relu" if self.relu else None
            y = _added(x, addend, weight, bias, *self.places, "add", 1.0, unary, [], None)
        return y

    def in_order(self, weight: Tensor, x: Tensor) -> Tensor:
        """The weights in oneDNN's order, brought into it again when they have changed."""
        version = 0 if weight.is_inference() else weight._version
        known = self.packed
        if known is None or known.source.data_ptr() != weight.data_ptr() or known.version != version:
            source = weight.detach()
            made = _reordered(source.contiguous().to_mkldnn(), *self.places, [*x.shape])
            self.packed = known = _Packed(source, version, made)
        return known.made


class _Packed(NamedTuple):
    """Weights in oneDNN's order, and what they were made of: while it is held nothing else has its place."""

    source: Tensor
    version: int
    made: Tensor


class Dense:
    """A dense layer on (B, C, 1, 1)."""

    def __init__(self, linear: nn.Linear, relu: bool) -> None:
        self.weights, self.relu = linear._parameters, relu

    def __call__(self, x: Tensor) -> Tensor:
        weight = self.weights["weight"]
        assert weight is not None
        y = functional.linear(x.flatten(1), weight, self.weights["bias"])
        if self.relu:
            torch.relu_(y)
        return y[:, :, None, None]


def _single(*given: Any) -> Any:
    return torch.ops.mkldnn._convolution_pointwise.default(*given)


def _added(*given: Any) -> Any:
    return torch.ops.mkldnn._convolution_pointwise.binary(*given)


def _reordered(*given: Any) -> Tensor:
    made: Tensor = torch._C._nn.mkldnn_reorder_conv2d_weight(*given)
    return made
