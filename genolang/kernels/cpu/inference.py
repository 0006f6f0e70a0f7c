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


def answer(layer: nn.Module) -> Answer | None:
    """A layer as a function (x, addend or None, relu) of maps (B, C, H, W), None for what has no quick one.

    It follows the layer when its weights change.
    """
    if isinstance(layer, nn.Conv2d):
        there: bool = torch._C._has_mkldnn and hasattr(torch.ops.mkldnn, "_convolution_pointwise")
        return Convolution(layer) if there else None
    return Dense(layer) if isinstance(layer, nn.Linear) else None


class Convolution:
    """A convolution that keeps its weights in oneDNN's order."""

    def __init__(self, conv: nn.Conv2d) -> None:
        assert not isinstance(conv.padding, str)
        assert conv.padding_mode == "zeros"
        self.weights = conv._parameters
        self.places = [*conv.padding], [*conv.stride], [*conv.dilation], conv.groups
        windows = (conv.kernel_size, conv.stride, conv.padding, conv.groups)
        self.is_product = windows == ((1, 1), (1, 1), (0, 0), 1)
        self.packed: _Packed | None = None

    def __deepcopy__(self, known: dict[int, Any]) -> Convolution:
        # Weights in oneDNN's order cannot be copied; the copy makes its own.
        made = copy(self)
        made.weights, made.packed = deepcopy(self.weights, known), None
        return made

    def __call__(self, x: Tensor, addend: Tensor | None, relu: bool) -> Tensor:
        weight, bias = self.weights["weight"], self.weights["bias"]
        assert weight is not None
        batch, _, height, width = x.shape
        positions, count = batch * height * width, weight.numel()
        if self.is_product and positions * count < FEW_PRODUCTS:
            # Of a map with its channels last the pixels are rows already.
            y = functional.linear(x.permute(0, 2, 3, 1), weight.flatten(1), bias).permute(0, 3, 1, 2)
        elif positions < FEW_POSITIONS and count < FEW_WEIGHTS and self.places[3] == 1:
            padding, stride, dilation, groups = self.places
            y = torch.conv2d(x, weight, bias, stride, padding, dilation, groups)
        else:
            return self.convolved(x, self.in_order(weight, x), bias, addend, relu)
        if addend is not None:
            y += addend
        return torch.relu_(y) if relu else y

    def convolved(
        self, x: Tensor, weight: Tensor, bias: Tensor | None, addend: Tensor | None, relu: bool
    ) -> Tensor:
        """The convolution and what follows, with weights in oneDNN's order."""
        if addend is None:
            after = "relu" if relu else "none"
            y: Tensor = _single(x, weight, bias, *self.places, after, [], "")
        else:
            unary = "relu" if relu else None
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

    def __init__(self, linear: nn.Linear) -> None:
        self.weights = linear._parameters

    def __call__(self, x: Tensor, addend: Tensor | None, relu: bool) -> Tensor:
        weight = self.weights["weight"]
        assert weight is not None and addend is None
        y = functional.linear(x.flatten(1), weight, self.weights["bias"])
        if relu:
            torch.relu_(y)
        return y.view(*y.shape, 1, 1)


def _single(*given: Any) -> Any:
    return torch.ops.mkldnn._convolution_pointwise.default(*given)


def _added(*given: Any) -> Any:
    return torch.ops.mkldnn._convolution_pointwise.binary(*given)


def _reordered(*given: Any) -> Tensor:
    made: Tensor = torch._C._nn.mkldnn_reorder_conv2d_weight(*given)
    return made
