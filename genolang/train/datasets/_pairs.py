"""Folders of images with a file of labels for each: `images/` and, of equal names, a second folder."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import Tensor

from genolang.diagnostics import fail
from genolang.semantics.settings import TaskKind
from genolang.train.datasets._base import TEST_SHARE, Dataset, stratified_split, user_path, with_statistics
from genolang.train.datasets._image_files import SUFFIXES, image_files, read_images

ReadLabels = Callable[[Path, Sequence[Path], Tensor], Tensor]
"""Labels of some files, given the folder and the images (N, C, H, W) that they belong to."""


def load_pairs(
    argument: str,
    seed: int,
    folder: str,
    suffixes: Sequence[str],
    read_labels: ReadLabels,
    class_names: Callable[[Tensor], tuple[str, ...]],
    task: TaskKind,
) -> Dataset:
    """DIR/images and DIR/`folder`, or both in DIR/train and DIR/test, with a label file per image.

    Without `test` a random fifth becomes the test set. `class_names` are those of some labels.
    """
    root = user_path(argument)
    train_root = root / "train" if (root / "train").is_dir() else root
    test_root = root / "test"
    pairs = _pairs(train_root, folder, suffixes)
    cut = len(pairs)
    if train_root is not root and test_root.is_dir():
        pairs += _pairs(test_root, folder, suffixes)
    images = read_images(root, [image for image, _ in pairs])
    labels = read_labels(root, [label for _, label in pairs], images)
    train, test = torch.arange(cut), torch.arange(cut, len(pairs))
    if cut == len(pairs):
        train, test = stratified_split(torch.zeros(cut), TEST_SHARE, seed)
    return with_statistics(
        root.name, (images[train], labels[train]), (images[test], labels[test]), class_names(labels), task
    )


def _pairs(root: Path, folder: str, suffixes: Sequence[str]) -> list[tuple[Path, Path]]:
    for place in (root, root / "images", root / folder):
        if not place.is_dir():
            found = "a file" if place.exists() else "nothing"
            raise fail(
                "G602",
                f"{place}: expected a folder, found {found}",
                help=f"images lie in `images`, their labels in `{folder}`",
            )
    images = image_files(root / "images")
    if not images:
        raise fail("G604", f"{root / 'images'}: expected images ({', '.join(SUFFIXES)}), found none")
    labels = {
        entry.stem: entry
        for entry in sorted((root / folder).iterdir())
        if entry.suffix.lower() in suffixes and not entry.name.startswith(".")
    }
    for image in images:
        if image.stem not in labels:
            raise fail(
                "G604", f"{image}: expected its labels as `{root / folder / image.stem}{suffixes[0]}`, found nothing"
            )
    left = set(labels) - {image.stem for image in images}
    if left:
        raise fail("G604", f"{labels[min(left)]}: expected an image of that name, found none")
    return [(image, labels[image.stem]) for image in images]
