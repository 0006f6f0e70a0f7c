"""`idx:DIR`: MNIST, Fashion-MNIST and Kuzushiji-MNIST as published: four files of numbers, plain or gzipped.

A file is 0, 0, a byte for the type of its numbers (8: uint8), one for how many axes it has, their lengths as
big-endian 32-bit numbers, and the numbers. Source: Y. LeCun, C. Cortes and C. Burges, The MNIST Database.
"""

from __future__ import annotations

import math
import zlib
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from genolang.diagnostics import fail
from genolang.train.datasets._base import Dataset, DataSource, check_labels, read_bytes, user_path, with_statistics

MAX_FILE = 1 << 30
_UINT8 = 8


def load(argument: str, _seed: int) -> Dataset:
    """Images uint8 (N, 1, H, W) in the files' order; the classes are numbered as they are."""
    folder = user_path(argument)
    if not folder.is_dir():
        raise fail(
            "G602", f"{folder}: expected a folder of idx files, found {'a file' if folder.exists() else 'nothing'}"
        )
    (images, labels), test = (_part(folder, part) for part in ("train", "t10k"))
    classes = int(labels.max()) + 1
    check_labels(f"{folder}: the labels for testing", test[1], len(test[0]), classes)
    if images.shape[1:] != test[0].shape[1:]:
        raise fail(
            "G605",
            f"{folder}: expected images of one shape, found {tuple(images.shape[2:])} and {tuple(test[0].shape[2:])}",
        )
    return with_statistics(folder.name or "idx", (images, labels), test, tuple(map(str, range(classes))))


def _part(folder: Path, part: str) -> tuple[Tensor, Tensor]:
    images = _read(folder, f"{part}-images", 3)[:, None]
    labels = _read(folder, f"{part}-labels", 1).long()
    check_labels(f"{folder}: {part}-labels", labels, len(images), 256)
    return images, labels


def _read(folder: Path, name: str, axes: int) -> Tensor:
    names = [f"{name}{mark}idx{axes}-ubyte{end}" for mark in "-." for end in ("", ".gz")]
    path = next((folder / name for name in names if (folder / name).exists()), None)
    if path is None:
        raise fail("G602", f"{folder}: expected `{names[0]}`, plain or as .gz, found no such file")
    content = _unpacked(path, read_bytes(path, MAX_FILE))
    start = 4 + 4 * axes
    if content[:4] != bytes((0, 0, _UINT8, axes)):
        raise fail("G606", f"{path}: expected an idx file of {axes} axes of bytes, found another format")
    shape = tuple(np.frombuffer(content[4:start], ">u4").tolist()) if len(content) >= start else ()
    if not shape or math.prod(shape) != len(content) - start:
        said = " x ".join(map(str, shape)) or "more"
        raise fail("G603", f"{path}: expected {said} bytes as its head says, found {max(0, len(content) - start)}")
    if 0 in shape:
        raise fail("G605", f"{path}: expected something, found the shape {shape}")
    return torch.from_numpy(np.frombuffer(content, np.uint8, offset=start).reshape(shape).copy())


def _unpacked(path: Path, content: bytes) -> bytes:
    if path.suffix != ".gz":
        return content
    unpacking = zlib.decompressobj(wbits=31)
    try:
        found = unpacking.decompress(content, MAX_FILE)
    except zlib.error as error:
        raise fail("G603", f"{path}: expected a whole .gz file, found a damaged one ({error})") from error
    if unpacking.unconsumed_tail:
        raise fail("G606", f"{path}: expected at most {MAX_FILE} bytes in it, found more")
    if not unpacking.eof:
        raise fail("G603", f"{path}: expected a whole .gz file, found a cut-off one")
    return found


SOURCES = (DataSource("idx", load),)
