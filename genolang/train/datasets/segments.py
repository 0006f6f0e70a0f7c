"""`segments:DIR`: images and masks of class numbers, DIR/images/NAME.* and DIR/masks/NAME.png.

Or both in DIR/train and DIR/test. A mask is a PNG, grey or with a palette (as those of Pascal VOC),
of the size of its image; 255 is `IGNORED`. Needs Pillow.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from torch import Tensor

from genolang.diagnostics import fail
from genolang.train.datasets._base import Dataset, DataSource
from genolang.train.datasets._image_files import read_masks
from genolang.train.datasets._pairs import load_pairs
from genolang.train.tasks import IGNORED


def load(argument: str, seed: int) -> Dataset:
    """Images uint8 (N, 1 or 3, H, W) and masks uint8 (N, H, W), of one size throughout."""
    return load_pairs(argument, seed, "masks", (".png",), _masks, _class_names, "segmentation")


def _masks(root: Path, files: Sequence[Path], images: Tensor) -> Tensor:
    masks = read_masks(root, files)
    if masks.shape[1:] != images.shape[2:]:
        raise fail(
            "G605",
            f"{files[0]}: expected a mask of {images.shape[3]}x{images.shape[2]} as its "
            f"image, found {masks.shape[2]}x{masks.shape[1]}",
        )
    if bool((masks == IGNORED).all()):
        raise fail("G604", f"{root}: expected masks with classes from 0 on, found {IGNORED} alone")
    return masks


def _class_names(masks: Tensor) -> tuple[str, ...]:
    """Every number up to the highest one that any mask has."""
    return tuple(str(label) for label in range(int(masks[masks != IGNORED].max()) + 1))


SOURCES = (DataSource("segments", load, "segmentation"),)
