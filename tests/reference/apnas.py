"""ApNAS's operations and its attention unit, written by hand from the paper's words."""

from __future__ import annotations

from itertools import pairwise

import torch
from reference.attention import hidden
from reference.operations import search_operation
from torch import Tensor, nn
from torch.nn import functional as F

CANDIDATES = (
    "sep_conv_3x3",
    "dil_conv_3x3",
    "max_pool_3x3",
    "avg_pool_3x3",
    "skip_connect",
    "none",
    "relu_conv_bn",
    "channel_score",
    "spatial_score",
    "bottom_up_top_down",
)
EDGES = tuple((start, end) for end in range(2, 5) for start in range(end))


def relu_conv_bn(C: int, k: int, affine: bool) -> nn.Module:
    conv = nn.Conv2d(C, C, k, padding=k // 2, bias=False)
    return nn.Sequential(nn.ReLU(), conv, nn.BatchNorm2d(C, affine=affine))


class ChannelScore(nn.Module):
    """`searching`: standardised by a batch norm without scale and shift."""

    def __init__(self, C: int, *, both: bool, gated: bool, searching: bool) -> None:
        super().__init__()
        self.both, self.gated = both, gated
        self.down = nn.Linear(C, hidden(C), bias=False)
        self.up = nn.Linear(hidden(C), C, bias=False)
        self.norm = nn.BatchNorm1d(C, affine=False) if searching else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        pooled = [F.adaptive_avg_pool2d(x, 1)] + ([F.adaptive_max_pool2d(x, 1)] if self.both else [])
        score = sum(self.up(self.down(p.flatten(1)).clamp(min=0)) for p in pooled)
        mask = self.norm(score)[:, :, None, None].expand_as(x)
        return mask.sigmoid() * x if self.gated else mask


class SpatialScore(nn.Module):
    def __init__(self, *, gated: bool, searching: bool) -> None:
        super().__init__()
        self.gated = gated
        self.conv = nn.Conv2d(2, 1, 7, padding=3, bias=False)
        self.norm = nn.BatchNorm2d(1, affine=not searching)

    def forward(self, x: Tensor) -> Tensor:
        pooled = torch.stack([x.max(1).values, x.mean(1)], 1)
        mask = self.norm(self.conv(pooled)).expand_as(x)
        return mask.sigmoid() * x if self.gated else mask


class BottomUpTopDown(nn.Module):
    def __init__(self, C: int, *, below: bool, searching: bool) -> None:
        super().__init__()
        self.below = relu_conv_bn(C, 3, not searching) if below else nn.Identity()
        self.last = relu_conv_bn(C, 1, not searching)

    def forward(self, x: Tensor) -> Tensor:
        low = self.below(F.max_pool2d(x, 3, stride=2, padding=1))
        up = F.interpolate(low, size=tuple(x.shape[2:]), mode="bilinear", align_corners=False)
        out: Tensor = self.last(x + up)
        return out


def candidate(name: str, C: int) -> nn.Module:
    """An operation of the search, where batch norms have no scale and shift."""
    match name:
        case "relu_conv_bn":
            return relu_conv_bn(C, 1, False)
        case "channel_score":
            return ChannelScore(C, both=False, gated=False, searching=True)
        case "spatial_score":
            return SpatialScore(gated=False, searching=True)
        case "bottom_up_top_down":
            return BottomUpTopDown(C, below=False, searching=True)
    return search_operation(name, C, 1)


class Unit(nn.Module):
    """x * sigmoid(n1 + n2 + n3), or x * (1 + sigmoid(...)); edges in rows of the logits."""

    def __init__(self, C: int, residual: bool) -> None:
        super().__init__()
        self.residual = residual
        self.edges = nn.ModuleList(nn.ModuleList(candidate(name, C) for name in CANDIDATES) for _ in EDGES)

    def forward(self, x: Tensor, weights: Tensor) -> Tensor:
        states = [x, x]
        for end in range(2, 5):
            total = torch.zeros_like(x)
            for number, (start, target) in enumerate(EDGES):
                if target == end:
                    outs = torch.stack([f(states[start]) for f in self.edges[number]])
                    total = total + torch.einsum("k,kbchw->bchw", weights[number], outs)
            states.append(total)
        mask = torch.sigmoid(states[2] + states[3] + states[4])
        return x + x * mask if self.residual else x * mask


class Searched(nn.Module):
    """A convolution, a unit, a wider convolution, a second unit: two units, one matrix of logits."""

    def __init__(self, widths: tuple[int, ...], residual: bool) -> None:
        super().__init__()
        parts: list[nn.Module] = []
        for before, after in pairwise((3, *widths)):
            parts += [nn.Conv2d(before, after, 1, bias=False), Unit(after, residual)]
        self.parts = nn.ModuleList(parts)
        self.classify = nn.Linear(widths[-1], 5)
        self.choices = {"unit.candidate": torch.zeros(len(EDGES), len(CANDIDATES), requires_grad=True)}

    def forward(self, x: Tensor) -> Tensor:
        weights = F.softmax(self.choices["unit.candidate"], 1)
        for part in self.parts:
            x = part(x, weights) if isinstance(part, Unit) else part(x)
        out: Tensor = self.classify(x.mean((2, 3)))
        return out
