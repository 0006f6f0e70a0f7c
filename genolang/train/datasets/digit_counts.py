"""`digit_counts`: up to sixteen digits among pieces of others, 40x40 grey; how many are there?

Made on the fly from the real 8x8 digits; train and test from different ones. The label is a density
map: a Gaussian around the middle of each digit.
"""

from __future__ import annotations

import torch
from torch import Tensor

from genolang.train.datasets._base import TEST_SHARE, Dataset, DataSource, stratified_split, with_statistics
from genolang.train.datasets._density import density
from genolang.train.datasets._scattered import CANVAS, scatter
from genolang.train.datasets.digits import digit_images

GRID = 4
SIGMA = 2.5
"""Wide enough for a map of a quarter of the size, as backbones leave it, to show the bells."""
TRAIN_COUNT = 1000
TEST_COUNT = 250


def load(_argument: str, seed: int) -> Dataset:
    """1000 training and 250 test images, uint8 (N, 1, 40, 40), and densities (N, 40, 40)."""
    digits, labels = digit_images()
    parts = stratified_split(labels, TEST_SHARE, seed)
    generator = torch.Generator().manual_seed(seed)
    train, test = (
        counts(digits[part, 0], count, generator) for part, count in zip(parts, (TRAIN_COUNT, TEST_COUNT), strict=True)
    )
    return with_statistics("digit_counts", train, test, ("digit",), "counting")


def counts(digits: Tensor, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Images (count, 1, 40, 40) with digits (D, S, S), and the density maps of their middles."""
    found = scatter(digits, GRID, count, generator)
    rows, columns = found.places + (digits.shape[-1] - 1) / 2
    return found.images, density(rows, columns, found.digits >= 0, CANVAS, CANVAS, SIGMA)


SOURCES = (DataSource("digit_counts", load, "counting"),)
