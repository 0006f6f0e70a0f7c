"""Attention-augmented convolution and the networks that use it, as the paper's appendix has it in words.

Bello et al. 2019. Relative logits by the skewing of a padded matrix, which is how the paper computes them;
weights are made for a size, and smaller maps read the middle of the tables.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Make = Callable[[int, int, int], nn.Module]


def whole_heads(share: float, channels: int, heads: int) -> int:
    return int(share * channels + 1e-9) // heads * heads


class Positions(nn.Module):
    def __init__(self, size: tuple[int, int], depth: int) -> None:
        super().__init__()
        self.rows = nn.Parameter(torch.zeros(2 * size[0] - 1, depth))
        self.columns = nn.Parameter(torch.zeros(2 * size[1] - 1, depth))


def absolute(relative: Tensor) -> Tensor:
    """(N, L, 2L-1) to (N, L, L): a column of zeros, and the rows wrap one place further each."""
    n, length, _ = relative.shape
    padded = F.pad(relative, (0, 1)).reshape(n, length * 2 * length)
    padded = F.pad(padded, (0, length - 1)).reshape(n, length + 1, 2 * length - 1)
    return padded[:, :length, length - 1 :]


def logits_1d(q: Tensor, table: Tensor) -> Tensor:
    """Queries (B, heads, A, L, d) along the axis of L with the middle of a table: (B, heads, A, L, L)."""
    length, spare = q.shape[3], (table.shape[0] - (2 * q.shape[3] - 1)) // 2
    found = torch.einsum("bnald,md->bnalm", q, table[spare : table.shape[0] - spare])
    return absolute(found.flatten(0, 2)).reshape(*q.shape[:3], length, length)


class SelfAttention(nn.Module):
    def __init__(self, C: int, size: tuple[int, int], key: int, value: int, heads: int, stride: int = 1) -> None:
        super().__init__()
        self.key, self.value, self.heads = key, value, heads
        self.qkv = nn.Conv2d(C, 2 * key + value, 1, stride, bias=False)
        self.positions = Positions((-(-size[0] // stride), -(-size[1] // stride)), key // heads)
        self.out = nn.Conv2d(value, value, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        qkv = self.qkv(x)
        b, _, h, w = qkv.shape
        q, k, v = torch.split(qkv, [self.key, self.key, self.value], 1)
        q, k, v = (t.reshape(b, self.heads, -1, h, w).permute(0, 1, 3, 4, 2) for t in (q, k, v))
        q = q * (self.key // self.heads) ** -0.5
        content = q.flatten(2, 3) @ k.flatten(2, 3).transpose(2, 3)
        across = logits_1d(q, self.positions.columns)  # b n y x X
        down = logits_1d(q.transpose(2, 3), self.positions.rows)  # b n x y Y
        across = across[:, :, :, :, None, :].expand(-1, -1, -1, -1, h, -1)
        down = down.transpose(2, 3)[:, :, :, :, :, None].expand(-1, -1, -1, -1, -1, w)
        weights = torch.softmax(content + (across + down).reshape(content.shape), -1)
        heads = (weights @ v.flatten(2, 3)).transpose(2, 3)
        mixed: Tensor = self.out(heads.reshape(b, self.value, h, w))
        return mixed


class AugmentedConv(nn.Module):
    """`upsilon` of the output channels are attention, behind those of the convolution."""

    def __init__(
        self,
        C: int,
        out: int,
        size: tuple[int, int],
        stride: int = 1,
        *,
        kappa: float,
        upsilon: float,
        heads: int = 8,
        least: int = 20,
        k: int = 3,
        pool: int = 1,
    ) -> None:
        super().__init__()
        key = max(whole_heads(kappa, out, heads), least * heads)
        value = whole_heads(upsilon, out, heads)
        self.pool = pool
        self.conv = nn.Conv2d(C, out - value, k, stride, k // 2, bias=False) if value < out else None
        half = (-(-size[0] // pool), -(-size[1] // pool))
        self.attention = SelfAttention(C, half, key, value, heads, stride) if value else None
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        parts = [] if self.conv is None else [self.conv(x)]
        if self.attention is not None:
            seen = F.avg_pool2d(x, 3, self.pool, 1, count_include_pad=False) if self.pool > 1 else x
            y = self.attention(seen)
            if self.pool > 1:
                size = [-(-side // self.stride) for side in x.shape[2:]]
                y = F.interpolate(y, size, mode="bilinear", align_corners=False)
            parts.append(y)
        return torch.cat(parts, 1)


class Block(nn.Module):
    """Post-activation: `convs` one after the other, each with its batch norm, and a projected shortcut."""

    def __init__(self, convs: Sequence[nn.Module], widths: Sequence[int], C: int, out: int, stride: int) -> None:
        super().__init__()
        self.convs = nn.ModuleList(
            m for conv, width in zip(convs, widths, strict=True) for m in (conv, nn.BatchNorm2d(width))
        )
        same = (stride, out) == (1, C)
        self.shortcut = (
            nn.Sequential() if same else nn.Sequential(nn.Conv2d(C, out, 1, stride, bias=False), nn.BatchNorm2d(out))
        )

    def forward(self, x: Tensor) -> Tensor:
        y = x
        for place in range(0, len(self.convs), 2):
            y = self.convs[place + 1](self.convs[place](y))
            y = F.relu(y) if place + 2 < len(self.convs) else y
        return F.relu(y + self.shortcut(x))


class AugmentedResNet(nn.Module):
    """ResNet for 224x224 images; 3x3 convolutions are augmented from the second stage on."""

    def __init__(
        self,
        blocks: Sequence[int],
        width: int,
        classes: int,
        *,
        bottleneck: bool,
        upsilon: float,
        heads: int,
        least: int,
    ) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, width, 7, 2, 3, bias=False), nn.BatchNorm2d(width))
        layers, C, side = [], width, 56
        kappa = 2 * upsilon if bottleneck else upsilon
        for stage, count in enumerate(blocks):
            w = width * 2**stage
            for number in range(count):
                stride = 2 if stage and not number else 1

                def spatial(
                    C: int, w: int = w, stride: int = stride, stage: int = stage, side: int = side
                ) -> nn.Module:
                    if stage == 0:
                        return nn.Conv2d(C, w, 3, stride, 1, bias=False)
                    return AugmentedConv(
                        C, w, (side, side), stride, kappa=kappa, upsilon=upsilon, heads=heads, least=least
                    )

                if bottleneck:
                    convs = [nn.Conv2d(C, w, 1, bias=False), spatial(w), nn.Conv2d(w, 4 * w, 1, bias=False)]
                    layers.append(Block(convs, [w, w, 4 * w], C, 4 * w, stride))
                else:
                    convs = [spatial(C), nn.Conv2d(w, w, 3, 1, 1, bias=False)]
                    layers.append(Block(convs, [w, w], C, w, stride))
                C, side = (4 * w if bottleneck else w), side // stride
        self.layers = nn.Sequential(*layers)
        self.head = nn.Linear(C, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = F.max_pool2d(F.relu(self.stem(x)), 3, 2, 1)
        logits: Tensor = self.head(self.layers(x).mean((2, 3)))
        return logits


class WideBlock(nn.Module):
    def __init__(self, C: int, out: int, stride: int, first: nn.Module) -> None:
        super().__init__()
        self.norm1, self.first = nn.BatchNorm2d(C), first
        self.norm2, self.second = nn.BatchNorm2d(out), nn.Conv2d(out, out, 3, 1, 1, bias=False)
        self.shortcut = None if (stride, out) == (1, C) else nn.Conv2d(C, out, 1, stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        a = F.relu(self.norm1(x))
        y = self.second(F.relu(self.norm2(self.first(a))))
        return y + (x if self.shortcut is None else self.shortcut(a))


class AugmentedWideResNet(nn.Module):
    def __init__(self, depth: int, widen: int, classes: int, *, upsilon: float, heads: int, least: int) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 16, 3, 1, 1, bias=False)
        blocks, C, side = [], 16, 32
        for stage, w in enumerate((16 * widen, 32 * widen, 64 * widen)):
            for number in range((depth - 4) // 6):
                stride = 2 if stage and not number else 1
                first = AugmentedConv(
                    C, w, (side, side), stride, kappa=2 * upsilon, upsilon=upsilon, heads=heads, least=least
                )
                blocks.append(WideBlock(C, w, stride, first))
                C, side = w, side // stride
        self.blocks = nn.Sequential(*blocks)
        self.norm, self.head = nn.BatchNorm2d(C), nn.Linear(C, classes)

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.norm(self.blocks(self.stem(x))))
        logits: Tensor = self.head(y.mean((2, 3)))
        return logits
