"""One layer between a convolution and a weighted sum over its whole map, so that no pixel can hide."""

from __future__ import annotations

import torch
from reference.operations import PRIMITIVES, MixedOperation
from torch import Tensor, nn
from torch.nn import functional as F

PROJECT = "op project = conv((H, W), 7, pad=0, bias=true)"


class Projected(nn.Module):
    """(B, 3, H, W) to (B, 7); `size` and `out` are those of the layer's result."""

    def __init__(self, layer: nn.Module, C: int, size: tuple[int, int], out: int) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, C, 1)
        self.layer = layer
        self.project = nn.Conv2d(out, 7, size)
        if isinstance(layer, MixedOperation):
            self.choices = {"network.operation": torch.zeros(1, len(PRIMITIVES), requires_grad=True)}

    def forward(self, x: Tensor) -> Tensor:
        y = self.stem(x)
        if isinstance(self.layer, MixedOperation):
            (logits,) = self.choices.values()
            y = self.layer(y, F.softmax(logits, -1)[0])
        else:
            y = self.layer(y)
        projected: Tensor = self.project(y).flatten(1)
        return projected


def images(size: tuple[int, int], batch: int = 3) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(batch, 3, *size, generator=generator, dtype=torch.float64)


def after(size: tuple[int, int], stride: int) -> tuple[int, int]:
    return -(-size[0] // stride), -(-size[1] // stride)
