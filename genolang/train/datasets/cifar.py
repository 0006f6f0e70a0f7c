"""`cifar10:DIR` and `cifar100:DIR`: 32x32 colour images, in both layouts that are published.

The binary version has records of label bytes and 3072 pixel bytes (C, H, W); the Python version
holds pickles, which are read as data and never run. Source: A. Krizhevsky, Learning Multiple Layers
of Features from Tiny Images (2009); the means and deviations are those of the published recipes.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from genolang.diagnostics import fail
from genolang.train.datasets._base import Dataset, DataSource, check_labels, read_bytes, user_path
from genolang.train.datasets._pickled_arrays import MAX_FILE, read_pickled_arrays

PIXELS = 3 * 32 * 32


@dataclass(frozen=True, slots=True)
class _Layout:
    """One layout: its usual subfolder, its files, and where the class names stand."""

    folder: str
    train: tuple[str, ...]
    test: str
    names: str


@dataclass(frozen=True, slots=True)
class _Cifar:
    """What tells the two sets apart; `label_byte` counts from 0 among the `label_bytes`."""

    name: str
    classes: int
    binary: _Layout
    python: _Layout
    label_bytes: int
    label_byte: int
    label_key: str
    names_key: str
    mean: tuple[float, float, float]
    std: tuple[float, float, float]


_CIFAR10 = _Cifar(
    name="cifar10",
    classes=10,
    binary=_Layout(
        "cifar-10-batches-bin", tuple(f"data_batch_{i}.bin" for i in range(1, 6)), "test_batch.bin", "batches.meta.txt"
    ),
    python=_Layout("cifar-10-batches-py", tuple(f"data_batch_{i}" for i in range(1, 6)), "test_batch", "batches.meta"),
    label_bytes=1,
    label_byte=0,
    label_key="labels",
    names_key="label_names",
    mean=(0.49139968, 0.48215827, 0.44653124),
    std=(0.24703233, 0.24348505, 0.26158768),
)
_CIFAR100 = _Cifar(
    name="cifar100",
    classes=100,
    binary=_Layout("cifar-100-binary", ("train.bin",), "test.bin", "fine_label_names.txt"),
    python=_Layout("cifar-100-python", ("train",), "test", "meta"),
    label_bytes=2,
    label_byte=1,
    label_key="fine_labels",
    names_key="fine_label_names",
    mean=(0.5071, 0.4867, 0.4408),
    std=(0.2675, 0.2565, 0.2761),
)


def load(cifar: _Cifar, argument: str, _seed: int) -> Dataset:
    """Images uint8 (N, 3, 32, 32) in the files' order; every file is read whole or refused."""
    folder, layout = _find(cifar, user_path(argument))
    for name in (*layout.train, layout.test):
        if not (folder / name).is_file():
            raise fail("G602", f"{folder / name}: expected this file beside the others of {cifar.name}, found nothing")
    read = _read_binary if layout is cifar.binary else _read_python
    parts = [read(cifar, folder / name) for name in layout.train]
    images = torch.cat([part[0] for part in parts])
    labels = torch.cat([part[1] for part in parts])
    test_images, test_labels = read(cifar, folder / layout.test)
    return Dataset(
        cifar.name,
        images,
        labels,
        test_images,
        test_labels,
        cifar.classes,
        _class_names(cifar, folder, layout),
        cifar.mean,
        cifar.std,
    )


def _find(cifar: _Cifar, given: Path) -> tuple[Path, _Layout]:
    """The folder that holds the files, which is the given one or its usual subfolder."""
    if not given.is_dir():
        found = "a file" if given.exists() else "nothing"
        raise fail(
            "G602",
            f"{given}: expected a folder with the files of {cifar.name}, found {found}",
            help="unpack the archive and give its folder" if given.exists() else None,
        )
    for layout in (cifar.binary, cifar.python):
        for folder in (given, given / layout.folder):
            if any((folder / name).is_file() for name in (*layout.train, layout.test)):
                return folder, layout
    other = _CIFAR100 if cifar is _CIFAR10 else _CIFAR10
    there = any(
        (given / sub / layout.test).is_file() for layout in (other.binary, other.python) for sub in ("", layout.folder)
    )
    raise fail(
        "G602",
        f"{given}: expected the files of {cifar.name} ({cifar.binary.train[0]} .. "
        f"{cifar.binary.test} or {cifar.python.train[0]} .. {cifar.python.test}), found "
        f"{'those of ' + other.name if there else 'neither'}",
        help=f"write `{other.name}:{given}`" if there else None,
    )


