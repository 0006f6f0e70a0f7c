"""What tells one data set from another: checksums of its images and labels."""

from __future__ import annotations

import hashlib

import torch
from torch import Tensor

from genolang.train.datasets._base import Dataset
from genolang.train.lazy import Images

_AT_ONCE = 4096


def digests(data: Dataset) -> dict[str, str]:
    """A checksum by what it is of. Images that stay in files are known by marks of these files."""
    scale = repr((data.mean, data.std))
    names = repr((data.classes, data.class_names, data.task))
    return {
        "training images": _joined(_of_images(data.train_images), scale),
        "training labels": of_tensor(data.train_labels),
        "test images": _of_images(data.test_images),
        "test labels": of_tensor(data.test_labels),
        "classes": _joined(names),
    }


def of_tensor(tensor: Tensor) -> str:
    """A checksum of a tensor (N, ...) on the CPU: its numbers, their type and its shape."""
    found = hashlib.sha256(repr((tensor.dtype, tuple(tensor.shape))).encode())
    # In parts: what is not contiguous is copied first.
    for start in range(0, len(tensor), _AT_ONCE):
        found.update(tensor[start : start + _AT_ONCE].contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return found.hexdigest()


def _of_images(images: Images) -> str:
    if isinstance(images, Tensor):
        return of_tensor(images)
    about = repr((images.shape, images.dtype, images.cut))
    source = of_tensor(images.source) if isinstance(images.source, Tensor) else _joined(*images.source)
    return _joined(about, of_tensor(images.indices), source)


def _joined(*texts: str) -> str:
    # Names of files may hold what is not text.
    return hashlib.sha256("\0".join(texts).encode("utf-8", "surrogateescape")).hexdigest()
