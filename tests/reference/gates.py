"""Gather-Excite, ECA, SGE, DIA and non-local blocks, written by hand from their papers and public codes.

Parameters stand in the order and shapes of ours, so that values can be poured by position.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from reference.attention import Size, hidden
from torch import Tensor, nn
from torch.nn import functional as F


def _down(C: int, *, relu: bool, kernel: int | Size = 3, stride: int = 2, padding: int = 1) -> nn.Module:
    conv = nn.Conv2d(C, C, kernel, stride, padding, groups=C, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(C), nn.ReLU() if relu else nn.Identity())


class GatherExciteTheta(nn.Module):
    """As BayesWatch's code, but for maps of any shape: gather, maybe an MLP, resize, sigmoid."""

    def __init__(self, C: int, size: Size, extent: int, mlp: bool) -> None:
        super().__init__()
        steps = {2: 1, 4: 2, 8: 3}.get(extent, 0)
        self.gather = (
            nn.Sequential(*(_down(C, relu=step < steps - 1) for step in range(steps)))
            if extent
            else _down(C, relu=False, kernel=size, stride=1, padding=0)
        )
        h = hidden(C)
        excite = (nn.Conv2d(C, h, 1, bias=False), nn.ReLU(), nn.Conv2d(h, C, 1, bias=False))
        self.excite = nn.Sequential(*(excite if mlp else ()))

    def forward(self, x: Tensor) -> Tensor:
        heard = self.excite(self.gather(x))
        return x * torch.sigmoid(F.interpolate(heard, size=tuple(x.shape[2:])))


class GatherExciteAverage(nn.Module):
    """Theta-minus: position u of the gathered map is the mean of x within `extent` - 1 of extent * u."""

    def __init__(self, extent: int) -> None:
        super().__init__()
        self.extent = extent

    def forward(self, x: Tensor) -> Tensor:
        e, (H, W) = self.extent, x.shape[2:]
        if e == 0:
            return x * torch.sigmoid(x.flatten(2).mean(2)[:, :, None, None])
        rows = [
            torch.stack(
                [x[:, :, max(0, u - e + 1) : u + e, max(0, v - e + 1) : v + e].mean((2, 3)) for v in range(0, W, e)], -1
            )
            for u in range(0, H, e)
        ]
        return x * torch.sigmoid(F.interpolate(torch.stack(rows, -2), size=(H, W)))


