"""Attention modules, written by hand: as Att-DARTS's code computes them, and as BAM's and CBAM's papers do.

`h` is max(1, C // 16) (the code has C // 16, the same from 16 channels on); gather-excite's kernel
and BAM's pooling window are the whole map, rows and columns apart.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

ATTENTIONS = ("Identity", "SE", "BAM", "CBAM", "GE_theta-plus", "DoubleAttention")
Size = tuple[int, int]


def hidden(C: int) -> int:
    return max(1, C // 16)


def _column(x: Tensor) -> Tensor:
    return x[:, :, None, None]


class SE(nn.Module):
    def __init__(self, C: int) -> None:
        super().__init__()
        self.mlp = nn.Sequential(nn.Linear(C, hidden(C), bias=False), nn.ReLU(), nn.Linear(hidden(C), C, bias=False))

    def forward(self, x: Tensor) -> Tensor:
        return x * _column(torch.sigmoid(self.mlp(x.mean((2, 3)))))


class BAMCode(nn.Module):
    def __init__(self, C: int) -> None:
        super().__init__()
        h = hidden(C)
        self.channel = nn.Sequential(nn.Linear(C, h), nn.BatchNorm1d(h), nn.ReLU(), nn.Linear(h, C))
        dilated = [
            layer
            for _ in range(2)
            for layer in (nn.Conv2d(h, h, 3, padding=4, dilation=4), nn.BatchNorm2d(h), nn.ReLU())
        ]
        self.spatial = nn.Sequential(nn.Conv2d(C, h, 1), nn.BatchNorm2d(h), nn.ReLU(), *dilated, nn.Conv2d(h, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return x * (1 + torch.sigmoid(_column(self.channel(x.mean((2, 3)))) * self.spatial(x)))


class BAMPaper(nn.Module):
    """BMVC 2018, equations 1 to 4: the sum of both maps, each ended by a batch norm."""

    def __init__(self, C: int) -> None:
        super().__init__()
        h = hidden(C)
        self.channel = nn.Sequential(nn.Linear(C, h), nn.ReLU(), nn.Linear(h, C), nn.BatchNorm1d(C))
        self.spatial = nn.Sequential(
            nn.Conv2d(C, h, 1),
            nn.Conv2d(h, h, 3, padding=4, dilation=4),
            nn.Conv2d(h, h, 3, padding=4, dilation=4),
            nn.Conv2d(h, 1, 1),
            nn.BatchNorm2d(1),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x * (1 + torch.sigmoid(_column(self.channel(x.mean((2, 3)))) + self.spatial(x)))


class CBAM(nn.Module):
    """ECCV 2018, equations 1 to 3; `code` puts the maximum first and a slow batch norm last."""

    def __init__(self, C: int, code: bool) -> None:
        super().__init__()
        self.code = code
        self.mlp = nn.Sequential(nn.Linear(C, hidden(C)), nn.ReLU(), nn.Linear(hidden(C), C))
        self.conv = nn.Conv2d(2, 1, 7, padding=3, bias=False)
        self.bn = nn.BatchNorm2d(1, momentum=0.01) if code else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        mean = F.avg_pool2d(x, x.shape[2:]).flatten(1)
        largest = F.max_pool2d(x, x.shape[2:]).flatten(1)
        y = x * _column(torch.sigmoid(self.mlp(mean) + self.mlp(largest)))
        pooled = [y.max(1, keepdim=True)[0], y.mean(1, keepdim=True)]
        maps = torch.cat(pooled if self.code else pooled[::-1], 1)
        return y * torch.sigmoid(self.bn(self.conv(maps)))


class GatherExcite(nn.Module):
    def __init__(self, C: int, size: Size) -> None:
        super().__init__()
        self.gather = nn.Conv2d(C, C, size, groups=C, bias=False)
        self.bn = nn.BatchNorm2d(C)
        self.mlp = nn.Sequential(
            nn.Conv2d(C, hidden(C), 1, bias=False), nn.ReLU(), nn.Conv2d(hidden(C), C, 1, bias=False)
        )

    def forward(self, x: Tensor) -> Tensor:
        gathered = self.mlp(self.bn(self.gather(x)))
        return x * torch.sigmoid(F.interpolate(gathered, size=x.shape[2:], mode="nearest"))


class DoubleAttention(nn.Module):
    """NeurIPS 2018, equations 2 to 6."""

    def __init__(self, C: int) -> None:
        super().__init__()
        m = max(1, C // 4)
        self.A, self.B, self.V = (nn.Conv2d(C, m, 1) for _ in range(3))
        self.Z = nn.Conv2d(m, C, 1)

    def forward(self, x: Tensor) -> Tensor:
        A, B, V = self.A(x).flatten(2), self.B(x).flatten(2), self.V(x).flatten(2)
        descriptors = torch.einsum("bmp,bnp->bmn", A, B.softmax(2))
        handed_out = torch.einsum("bmn,bnp->bmp", descriptors, V.softmax(1))
        out: Tensor = x + self.Z(handed_out.view(len(x), -1, *x.shape[2:]))
        return out


MODULES: dict[str, Callable[[int, Size], nn.Module]] = {
    "Identity": lambda C, size: nn.Identity(),
    "SE": lambda C, size: SE(C),
    "BAM": lambda C, size: BAMCode(C),
    "BAM (paper)": lambda C, size: BAMPaper(C),
    "CBAM": lambda C, size: CBAM(C, code=True),
    "CBAM (paper)": lambda C, size: CBAM(C, code=False),
    "GE_theta-plus": GatherExcite,
    "DoubleAttention": lambda C, size: DoubleAttention(C),
}


class MixedAttention(nn.Module):
    """The sum of all modules by their softmax weights (Att-DARTS, equation 10)."""

    def __init__(self, C: int, size: Size) -> None:
        super().__init__()
        self.candidates = nn.ModuleList(MODULES[name](C, size) for name in ATTENTIONS)

    def forward(self, x: Tensor, weights: Tensor) -> Tensor:
        first, *rest = (w * f(x) for w, f in zip(weights, self.candidates, strict=True))
        for term in rest:
            first = first + term
        return first
