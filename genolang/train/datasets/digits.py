"""`digits`: 1797 real handwritten digits, 8x8 grey, that scikit-learn ships; works offline.

Source: E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits, UCI (1998), test part.
"""

from __future__ import annotations

import torch
from torch import Tensor

from genolang.diagnostics import fail
from genolang.train.datasets._base import Dataset, DataSource, split_off_test

CLASS_NAMES = tuple(str(digit) for digit in range(10))


def digit_images() -> tuple[Tensor, Tensor]:
    """Images (1797, 1, 8, 8), float32 from 0 to 1, and labels (1797,).

    Raises G607 without scikit-learn.
    """
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise fail("G607", "the data `digits` needs scikit-learn", help="pip install scikit-learn") from error
    pixels, labels = load_digits(return_X_y=True)
    images = torch.from_numpy(pixels).float().reshape(-1, 1, 8, 8) / 16
    return images, torch.from_numpy(labels).long()


def load(_argument: str, seed: int) -> Dataset:
    """The digits with a stratified fifth as the test set."""
    images, labels = digit_images()
    return split_off_test("digits", images, labels, CLASS_NAMES, seed)


SOURCES = (DataSource("digits", load),)