class GatherExciteGrid(nn.Module):
    """Theta-minus as BayesWatch's code pools: a grid of size // extent, at least one."""

    def __init__(self, extent: int) -> None:
        super().__init__()
        self.extent = extent

    def forward(self, x: Tensor) -> Tensor:
        H, W = x.shape[2:]
        heard = F.adaptive_avg_pool2d(x, (max(1, H // self.extent), max(1, W // self.extent)))
        return x * torch.sigmoid(F.interpolate(heard, size=(H, W)))


class ECA(nn.Module):
    def __init__(self, C: int, k: int | None = None) -> None:
        super().__init__()
        if k is None:
            t = int(abs((math.log2(C) + 1) / 2))
            k = t if t % 2 else t + 1
        self.weight = nn.Parameter(torch.randn(1, 1, k, 1))

    def forward(self, x: Tensor) -> Tensor:
        weight = self.weight.squeeze(3)
        y = F.conv1d(x.mean((2, 3))[:, None], weight, padding=(weight.shape[2] - 1) // 2)
        return x * torch.sigmoid(y[:, 0, :, None, None])


class SGE(nn.Module):
    """The public code's steps; on one position its deviation is undefined and the result NaN."""

    def __init__(self, groups: int) -> None:
        super().__init__()
        self.groups = groups
        self.weight = nn.Parameter(torch.zeros(groups))
        self.bias = nn.Parameter(torch.ones(groups))

    def forward(self, x: Tensor) -> Tensor:
        B, C, H, W = x.shape
        groups = x.reshape(B * self.groups, -1, H, W)
        alike = (groups * F.adaptive_avg_pool2d(groups, 1)).sum(1).flatten(1)
        t = alike - alike.mean(1, keepdim=True)
        t = t / (t.std(1, keepdim=True) + 1e-5)
        t = t.view(B, self.groups, H, W) * self.weight[:, None, None] + self.bias[:, None, None]
        return (groups * torch.sigmoid(t).view(-1, 1, H, W)).view(B, C, H, W)


class DIA(nn.Module):
    """One cell behind each of several convolutions, its state zero at the first."""

    def __init__(self, C: int, r: int, uses: int) -> None:
        super().__init__()
        h = max(1, C // r)
        self.input, self.recurrent = (nn.Sequential(nn.Linear(C, h), nn.ReLU(), nn.Linear(h, 4 * C)) for _ in range(2))
        self.convs = nn.ModuleList(nn.Conv2d(C, C, 1, bias=False) for _ in range(uses))

    def forward(self, x: Tensor) -> Tensor:
        state = memory = x.new_zeros(x.shape[:2])
        for conv in self.convs:
            x = conv(x)
            gates = self.input(F.adaptive_avg_pool2d(x, 1).flatten(1)) + self.recurrent(state)
            i, f, candidate, o = gates.chunk(4, 1)
            memory = f.sigmoid() * memory + i.sigmoid() * candidate.tanh()
            state = o.sigmoid() * memory.sigmoid()
            x = x * state[:, :, None, None]
        return x


class Affine(nn.Module):
    def __init__(self, C: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(C))
        self.bias = nn.Parameter(torch.zeros(C))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.weight[:, None, None] + self.bias[:, None, None]


class NonLocal(nn.Module):
    """CVPR 2018, equations 1 to 6 with the embedded Gaussian, a batch norm at the end."""

    def __init__(self, C: int) -> None:
        super().__init__()
        h = max(1, C // 2)
        self.phi, self.theta, self.g = (nn.Conv2d(C, h, 1) for _ in range(3))
        self.W = nn.Sequential(nn.Conv2d(h, C, 1), nn.BatchNorm2d(C, affine=False), Affine(C))

    def forward(self, x: Tensor) -> Tensor:
        phi, theta, g = (f(x).flatten(2) for f in (self.phi, self.theta, self.g))
        pairs = torch.einsum("bci,bcj->bij", theta, phi).exp()
        pairs = pairs / pairs.sum(2, keepdim=True)
        y = torch.einsum("bij,bcj->bci", pairs, g).unflatten(2, x.shape[2:])
        out: Tensor = self.W(y) + x
        return out


class BiasedSE(nn.Module):
    """CVPR 2018, equations 2 to 4, with biases as EAN's code has them."""

    def __init__(self, C: int, h: int) -> None:
        super().__init__()
        self.down, self.up = nn.Linear(C, h), nn.Linear(h, C)

    def forward(self, x: Tensor) -> Tensor:
        squeezed = F.avg_pool2d(x, x.shape[2:]).flatten(1)
        gate = self.up(self.down(squeezed).clamp(min=0)).sigmoid()
        out: Tensor = x * gate[:, :, None, None]
        return out


GATES: dict[str, Callable[[int, Size], nn.Module]] = {
    "se(bias=true)": lambda C, size: BiasedSE(C, hidden(C)),
    "se(r=3, bias=true)": lambda C, size: BiasedSE(C, C // 3),
    "ge_minus": lambda C, size: GatherExciteAverage(0),
    "ge_minus(2)": lambda C, size: GatherExciteAverage(2),
    "ge_minus(4)": lambda C, size: GatherExciteAverage(4),
    "ge_minus(8)": lambda C, size: GatherExciteAverage(8),
    "ge_minus_code(2)": lambda C, size: GatherExciteGrid(2),
    "ge_minus_code(4)": lambda C, size: GatherExciteGrid(4),
    "ge_minus_code(8)": lambda C, size: GatherExciteGrid(8),
    "ge_theta": lambda C, size: GatherExciteTheta(C, size, 0, mlp=False),
    "ge_theta(2)": lambda C, size: GatherExciteTheta(C, size, 2, mlp=False),
    "ge_theta(4)": lambda C, size: GatherExciteTheta(C, size, 4, mlp=False),
    "ge_theta(8)": lambda C, size: GatherExciteTheta(C, size, 8, mlp=False),
    "ge_plus": lambda C, size: GatherExciteTheta(C, size, 0, mlp=True),
    "ge_plus(2)": lambda C, size: GatherExciteTheta(C, size, 2, mlp=True),
    "ge_plus(4)": lambda C, size: GatherExciteTheta(C, size, 4, mlp=True),
    "ge_plus(8)": lambda C, size: GatherExciteTheta(C, size, 8, mlp=True),
    "eca": lambda C, size: ECA(C),
    "eca(5)": lambda C, size: ECA(C, 5),
    "sge": lambda C, size: SGE(8),
    "sge(groups=4)": lambda C, size: SGE(4),
    "non_local": lambda C, size: NonLocal(C),
    "through_a_stage": lambda C, size: DIA(C, 4, uses=3),
}
