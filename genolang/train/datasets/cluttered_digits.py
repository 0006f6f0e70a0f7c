"""`cluttered_digits`: one whole digit somewhere among pieces of others, 32x32 grey.

Made on the fly from the real 8x8 digits, doubled in size; train and test from different ones.
Source: V. Mnih et al., Recurrent Models of Visual Attention (2014), section 4.1, cluttered MNIST;
here the pieces fade out around the digit, which would not be readable otherwise at this size.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from genolang.train.datasets._base import TEST_SHARE, Dataset, DataSource, stratified_split, with_statistics
from genolang.train.datasets._canvas import fade, paste, windows
from genolang.train.datasets.digits import CLASS_NAMES, digit_images

CANVAS = 32
SCALE = 2
PIECES = 8
PIECE = 6
GAP = 2
TRAIN_COUNT = 4000
TEST_COUNT = 1000


def load(_argument: str, seed: int) -> Dataset:
    """4000 training and 1000 test images, uint8 (N, 1, 32, 32), drawn from `seed`."""
    digits, labels = digit_images()
    digits = interpolate(digits, scale_factor=SCALE, mode="bilinear", align_corners=False)[:, 0]
    parts = stratified_split(labels, TEST_SHARE, seed)
    generator = torch.Generator().manual_seed(seed)
    train, test = (
        clutter(digits[part], labels[part], count, generator)
        for part, count in zip(parts, (TRAIN_COUNT, TEST_COUNT), strict=True)
    )
    return with_statistics("cluttered_digits", train, test, CLASS_NAMES)


def clutter(digits: Tensor, labels: Tensor, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """`count` cluttered images, uint8 (count, 1, 32, 32), and the labels of their whole digits.

    `digits` (N, S, S), float32 from 0 to 1, of at least two classes `labels` (N,): both the whole
    digits and the pieces of other classes come from them. Every digit is used about equally often.
    """
    size = digits.shape[-1]
    rounds = -(-count // len(digits))
    chosen = torch.cat([torch.randperm(len(digits), generator=generator) for _ in range(rounds)])[:count]
    canvas = torch.zeros(count, CANVAS, CANVAS)
    for _ in range(PIECES):
        pieces = windows(
            digits[_of_other_classes(labels, chosen, generator)],
            torch.randint(size - PIECE + 1, (2, count), generator=generator),
            PIECE,
        )
        places = torch.randint(CANVAS - PIECE + 1, (2, count), generator=generator)
        paste(canvas, pieces, places)
    places = torch.randint(CANVAS - size + 1, (2, count), generator=generator)
    fade(canvas, digits[chosen], places, GAP)
    paste(canvas, digits[chosen], places)
    return (canvas * 255).round().to(torch.uint8)[:, None], labels[chosen]


def _of_other_classes(labels: Tensor, chosen: Tensor, generator: torch.Generator) -> Tensor:
    """For each chosen digit the index of one with another label: its own class is skipped over."""
    by_class = labels.argsort(stable=True)
    counts = labels.bincount()
    own = labels[chosen]
    starts = counts.cumsum(0) - counts
    others = len(labels) - counts[own]
    rank = (torch.rand(len(chosen), generator=generator, dtype=torch.float64) * others).long()
    return by_class[torch.where(rank < starts[own], rank, rank + counts[own])]


SOURCES = (DataSource("cluttered_digits", load),)