def _read_binary(cifar: _Cifar, path: Path) -> tuple[Tensor, Tensor]:
    content = np.frombuffer(read_bytes(path, MAX_FILE), np.uint8)
    record = cifar.label_bytes + PIXELS
    if len(content) % record:
        raise fail(
            "G603",
            f"{path}: expected a multiple of {record} bytes (records of "
            f"{cifar.label_bytes} label bytes and {PIXELS} pixels), found {len(content)} bytes",
        )
    records = content.reshape(-1, record)
    labels = torch.from_numpy(records[:, cifar.label_byte].astype(np.int64))
    check_labels(str(path), labels, len(records), cifar.classes)
    return _images(records[:, cifar.label_bytes :]), labels


def _read_python(cifar: _Cifar, path: Path) -> tuple[Tensor, Tensor]:
    found = read_pickled_arrays(path)
    pixels, listed = found.get("data"), found.get(cifar.label_key)
    if pixels is None or listed is None:
        raise fail(
            "G606",
            f"{path}: expected the entries `data` and `{cifar.label_key}`, found "
            f"{', '.join(f'`{key[:40]}`' for key in list(found)[:10]) or 'none'}",
        )
    if not isinstance(pixels, np.ndarray) or pixels.ndim != 2 or pixels.shape[1] != PIXELS:
        shape = pixels.shape if isinstance(pixels, np.ndarray) else type(pixels).__name__
        raise fail("G605", f"{path}: expected `data` as an array (N, {PIXELS}), found {shape}")
    if type(listed) is not list or any(type(label) is not int for label in listed):
        raise fail("G606", f"{path}: expected `{cifar.label_key}` as a list of whole numbers")
    # A number beyond 64 bits is out of range like any other; -1 says so without overflowing.
    labels = torch.tensor([label if abs(label) < 1 << 63 else -1 for label in listed], dtype=torch.int64)
    check_labels(str(path), labels, len(pixels), cifar.classes)
    if len(labels) == 0:
        raise fail("G603", f"{path}: expected images, found none")
    _check_count(cifar, path, len(labels))
    return _images(pixels), labels


def _check_count(cifar: _Cifar, path: Path, count: int) -> None:
    """Cifar10's own note of how many images a file holds finds a file that lost some of them."""
    note = path.parent / cifar.python.names
    if not note.is_file():
        return
    expected = read_pickled_arrays(note).get("num_cases_per_batch")
    if type(expected) is int and expected != count:
        raise fail("G603", f"{path}: expected {expected} images as in {note.name}, found {count}")


def _images(pixels: NDArray[Any]) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(pixels).reshape(-1, 3, 32, 32).copy())


def _class_names(cifar: _Cifar, folder: Path, layout: _Layout) -> tuple[str, ...]:
    """The names in the data's own list, or the numbers where the list is not there."""
    path = folder / layout.names
    if not path.is_file():
        return tuple(str(label) for label in range(cifar.classes))
    if layout is cifar.python:
        listed = read_pickled_arrays(path).get(cifar.names_key)
        entries = listed if isinstance(listed, list) else []
        names = tuple(
            entry.decode("latin-1") if isinstance(entry, bytes) else str(entry)
            for entry in entries
            if isinstance(entry, bytes | str)
        )
    else:
        text = read_bytes(path, 1 << 20).decode("utf-8", "replace")
        names = tuple(line.strip() for line in text.splitlines() if line.strip())
    if len(names) != cifar.classes:
        raise fail("G604", f"{path}: expected {cifar.classes} class names, found {len(names)}")
    return names


SOURCES = tuple(DataSource(cifar.name, partial(load, cifar)) for cifar in (_CIFAR10, _CIFAR100))
