"""The discrete networks of DARTS and Att-DARTS, written by hand for any genotype."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from reference.attention import MODULES, Size
from reference.operations import OPERATIONS, FactorizedReduce, relu_conv_bn
from reference.supernet import halved
from torch import Tensor, nn
from torch.nn import functional as F

Edge = tuple[str, int] | tuple[str, int, str]


@dataclass(frozen=True, slots=True)
class Genotype:
    """(operation, source[, attention]) twice for every node, in the published order."""

    normal: tuple[Edge, ...]
    reduction: tuple[Edge, ...]


class Cell(nn.Module):
    def __init__(
        self,
        genes: tuple[Edge, ...],
        C_before: int,
        C_last: int,
        C: int,
        reduction: bool,
        after_reduction: bool,
        size: Size,
    ) -> None:
        super().__init__()
        self.genes = genes
        self.drop_path = 0.0
        self.preprocess0 = FactorizedReduce(C_before, C, True) if after_reduction else relu_conv_bn(C_before, C, True)
        self.preprocess1 = relu_conv_bn(C_last, C, True)
        self.operations = nn.ModuleList(
            OPERATIONS[gene[0]](C, 2 if reduction and gene[1] < 2 else 1, True) for gene in genes
        )
        self.attentions = nn.ModuleList(MODULES[gene[2]](C, size) for gene in genes if len(gene) == 3)

    def branch(self, number: int, states: list[Tensor]) -> Tensor:
        operation = self.operations[number]
        y: Tensor = operation(states[self.genes[number][1]])
        identity = isinstance(operation, nn.Identity)
        if len(self.attentions):
            attention = self.attentions[number]
            y = attention(y)
            identity = identity or isinstance(attention, nn.Identity)
        if self.training and self.drop_path > 0 and not identity:
            keep = 1 - self.drop_path
            y = y * ((torch.rand(len(y), 1, 1, 1, dtype=y.dtype) < keep).to(y.dtype) / keep)
        return y

    def forward(self, s0: Tensor, s1: Tensor) -> Tensor:
        states = [self.preprocess0(s0), self.preprocess1(s1)]
        for first in range(0, len(self.genes), 2):
            states.append(self.branch(first, states) + self.branch(first + 1, states))
        return torch.cat(states[2:], 1)


def tower(C: int, classes: int, *, imagenet: bool) -> nn.Module:
    """The auxiliary head; its ReLU leaves the cell's output as it is, as all published depths do."""
    norm = [] if imagenet else [nn.BatchNorm2d(768)]
    return nn.Sequential(
        nn.ReLU(),
        nn.AvgPool2d(5, 2 if imagenet else 3, 0, count_include_pad=False),
        nn.Conv2d(C, 128, 1, bias=False),
        nn.BatchNorm2d(128),
        nn.ReLU(),
        nn.Conv2d(128, 768, 2, bias=False),
        *norm,
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(768, classes),
    )


class Network(nn.Module):
    """(B, 3, H, W) to (B, classes), in training with an auxiliary head to a pair of such."""

    def __init__(
        self,
        genotype: Genotype,
        C: int,
        depth: int,
        classes: int,
        *,
        imagenet: bool = False,
        auxiliary: bool = False,
        size: Size = (32, 32),
    ) -> None:
        super().__init__()
        self.stems = nn.ModuleList(imagenet_stems(C) if imagenet else cifar_stem(C))
        before = last = C if imagenet else 3 * C
        after_reduction = imagenet
        if imagenet:
            size = halved(halved(halved(size)))
        self.cells = nn.ModuleList()
        self.tower_at = 2 * depth // 3
        at_tower = 0
        for index in range(depth):
            reduction = index in (depth // 3, 2 * depth // 3)
            if reduction:
                C, size = 2 * C, halved(size)
            genes = genotype.reduction if reduction else genotype.normal
            self.cells.append(Cell(genes, before, last, C, reduction, after_reduction, size))
            before, last, after_reduction = last, 4 * C, reduction
            if index == self.tower_at:
                at_tower = last
        self.auxiliary = tower(at_tower, classes, imagenet=imagenet) if auxiliary else None
        self.classifier = nn.Linear(last, classes)

    def set_drop_path(self, p: float) -> None:
        for cell in self.cells:
            cell.drop_path = p

    def forward(self, image: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        s0 = s1 = self.stems[0](image)
        if len(self.stems) == 2:
            s1 = self.stems[1](s0)
        extra = None
        for index, cell in enumerate(self.cells):
            s0, s1 = s1, cell(s0, s1)
            if index == self.tower_at and self.auxiliary is not None and self.training:
                extra = self.auxiliary(s1)
        logits: Tensor = self.classifier(F.adaptive_avg_pool2d(s1, 1).flatten(1))
        return logits if extra is None else (logits, extra)


def cifar_stem(C: int) -> list[nn.Module]:
    return [nn.Sequential(nn.Conv2d(3, 3 * C, 3, padding=1, bias=False), nn.BatchNorm2d(3 * C))]


def imagenet_stems(C: int) -> list[nn.Module]:
    return [
        nn.Sequential(
            nn.Conv2d(3, C // 2, 3, 2, 1, bias=False),
            nn.BatchNorm2d(C // 2),
            nn.ReLU(),
            nn.Conv2d(C // 2, C, 3, 2, 1, bias=False),
            nn.BatchNorm2d(C),
        ),
        nn.Sequential(nn.ReLU(), nn.Conv2d(C, C, 3, 2, 1, bias=False), nn.BatchNorm2d(C)),
    ]
