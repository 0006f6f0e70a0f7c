"""CIFAR ResNets with plug-in gates in plain PyTorch, from the papers and the facts of their public code."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Zeros(nn.Module):
    """Option A: every second pixel, new channels of zeros on both sides."""

    def __init__(self, into: int, out: int, stride: int) -> None:
        super().__init__()
        self.extra, self.stride = out - into, stride

    def forward(self, x: Tensor) -> Tensor:
        front = self.extra // 2
        x = x[:, :, :: self.stride, :: self.stride]
        return F.pad(x, (0, 0, 0, 0, front, self.extra - front))


def conv(into: int, out: int, k: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(into, out, k, stride, k // 2, bias=False)


class Squeeze(nn.Module):
    """Squeeze-and-Excitation with biases."""

    def __init__(self, channels: int, r: int) -> None:
        super().__init__()
        self.down = nn.Linear(channels, max(1, channels // r))
        self.up = nn.Linear(max(1, channels // r), channels)

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.sigmoid(self.up(F.relu(self.down(x.mean((2, 3))))))[:, :, None, None]


class Dense(nn.Module):
    """DIA: `start` at the first block of a stage, then once per connected block."""

    def __init__(self, channels: int, r: int) -> None:
        super().__init__()
        hidden = max(1, channels // r)
        self.enter = nn.Sequential(nn.Linear(channels, hidden), nn.ReLU(), nn.Linear(hidden, 4 * channels))
        self.again = nn.Sequential(nn.Linear(channels, hidden), nn.ReLU(), nn.Linear(hidden, 4 * channels))

    def start(self) -> None:
        self.h: Tensor | float = 0.0
        self.c: Tensor | float = 0.0

    def forward(self, x: Tensor) -> Tensor:
        pooled = x.mean((2, 3))
        h = self.h if isinstance(self.h, Tensor) else torch.zeros_like(pooled)
        i, f, g, o = (self.enter(pooled) + self.again(h)).chunk(4, 1)
        self.c = torch.sigmoid(f) * self.c + torch.sigmoid(i) * torch.tanh(g)
        self.h = torch.sigmoid(o) * torch.sigmoid(self.c)
        return x * self.h[:, :, None, None]


class Block(nn.Module):
    """One residual block; `gate` is its own module, a shared one comes with the call."""

    def __init__(
        self, into: int, width: int, stride: int, kind: str, gate: Callable[[int], nn.Module] | None, project: bool
    ) -> None:
        super().__init__()
        self.pre = kind.startswith("pre_")
        wide = 4 if kind.endswith("bottleneck") else 1
        out = wide * width
        plan = [(into, width, 3, stride), (width, width, 3, 1)]
        if wide == 4:
            plan = [(into, width, 1, 1), (width, width, 3, stride), (width, out, 1, 1)]
        self.layers = nn.ModuleList()
        for c_in, c_out, k, s in plan:
            parts: list[nn.Module] = [conv(c_in, c_out, k, s), nn.BatchNorm2d(c_out)]
            if self.pre:
                parts = [nn.BatchNorm2d(c_in), conv(c_in, c_out, k, s)]
            self.layers.append(nn.ModuleList(parts))
        self.gate = gate(out) if gate is not None else None
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or into != out:
            normed = [] if self.pre else [nn.BatchNorm2d(out)]
            self.shortcut = nn.Sequential(conv(into, out, 1, stride), *normed) if project else Zeros(into, out, stride)

    def forward(self, x: Tensor, shared: nn.Module | None) -> Tensor:
        y = x
        short = x
        for number, (first, second) in enumerate(self.layers):  # type: ignore[misc]
            if self.pre:
                y = F.relu(first(y))
                if number == 0 and not isinstance(self.shortcut, nn.Identity):
                    short = y
                y = second(y)
            else:
                y = second(first(y))
                y = F.relu(y) if number + 1 < len(self.layers) else y
        gate = self.gate or shared
        y = gate(y) if gate is not None else y
        total = y + self.shortcut(short)
        return total if self.pre else F.relu(total)


class ResNet(nn.Module):
    """`schemes` has a string of bits per stage; a shared gate of a stage comes before its blocks."""

    def __init__(
        self,
        kind: str,
        blocks: int,
        width: int,
        classes: int,
        gate: Callable[[int], nn.Module] | None = None,
        schemes: Sequence[str] | None = None,
        shared: bool = False,
        project: bool = False,
    ) -> None:
        super().__init__()
        self.schemes = schemes or ["1" * blocks] * 3
        self.stem = nn.Sequential(conv(3, width, 3), nn.BatchNorm2d(width))
        self.stages = nn.ModuleList()
        into, wide = width, 4 if kind.endswith("bottleneck") else 1
        for stage, bits in enumerate(self.schemes):
            inner, own = width * 2**stage, nn.ModuleList()
            if shared and gate is not None:
                own.append(gate(wide * inner))
            for number, bit in enumerate(bits):
                mine = gate if bit == "1" and not shared else None
                stride = 2 if stage and not number else 1
                own.append(Block(into, inner, stride, kind, mine, project))
                into = wide * inner
            self.stages.append(own)
        self.shared = shared and gate is not None
        self.head = nn.Linear(into, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.stem(x))
        for bits, stage in zip(self.schemes, self.stages, strict=True):
            gate, blocks = (stage[0], stage[1:]) if self.shared else (None, stage)  # type: ignore[index]
            if isinstance(gate, Dense):
                gate.start()
            for bit, block in zip(bits, blocks, strict=True):
                x = block(x, gate if bit == "1" else None)
        return self.head(x.mean((2, 3)))
