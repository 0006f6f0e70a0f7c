"""`digit_segments`: up to four digits among pieces of others, 40x40 grey, and a class per pixel.

Made on the fly from the real 8x8 digits, doubled in size; train and test from different ones.
Class 0 is the background, 1 to 10 are the digits 0 to 9; soft edges are `IGNORED`, as Pascal VOC
leaves out the outlines of its objects.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from genolang.train.datasets._base import TEST_SHARE, Dataset, DataSource, stratified_split, with_statistics
from genolang.train.datasets._canvas import paste
from genolang.train.datasets._scattered import CANVAS, scatter
from genolang.train.datasets.digits import CLASS_NAMES, digit_images
from genolang.train.tasks import IGNORED

GRID = 2
TRAIN_COUNT = 1000
TEST_COUNT = 250
INK = 0.5
"""From this brightness on, out of 1, a pixel belongs to its digit ..."""
EDGE = 0.2
"""... and from this on to nobody."""


def load(_argument: str, seed: int) -> Dataset:
    """1000 training and 250 test images, uint8 (N, 1, 40, 40), with masks uint8 (N, 40, 40)."""
    digits, labels = digit_images()
    digits = interpolate(digits, scale_factor=2, mode="bilinear", align_corners=False)[:, 0]
    parts = stratified_split(labels, TEST_SHARE, seed)
    generator = torch.Generator().manual_seed(seed)
    train, test = (
        segments(digits[part], labels[part], count, generator)
        for part, count in zip(parts, (TRAIN_COUNT, TEST_COUNT), strict=True)
    )
    names = ("background", *CLASS_NAMES)
    return with_statistics("digit_segments", train, test, names, "segmentation")


def segments(digits: Tensor, labels: Tensor, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Images (count, 1, 40, 40) with digits (D, S, S), and masks of their labels (D,) plus one."""
    found = scatter(digits, GRID, count, generator)
    masks = torch.zeros(count, CANVAS, CANVAS, dtype=torch.uint8)
    for at in range(GRID**2):
        index = found.digits[:, at]
        ink = digits[index] * (index >= 0)[:, None, None]
        of_digit = (labels[index] + 1)[:, None, None].expand_as(ink)
        nobody = torch.full_like(of_digit, IGNORED)
        pixels = torch.where(ink >= INK, of_digit, torch.where(ink >= EDGE, nobody, 0))
        paste(masks, pixels.to(torch.uint8), found.places[:, :, at])
    return found.images, masks


SOURCES = (DataSource("digit_segments", load, "segmentation"),)
