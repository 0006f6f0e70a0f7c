"""Tiny networks and data with a label for every pixel, for the tests of this folder."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from train.tiny import SETTINGS

from genolang.semantics.settings import Augmentation, TrainSettings
from genolang.train.datasets import Dataset, load_data

SEGMENTATION = replace(
    SETTINGS,
    task="segmentation",
    epochs=3,
    batch=8,
    split=0.25,
    augment=(Augmentation("flip"), Augmentation("crop", 2)),
)
COUNTING = replace(SEGMENTATION, task="counting", label_smoothing=0.0)
DATA = {"segmentation": "digit_segments", "counting": "digit_counts"}
SETTINGS_OF: dict[str, TrainSettings] = {"segmentation": SEGMENTATION, "counting": COUNTING}


class DenseNet(nn.Module):
    """Two convolutions and an auxiliary head: (B, 1, H, W) to (B, outputs, H, W)."""

    def __init__(self, task: str, seed: int = 0, auxiliary_weight: float = 0.4) -> None:
        super().__init__()
        outputs = {"segmentation": 11, "counting": 1}[task]
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.conv = nn.Conv2d(1, 4, 3, padding=1)
            self.norm = nn.BatchNorm2d(4)
            self.head = nn.Conv2d(4, outputs, 3, padding=1)
            self.auxiliary = nn.Conv2d(4, outputs, 1)
        self.auxiliary_weight, self.captured = auxiliary_weight, True

    def set_drop_path(self, p: float) -> None:
        self.drop = p

    def forward(self, images: Tensor) -> Any:
        features = self.norm(self.conv(images)).relu()
        dropped = nn.functional.dropout(features, 0.2, self.training)
        if self.training and self.auxiliary_weight:
            return self.head(dropped), self.auxiliary(features)
        return self.head(dropped)


@cache
def small(task: str) -> Dataset:
    """The first images of the task's generated data."""
    data = load_data(DATA[task])
    return replace(
        data,
        train_images=data.train_images[:40],
        train_labels=data.train_labels[:40],
        test_images=data.test_images[:12],
        test_labels=data.test_labels[:12],
    )
