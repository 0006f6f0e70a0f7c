"""What every data set comes as, and the checks that all of them share."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from genolang.diagnostics import fail
from genolang.lang.reading import read_plain
from genolang.semantics.settings import TaskKind
from genolang.train.lazy import Images

TEST_SHARE = 0.2
MAX_BYTES = 1 << 34
AT_ONCE = 1 << 24


@dataclass(frozen=True, slots=True, eq=False)
class Dataset:
    """Images (N, C, H, W), uint8 or float32 on the scale 0 to 1, with the labels of a task.

    Images are in memory, or lazy where they are many or are cut to a size.
    Labels are a class per image (N,), int64; for segmentation a class per pixel (N, H, W), uint8,
    `IGNORED` where there is none; for counting a density map (N, H, W), float32, whose sum is the
    number of objects. uint8 images stand for value / 255. `mean` and `std` are per channel on the
    scale 0 to 1, in the order of the channels; nothing here is normalised yet. All tensors are on
    the CPU.
    """

    name: str
    train_images: Images
    train_labels: Tensor
    test_images: Images
    test_labels: Tensor
    classes: int
    class_names: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    task: TaskKind = "classification"

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(C, H, W) of one image."""
        _, channels, height, width = self.train_images.shape
        return channels, height, width


@dataclass(frozen=True, slots=True)
class DataSource:
    """One kind of data, under a name of `semantics.datasets`.

    `load` takes what follows the name there ("" where nothing does) and a seed for what is drawn at random;
    `stream` also a size, and gives lazy images that are cut to it.
    """

    name: str
    load: Callable[[str, int], Dataset]
    task: TaskKind = "classification"
    stream: Callable[[str, int, int], Dataset] | None = None


def stratified_split(labels: Tensor, share: float, seed: int) -> tuple[Tensor, Tensor]:
    """Ascending indices of labels (N,): (the rest, about `share` of every class).

    The second part has round(share * N) members, or fewer where that would take a class's last
    image; the odd ones come from the classes that are cut most unevenly.
    """
    generator = torch.Generator().manual_seed(seed)
    members = [(labels == label).nonzero()[:, 0] for label in torch.unique(labels).tolist()]
    exact = [share * len(group) for group in members]
    counts = [math.floor(wanted) for wanted in exact]
    missing = round(share * len(labels)) - sum(counts)
    by_remainder = sorted(range(len(members)), key=lambda i: counts[i] - exact[i])
    for index in by_remainder[:missing]:
        counts[index] = min(counts[index] + 1, len(members[index]) - 1)
    taken = torch.zeros(len(labels), dtype=torch.bool)
    for group, count in zip(members, counts, strict=True):
        taken[group[torch.randperm(len(group), generator=generator)[:count]]] = True
    return (~taken).nonzero()[:, 0], taken.nonzero()[:, 0]


def channel_statistics(images: Tensor) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation per channel of images (N, C, H, W), on the scale 0 to 1.

    A channel without any spread gets 1, so that it can be divided by.
    """
    means: list[float] = []
    stds: list[float] = []
    for channel in range(images.shape[1]):
        # Part by part: without a wider copy of the whole set.
        values = torch.split(images[:, channel].reshape(-1), AT_ONCE)
        if images.dtype == torch.uint8:
            counts = [torch.bincount(part.int(), minlength=256) for part in values]
            histogram = torch.stack(counts).sum(0).double()
            levels = torch.arange(256, dtype=torch.float64) / 255
            total = histogram.sum()
            mean = (levels * histogram).sum() / total
            variance = ((levels - mean) ** 2 * histogram).sum() / total
        else:
            count = sum(map(len, values))
            mean = torch.stack([part.double().sum() for part in values]).sum() / count
            variance = torch.stack([((part.double() - mean) ** 2).sum() for part in values]).sum() / count
        std = math.sqrt(float(variance))
        means.append(float(mean))
        stds.append(std if std > 1e-8 else 1.0)
    return tuple(means), tuple(stds)


def split_off_test(name: str, images: Tensor, labels: Tensor, class_names: tuple[str, ...], seed: int) -> Dataset:
    """A data set of images (N, C, H, W), a fifth of each class being the test set."""
    train, test = stratified_split(labels, TEST_SHARE, seed)
    return with_statistics(name, (images[train], labels[train]), (images[test], labels[test]), class_names)


def with_statistics(
    name: str,
    train: tuple[Tensor, Tensor],
    test: tuple[Tensor, Tensor],
    class_names: tuple[str, ...],
    task: TaskKind = "classification",
) -> Dataset:
    """A data set whose mean and standard deviation are those of its training images."""
    mean, std = channel_statistics(train[0])
    return Dataset(name, *train, *test, len(class_names), class_names, mean, std, task)


def user_path(text: str) -> Path:
    """The path that a user typed, `~` expanded; raises G602 for what no path can be."""
    if "\0" in text:
        raise fail("G602", f"{text!r} is not a path: it holds a null character")
    try:
        return Path(text).expanduser()
    except RuntimeError:
        return Path(text)


def read_bytes(path: Path, limit: int) -> bytes:
    """The bytes of a regular file of at most `limit` bytes.

    Raises G602, G603 (empty), G606 (too large) and OSError, which `load_data` turns into G602.
    """
    if not path.is_file():
        found = "a folder" if path.is_dir() else "nothing" if not path.exists() else "no plain file"
        raise fail("G602", f"{path}: expected a file, found {found}")
    content = read_plain(path, limit)
    if len(content) > limit:
        raise fail("G606", f"{path}: expected at most {limit} bytes, found more")
    if not content:
        raise fail("G603", f"{path}: expected data, found an empty file")
    return content


def check_labels(place: str, labels: Tensor, images: int, classes: int) -> None:
    """Raises G604 unless `labels` (N,) are as many as the images and lie in 0..classes-1."""
    if len(labels) != images:
        raise fail("G604", f"{place}: expected one label per image, found {len(labels)} labels for {images} images")
    wrong = ((labels < 0) | (labels >= classes)).nonzero()[:, 0]
    if len(wrong):
        first = int(wrong[0])
        raise fail(
            "G604",
            f"{place}: expected labels from 0 to {classes - 1}, found {int(labels[first])} at image {first}",
            help="number the classes from 0 without gaps",
        )
