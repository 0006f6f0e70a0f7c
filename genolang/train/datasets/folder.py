"""`folder:DIR`: image files, one folder per class, in DIR itself or in DIR/train and DIR/test.

PNG, JPEG, BMP, PPM/PGM and WebP, all of one size, all grey or all colour; needs Pillow.
"""

from __future__ import annotations

from pathlib import Path

import torch

from genolang.diagnostics import fail
from genolang.train.datasets._base import (
    Dataset,
    DataSource,
    split_off_test,
    user_path,
    with_statistics,
)
from genolang.train.datasets._image_files import SUFFIXES, image_files, read_images

Files = list[tuple[Path, int]]


def load(argument: str, seed: int) -> Dataset:
    """Images uint8 (N, 1 or 3, H, W), classes in the alphabetical order of their folders.

    Without a `test` folder a stratified fifth becomes the test set.
    """
    root = user_path(argument)
    if not root.is_dir():
        found = "a file" if root.exists() else "nothing"
        raise fail("G602", f"{root}: expected a folder with one folder per class, found {found}")
    train_root = root / "train" if _folders(root / "train") else root
    class_names = tuple(folder.name for folder in _folders(train_root))
    train = _files(train_root, class_names)
    tested = train_root is not root and bool(_folders(root / "test"))
    test = _files(root / "test", class_names) if tested else []
    files = train + test
    images = read_images(root, [path for path, _ in files])
    labels = torch.tensor([label for _, label in files], dtype=torch.int64)
    if tested:
        cut = len(train)
        return with_statistics(
            root.name, (images[:cut], labels[:cut]), (images[cut:], labels[cut:]), class_names
        )
    return split_off_test(root.name, images, labels, class_names, seed)


def _folders(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return sorted(
        entry for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith(".")
    )


def _files(root: Path, class_names: tuple[str, ...]) -> Files:
    """Image files with their labels, in the order of the class folders; raises G604."""
    found: Files = []
    if len(class_names) < 2:
        raise fail("G604", f"{root}: expected a folder per class, at least two, found "
                   f"{len(class_names)}")
    for folder in _folders(root):
        if folder.name not in class_names:
            raise fail("G604", f"{folder}: expected the class folders of training, found another "
                       "class", help=f"the classes are {', '.join(class_names[:10])}")
        files = image_files(folder)
        if not files:
            raise fail("G604", f"{folder}: expected images ({', '.join(SUFFIXES)}), found none")
        found += [(file, class_names.index(folder.name)) for file in files]
    return found


SOURCES = (DataSource("folder", "DIR", load),)
