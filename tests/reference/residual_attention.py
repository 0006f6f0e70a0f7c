"""Residual attention networks, written by hand: layers in the order of our weights, no recursion, and
windows, resizing and gates by their definitions."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

MakeUnit = Callable[[], nn.Module]


def pooled(x: Tensor) -> Tensor:
    """The maximum of 3x3 windows, every second one, with as much -inf at the end as the last one needs."""
    more = [max(0, -(-(size - 3) // 2)) * 2 + 3 - size for size in x.shape[2:]]
    return F.max_pool2d(F.pad(x, (0, more[1], 0, more[0]), value=-math.inf), 3, 2)


def _corner_rows(size: int, out: int) -> Tensor:
    """(out, size): the weights by which a row of `size` pixels gives one of `out`, end on end."""
    weights = torch.zeros(out, size, dtype=torch.float64)
    for row in range(out):
        at = row * (size - 1) / (out - 1) if out > 1 else 0.0
        low = min(int(at), size - 1)
        weights[row, low] += 1 - (at - low)
        weights[row, min(low + 1, size - 1)] += at - low
    return weights


def resized(x: Tensor, size: Sequence[int], mode: str) -> Tensor:
    if mode == "nearest":
        rows, columns = (torch.arange(n) * m // n for n, m in zip(size, x.shape[2:], strict=True))
        return x[:, :, rows][:, :, :, columns]
    return _corner_rows(x.shape[2], size[0]) @ x @ _corner_rows(x.shape[3], size[1]).T


class Gate(nn.Module):
    def __init__(self, kind: str, C: int) -> None:
        super().__init__()
        self.kind = kind
        if kind == "layer_norm":
            self.norm = nn.LayerNorm(C, eps=1e-3)

    def forward(self, x: Tensor) -> Tensor:
        if self.kind == "channel":
            squares = x.square().sum(1, keepdim=True)
            # No direction without a length: such a vector is divided by next to nothing.
            empty = squares == 0
            return x / torch.where(empty, 1e-12, torch.where(empty, 1, squares).sqrt())
        if self.kind == "spatial":
            centred = x - x.mean((2, 3), keepdim=True)
            variance = centred.square().sum((2, 3), keepdim=True) / max(1, x[0, 0].numel() - 1)
            # A single pixel has no deviation, and the root of 0 no slope.
            x = centred if x[0, 0].numel() == 1 else centred / (variance.sqrt() + 1e-5)
        elif self.kind == "layer_norm":
            centred = x - x.mean(1, keepdim=True)
            normal = centred / (centred.square().mean(1, keepdim=True) + 1e-3).sqrt()
            x = normal * self.norm.weight[:, None, None] + self.norm.bias[:, None, None]
        return 1 / (1 + torch.exp(-x))


class Hourglass(nn.Module):
    """Down to the smallest map, then up; level by level, the map of the way down is added."""

    def __init__(self, unit: MakeUnit, levels: int, r: int, bottom: int, mode: str) -> None:
        super().__init__()

        def units(count: int) -> nn.Module:
            return nn.Sequential(*(unit() for _ in range(count)))

        down, skip, up = ([units(n) for _ in range(levels - 1)] for n in (r, 1, r))
        lowest = units(bottom)
        inwards = [part for level in zip(down, skip, strict=True) for part in level]
        # The order in which they are registered is that of our weights.
        self.parts = nn.ModuleList([*inwards, lowest, *up[::-1]])
        self.levels, self.mode = levels, mode

    def forward(self, x: Tensor) -> Tensor:
        top = 2 * (self.levels - 1)
        sizes, skipped = [x.shape[2:]], []
        for level in range(self.levels - 1):
            x = self.parts[2 * level](pooled(x))
            skipped.append(self.parts[2 * level + 1](x))
            sizes.append(x.shape[2:])
        x = self.parts[top](pooled(x))
        for level, up in enumerate(self.parts[top + 1 :], 1):
            x = up(resized(x, sizes[-level], self.mode) + skipped[-level])
        return resized(x, sizes[0], self.mode)


class ResidualAttention(nn.Module):
    def __init__(
        self,
        unit: MakeUnit,
        C: int,
        levels: int,
        *,
        p: int = 1,
        t: int = 2,
        r: int = 1,
        bottom: int | None = None,
        learn: str = "residual",
        gate: str = "mixed",
        head: nn.Module | None = None,
        mode: str = "bilinear_corners",
    ) -> None:
        super().__init__()
        self.learn = learn
        self.before = nn.Sequential(*(unit() for _ in range(p)))
        self.trunk = nn.Sequential(*(unit() for _ in range(t)))
        self.mask = Hourglass(unit, levels, r, 2 * r if bottom is None else bottom, mode)
        self.head = published_head(C) if head is None else head
        self.gate = Gate(gate, C)
        self.after = nn.Sequential(*(unit() for _ in range(p)))

    def forward(self, x: Tensor) -> Tensor:
        x = self.before(x)
        trunk, mask = self.trunk(x), self.gate(self.head(self.mask(x)))
        y: Tensor = self.after(trunk + mask * trunk if self.learn == "residual" else mask * trunk)
        return y


def published_head(C: int) -> nn.Module:
    return nn.Sequential(
        nn.BatchNorm2d(C),
        nn.ReLU(),
        nn.Conv2d(C, C, 1, bias=False),
        nn.BatchNorm2d(C),
        nn.ReLU(),
        nn.Conv2d(C, C, 1, bias=False),
    )


class PreBottleneck(nn.Module):
    """The unit of the 2017 graphs: no biases, the projection after the first activation."""

    def __init__(self, C: int, out: int, stride: int = 1) -> None:
        super().__init__()
        width = out // 4
        self.norm1, self.conv1 = nn.BatchNorm2d(C), nn.Conv2d(C, width, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, 1, bias=False)
        self.norm3, self.conv3 = nn.BatchNorm2d(width), nn.Conv2d(width, out, 1, bias=False)
        self.project = None
        if out != C or stride != 1:
            self.project = nn.Conv2d(C, out, 1, stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        a = F.relu(self.norm1(x))
        y = self.conv2(F.relu(self.norm2(self.conv1(a))))
        y = self.conv3(F.relu(self.norm3(y)))
        out: Tensor = y + (x if self.project is None else self.project(a))
        return out


class ReportUnit(nn.Module):
    """The report's: biases, Keras's norms, the projection of what came in, zeros as TensorFlow has them."""

    def __init__(self, C: int, out: int, stride: int = 1, project: str = "always", padding: str = "end") -> None:
        super().__init__()
        width = out // 4
        norm = partial(nn.BatchNorm2d, eps=1e-3, momentum=0.01)
        self.stride, self.padding = stride, padding
        self.norm1, self.conv1 = norm(C), nn.Conv2d(C, width, 1)
        self.norm2, self.conv2 = norm(width), nn.Conv2d(width, width, 3, stride)
        self.norm3, self.conv3 = norm(width), nn.Conv2d(width, out, 1)
        self.shortcut = None
        if project == "always" or out != C or stride != 1:
            self.shortcut = nn.Conv2d(C, out, 1, stride)

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.norm2(self.conv1(F.relu(self.norm1(x)))))
        # TensorFlow's `same`: as many windows as steps, and what they lack split with the rest at the end.
        lack = [(-(-n // self.stride) - 1) * self.stride + 3 - n for n in y.shape[2:]]
        front = [n // 2 if self.padding == "end" else 1 for n in lack]
        (top, left), (bottom, right) = front, [n - f for n, f in zip(lack, front, strict=True)]
        y = self.conv2(F.pad(y, (left, max(right, 0), top, max(bottom, 0))))
        y = self.conv3(F.relu(self.norm3(y)))
        out: Tensor = y + (x if self.shortcut is None else self.shortcut(x))
        return out


def report_network(
    channels: int,
    wide: int,
    classes: int,
    *,
    learn: str = "residual",
    gate: str = "mixed",
    p: int = 1,
    t: int = 2,
    r: int = 1,
    project: str = "always",
    padding: str = "end",
) -> nn.Module:
    """(B, 3, H, W) to (B, classes)."""

    def unit(C: int, out: int, stride: int = 1) -> nn.Module:
        return ReportUnit(C, out, stride, project, padding)

    def module(C: int, levels: int, first: int | None = None) -> nn.Module:
        made = ResidualAttention(
            partial(unit, C, C),
            C,
            levels,
            p=p,
            t=t,
            r=r,
            bottom=r if levels == 1 else None,
            learn=learn,
            gate=gate,
            head=nn.Sequential(nn.Conv2d(C, C, 1), nn.Conv2d(C, C, 1)),
            mode="nearest",
        )
        if first is not None:
            made.before[0] = unit(first, C)
        return made

    a, b, c, d = (n * channels for n in (1, 2, 4, 8))
    deeper = [module(d, 1, first=c if n == 0 else None) for n in range(wide)]
    return nn.Sequential(
        nn.Conv2d(3, a, 5, padding=2),
        nn.MaxPool2d(2),
        unit(a, a),
        module(a, 3),
        unit(a, b, 2),
        module(b, 2),
        unit(b, c, 2),
        module(c, 1),
        *deeper,
        unit(d if wide else c, d),
        unit(d, d),
        unit(d, d),
        nn.BatchNorm2d(d, eps=1e-3, momentum=0.01),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(d, classes),
    )


def paper_network(
    width: int, modules: Sequence[int], classes: int, *, imagenet: bool, learn: str = "residual", gate: str = "mixed"
) -> nn.Module:
    """The networks of 2017: (B, 3, H, W) to (B, classes)."""
    stem: list[nn.Module] = [nn.Conv2d(3, width, 3, padding=1, bias=False)]
    if imagenet:
        stem = [nn.Conv2d(3, width, 7, 2, 3, bias=False)]
    stem += [nn.BatchNorm2d(width), nn.ReLU()]
    if imagenet:
        stem.append(_Pool())
    C, layers = width, []
    for stage, count in enumerate(modules):
        out = 4 * width * 2**stage
        layers.append(PreBottleneck(C, out, 1 if stage == 0 else 2))
        for _ in range(count):
            layers.append(ResidualAttention(partial(PreBottleneck, out, out), out, 3 - stage, learn=learn, gate=gate))
        C = out
    last = 2 * C if imagenet else C
    layers += [PreBottleneck(C, last, 2 if imagenet else 1), PreBottleneck(last, last), PreBottleneck(last, last)]
    return nn.Sequential(
        *stem, *layers, nn.BatchNorm2d(last), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(last, classes)
    )


class _Pool(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return pooled(x)
