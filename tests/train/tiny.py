"""A tiny network, data and batches that serve the tests of this folder."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from genolang.semantics.settings import OptimizerSettings, Schedule, TrainSettings

CPU = torch.device("cpu")
SETTINGS = TrainSettings(
    epochs=3,
    batch=5,
    drop_path=Schedule("linear", 0.1, 0.4),
    label_smoothing=0.1,
    optimizer=OptimizerSettings(lr=Schedule("cosine", 0.1, 0.01), decay=3e-4, clip=1.0),
)


class TinyNet(nn.Module):
    """Convolution, batch norm, dropout and an auxiliary head: (B, 1, 5, 7) to (B, 3)."""

    captured = True

    def __init__(self, auxiliary_weight: float = 0.4, seed: int = 0) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.conv = nn.Conv2d(1, 4, 3, padding=1)
            self.norm = nn.BatchNorm2d(4)
            self.head = nn.Linear(4, 3)
            self.auxiliary = nn.Linear(4, 3)
        self.auxiliary_weight = auxiliary_weight
        self.drop = 0.0
        self.drops: list[float] = []

    def set_drop_path(self, p: float) -> None:
        self.drop = p
        self.drops.append(p)

    def forward(self, images: Tensor) -> Any:
        features = self.norm(self.conv(images)).relu().mean((2, 3))
        dropped = nn.functional.dropout(features, self.drop, self.training)
        logits = self.head(dropped)
        if self.training and self.auxiliary_weight:
            return logits, self.auxiliary(features)
        return logits


def random_images(count: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Images (count, 1, 5, 7) whose mean brightness gives their label away, and the labels."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(0, 3, (count,), generator=generator)
    images = torch.randn(count, 1, 5, 7, generator=generator) + labels.view(-1, 1, 1, 1)
    return images, labels


class FixedBatches:
    """The images in order, rotated by the epoch."""

    def __init__(self, count: int = 20, batch: int = 5) -> None:
        self.images, self.labels = random_images(count)
        self.size = batch

    def __len__(self) -> int:
        return len(self.labels) // self.size

    def batch(self, epoch: int, step: int) -> tuple[Tensor, Tensor]:
        rows = (torch.arange(self.size) + step * self.size + epoch) % len(self.labels)
        return self.images[rows], self.labels[rows]


def held_out() -> Iterable[tuple[Tensor, Tensor]]:
    """Two batches of images that `FixedBatches` does not hold."""
    images, labels = random_images(9, seed=1)
    return [(images[:6], labels[:6]), (images[6:], labels[6:])]
