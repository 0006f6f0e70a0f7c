"""The operations of DARTS, written by hand from the facts of its public code.

Registration follows that code, so that weights can be poured in by position. One extension: a
factorized reduce takes odd sizes, its shifted half padded by a row and column of zeros at the end.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

PRIMITIVES = (
    "none",
    "max_pool_3x3",
    "avg_pool_3x3",
    "skip_connect",
    "sep_conv_3x3",
    "sep_conv_5x5",
    "dil_conv_3x3",
    "dil_conv_5x5",
)


class Zero(nn.Module):
    def __init__(self, stride: int) -> None:
        super().__init__()
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        return x[:, :, :: self.stride, :: self.stride] * 0.0


class FactorizedReduce(nn.Module):
    def __init__(self, C_in: int, C_out: int, affine: bool) -> None:
        super().__init__()
        self.conv_1 = nn.Conv2d(C_in, C_out // 2, 1, stride=2, bias=False)
        self.conv_2 = nn.Conv2d(C_in, C_out // 2, 1, stride=2, bias=False)
        self.bn = nn.BatchNorm2d(C_out, affine=affine)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(x)
        shifted = F.pad(x[:, :, 1:, 1:], (0, x.shape[3] % 2, 0, x.shape[2] % 2))
        out: Tensor = self.bn(torch.cat([self.conv_1(x), self.conv_2(shifted)], 1))
        return out


def relu_conv_bn(C_in: int, C_out: int, affine: bool) -> nn.Module:
    return nn.Sequential(nn.ReLU(), nn.Conv2d(C_in, C_out, 1, bias=False), nn.BatchNorm2d(C_out, affine=affine))


def _half(C: int, k: int, stride: int, dilation: int, affine: bool) -> list[nn.Module]:
    pad = dilation * (k - 1) // 2
    return [
        nn.ReLU(),
        nn.Conv2d(C, C, k, stride, pad, dilation, groups=C, bias=False),
        nn.Conv2d(C, C, 1, bias=False),
        nn.BatchNorm2d(C, affine=affine),
    ]


def sep_conv(C: int, k: int, stride: int, affine: bool) -> nn.Module:
    return nn.Sequential(*_half(C, k, stride, 1, affine), *_half(C, k, 1, 1, affine))


def dil_conv(C: int, k: int, stride: int, affine: bool) -> nn.Module:
    return nn.Sequential(*_half(C, k, stride, 2, affine))


def conv_7x1_1x7(C: int, stride: int, affine: bool) -> nn.Module:
    return nn.Sequential(
        nn.ReLU(),
        nn.Conv2d(C, C, (1, 7), (1, stride), (0, 3), bias=False),
        nn.Conv2d(C, C, (7, 1), (stride, 1), (3, 0), bias=False),
        nn.BatchNorm2d(C, affine=affine),
    )


def skip_connect(C: int, stride: int, affine: bool) -> nn.Module:
    return nn.Identity() if stride == 1 else FactorizedReduce(C, C, affine)


OPERATIONS: dict[str, Callable[[int, int, bool], nn.Module]] = {
    "none": lambda C, s, a: Zero(s),
    "max_pool_3x3": lambda C, s, a: nn.MaxPool2d(3, s, 1),
    "avg_pool_3x3": lambda C, s, a: nn.AvgPool2d(3, s, 1, count_include_pad=False),
    "skip_connect": skip_connect,
    "sep_conv_3x3": lambda C, s, a: sep_conv(C, 3, s, a),
    "sep_conv_5x5": lambda C, s, a: sep_conv(C, 5, s, a),
    "sep_conv_7x7": lambda C, s, a: sep_conv(C, 7, s, a),
    "dil_conv_3x3": lambda C, s, a: dil_conv(C, 3, s, a),
    "dil_conv_5x5": lambda C, s, a: dil_conv(C, 5, s, a),
    "conv_7x1_1x7": conv_7x1_1x7,
}


def search_operation(name: str, C: int, stride: int) -> nn.Module:
    """A candidate of the supernet: no scale and shift, a batch norm behind every pool."""
    made = OPERATIONS[name](C, stride, False)
    return nn.Sequential(made, nn.BatchNorm2d(C, affine=False)) if "pool" in name else made


class MixedOperation(nn.Module):
    """The sum of all candidates by their softmax weights (DARTS, equation 2)."""

    def __init__(self, C: int, stride: int) -> None:
        super().__init__()
        self.candidates = nn.ModuleList(search_operation(name, C, stride) for name in PRIMITIVES)

    def forward(self, x: Tensor, weights: Tensor) -> Tensor:
        first, *rest = (w * f(x) for w, f in zip(weights, self.candidates, strict=True))
        for term in rest:
            first = first + term
        return first
