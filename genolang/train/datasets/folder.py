"""`folder:DIR`: image files, one folder per class, in DIR itself or in DIR/train and DIR/test (or val).

PNG, JPEG, BMP, PPM/PGM and WebP; needs Pillow. Images of one size, all grey or all colour, are read
into memory if they have at most `MOST_IN_MEMORY` bytes. More of them stay in their files and are
read batch by batch, and so are images that are to be cut to a size, which may be of any.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from genolang.diagnostics import fail
from genolang.train.datasets._base import (
    TEST_SHARE,
    Dataset,
    DataSource,
    split_off_test,
    stratified_split,
    user_path,
    with_statistics,
)
from genolang.train.datasets._image_files import (
    MAX_LAZY_SIDE,
    MAX_SIDE,
    SUFFIXES,
    image_names,
    image_shape,
    read_image,
    read_images,
)
from genolang.train.lazy import LazyImages

MOST_IN_MEMORY = 1 << 32

# Per channel, of images that are not all read. Source: the usual figures for ImageNet; of grey ones
# their means.
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
GREY_MEAN, GREY_STD = 0.449, 0.226
LOOKED_AT = 100
"""Images whose heads are read to see whether a folder has colours."""


@dataclass(slots=True)
class _Files:
    """The image files of a folder of classes: those of training before those of the test."""

    root: Path
    class_names: tuple[str, ...]
    paths: list[str] = field(default_factory=list)
    labels: list[int] = field(default_factory=list)
    trained_on: int = 0

    @property
    def tested(self) -> bool:
        return len(self.paths) > self.trained_on

    def path(self, index: int) -> Path:
        return self.root / self.paths[index]

    def marks(self) -> list[str]:
        """What tells these files from others: their names, sizes and times of change, in whole seconds."""
        found = []
        for index, name in enumerate(self.paths):
            try:
                about = self.path(index).stat()
            except OSError:
                # Reading it will say what is wrong.
                found.append(name)
            else:
                found.append(f"{name}\0{about.st_size}\0{int(about.st_mtime)}")
        return found

    def parts(self, labels: Tensor, seed: int) -> tuple[Tensor, Tensor]:
        """The indices of the training and of the test images."""
        if not self.tested:
            return stratified_split(labels, TEST_SHARE, seed)
        return torch.arange(self.trained_on), torch.arange(self.trained_on, len(self.paths))


@dataclass(frozen=True, slots=True)
class _Reader:
    """Image by image; of the shape (C, H, W), if that is given."""

    files: _Files
    channels: int
    shape: tuple[int, int, int] | None

    def __call__(self, index: int) -> Tensor:
        path = self.files.path(index)
        try:
            image = read_image(path, self.channels)
        except OSError as error:
            raise fail("G602", f"{path}: cannot be read: {error.strerror or error}") from error
        if self.shape is not None and tuple(image.shape) != self.shape:
            raise fail(
                "G605",
                f"{path}: expected {_size(self.shape)} as {self.files.path(0)}, found {_size(tuple(image.shape))}",
                help=_CUT,
            )
        return image


_CUT = "give all images one size, or cut them to one: `augment [resized_crop(224)]`"


def load(argument: str, seed: int) -> Dataset:
    """Images uint8 (N, 1 or 3, H, W) of one size, classes in the alphabetical order of their folders.

    Without a `test` or `val` folder a stratified fifth becomes the test set.
    """
    files = _find(argument)
    shape = image_shape(files.path(0), MAX_SIDE)
    if len(files.paths) * math.prod(shape) > MOST_IN_MEMORY:
        return _lazy(files, seed, shape, cut=False)
    images = read_images(files.root, [files.path(index) for index in range(len(files.paths))])
    labels = torch.tensor(files.labels, dtype=torch.int64)
    if not files.tested:
        return split_off_test(files.root.name, images, labels, files.class_names, seed)
    cut = files.trained_on
    return with_statistics(
        files.root.name, (images[:cut], labels[:cut]), (images[cut:], labels[cut:]), files.class_names
    )


def stream(argument: str, seed: int, size: int) -> Dataset:
    """Lazy images, cut to (N, 1 or 3, size, size); grey only if a hundred in training are."""
    files = _find(argument)
    step = -(-files.trained_on // LOOKED_AT)
    looked_at = (files.path(index) for index in range(0, files.trained_on, step))
    channels = max(image_shape(path, MAX_LAZY_SIDE)[0] for path in looked_at)
    return _lazy(files, seed, (channels, size, size), cut=True)


def _lazy(files: _Files, seed: int, shape: tuple[int, int, int], *, cut: bool) -> Dataset:
    labels = torch.tensor(files.labels, dtype=torch.int64)
    train, test = files.parts(labels, seed)
    reader = _Reader(files, shape[0], None if cut else shape)
    grey, marks = shape[0] == 1, files.marks()
    return Dataset(
        files.root.name,
        LazyImages(reader, train, shape, cut=cut, source=marks),
        labels[train],
        LazyImages(reader, test, shape, cut=cut, source=marks),
        labels[test],
        len(files.class_names),
        files.class_names,
        (GREY_MEAN,) if grey else MEAN,
        (GREY_STD,) if grey else STD,
    )


def _find(argument: str) -> _Files:
    root = user_path(argument)
    if not root.is_dir():
        found = "a file" if root.exists() else "nothing"
        raise fail("G602", f"{root}: expected a folder with one folder per class, found {found}")
    train_root = root / "train" if _folders(root / "train") else root
    files = _Files(root, tuple(folder.name for folder in _folders(train_root)))
    if len(files.class_names) < 2:
        raise fail("G604", f"{train_root}: expected a folder per class, at least two, found {len(files.class_names)}")
    _add(files, train_root)
    files.trained_on = len(files.paths)
    if train_root is not root:
        # ImageNet's `test` has no classes; everyone tests on its `val`.
        tested = next((root / name for name in ("test", "val") if _folders(root / name)), None)
        if tested is not None:
            _add(files, tested)
    return files


def _folders(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return sorted(entry for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith("."))


def _add(files: _Files, place: Path) -> None:
    """Adds the image files of a folder in the order of its class folders. Error: G604."""
    numbers = {name: number for number, name in enumerate(files.class_names)}
    for folder in _folders(place):
        if folder.name not in numbers:
            raise fail(
                "G604",
                f"{folder}: expected the class folders of training, found another class",
                help=f"the classes are {', '.join(files.class_names[:10])}",
            )
        names = image_names(folder)
        if not names:
            raise fail("G604", f"{folder}: expected images ({', '.join(SUFFIXES)}), found none")
        within = folder.relative_to(files.root).as_posix()
        files.paths += [f"{within}/{name}" for name in names]
        files.labels += [numbers[folder.name]] * len(names)


def _size(shape: tuple[int, ...]) -> str:
    return f"{shape[2]}x{shape[1]}"


SOURCES = (DataSource("folder", load, stream=stream),)
