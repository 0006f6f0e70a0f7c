"""`npz:FILE`: NumPy arrays x_train, y_train, x_test, y_test, or x and y, in one .npz file.

Images are (N, H, W), (N, H, W, C) or (N, C, H, W) with 1 or 3 channels, uint8 or float; labels
are whole numbers (N,) or (N, 1). Files that need pickle are refused.
Source: NumPy's `numpy.lib.format`.
"""

from __future__ import annotations

import math
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from genolang.diagnostics import fail
from genolang.train.datasets._base import (
    MAX_BYTES,
    Dataset,
    DataSource,
    check_labels,
    split_off_test,
    user_path,
    with_statistics,
)

CHANNELS = (1, 3)
# How many times its size a file may unpack to, and how many bytes in any case.
MOST_UNPACKED = 200
ALWAYS_UNPACKED = 1 << 26
# The third version is for arrays with fields.
_HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
WHOLE = ("x_train", "y_train", "x_test", "y_test")


def load(argument: str, seed: int) -> Dataset:
    """The arrays of the file; from x and y a stratified fifth becomes the test set."""
    path = user_path(argument)
    arrays = read_arrays(path, _wanted)
    parts = (("x_train", "y_train"), ("x_test", "y_test")) if "x_train" in arrays else (("x", "y"),)
    channel_axis = _channel_axis(f"{path}: {parts[0][0]}", arrays[parts[0][0]].shape)
    classes = _class_count(f"{path}: {parts[0][1]}", _labels(path, parts[0][1], arrays))
    read: list[tuple[Tensor, Tensor]] = []
    for x, y in parts:
        images = _images(f"{path}: {x}", arrays[x], channel_axis, arrays[parts[0][0]].shape[1:])
        labels = _labels(path, y, arrays)
        check_labels(f"{path}: {y}", labels, len(images), classes)
        read.append((images, labels))
    names = tuple(str(label) for label in range(classes))
    if len(read) == 2:
        return with_statistics(path.stem, read[0], read[1], names)
    return split_off_test(path.stem, *read[0], names, seed)


def read_arrays(path: Path, choose: Callable[[Path, dict[str, int]], tuple[str, ...]]) -> dict[str, NDArray[Any]]:
    """The arrays of an .npz file that `choose` names, given the path and the arrays' bytes.

    What their headers ask for is looked at before any is made. Raises G602, G603, and G606 for anything but
    plain arrays.
    """
    if not path.is_file():
        found = "a folder" if path.is_dir() else "nothing" if not path.exists() else "no plain file"
        raise fail("G602", f"{path}: expected an .npz file, found {found}")
    with path.open("rb") as file:
        start = file.read(2)
    if start != b"PK":
        code, found = ("G603", "an empty file") if not start else ("G606", "another format")
        raise fail(code, f"{path}: expected an .npz file, found {found}")
    try:
        with zipfile.ZipFile(path) as archive:
            members = {m.filename.removesuffix(".npy"): m for m in archive.infolist()}
            wanted = choose(path, {name: member.file_size for name, member in members.items()})
            most = min(MAX_BYTES, max(ALWAYS_UNPACKED, MOST_UNPACKED * path.stat().st_size))
            if sum(members[name].file_size for name in wanted) > most:
                raise fail(
                    "G606",
                    f"{path}: expected arrays of at most {most} bytes, found more",
                    help=f"a file may unpack to {MOST_UNPACKED} times its size",
                )
            return {name: _array(archive, members[name]) for name in wanted}
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError) as error:
        raise fail("G603", f"{path}: expected a whole .npz file, found a cut-off or damaged one ({error})") from error
    except (ValueError, KeyError, TypeError, SyntaxError, MemoryError, RuntimeError) as error:
        raise fail(
            "G606",
            f"{path}: expected plain arrays, found something else ({error})",
            help="arrays of Python objects are not read",
        ) from error


def _array(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> NDArray[Any]:
    """One array, whose header says what its bytes are. Errors: ValueError, and those of the archive."""
    with archive.open(member) as file:
        version = np.lib.format.read_magic(file)
        if version not in _HEADERS:
            raise ValueError(f"a header of version {version}")
        try:
            shape, _, dtype = _HEADERS[version](file)
        except (OSError, EOFError, zipfile.BadZipFile, zlib.error):
            raise
        except Exception as error:  # what a damaged header raises depends on where it is damaged
            raise ValueError("a header that cannot be read") from error
        if any(type(size) is not int or size < 0 for size in shape):
            raise ValueError(f"the shape {shape}")
        if dtype.hasobject:
            raise ValueError("Python objects")
        if math.prod(shape) * dtype.itemsize != member.file_size - file.tell():
            raise ValueError(f"too many or too few bytes for {shape}")
    with archive.open(member) as file:
        found: NDArray[Any] = np.lib.format.read_array(file, allow_pickle=False)
        return found


def _wanted(path: Path, members: dict[str, int]) -> tuple[str, ...]:
    for names in (WHOLE, ("x", "y")):
        if all(name in members for name in names):
            return names
    found = ", ".join(name[:40] for name in list(members)[:8]) or "none"
    raise fail("G606", f"{path}: expected the arrays {', '.join(WHOLE)}, or x and y, found {found}")


def _channel_axis(place: str, shape: tuple[int, ...]) -> int | None:
    """Which axis holds the channels, None for images without; G605 where it cannot be told."""
    if len(shape) == 3:
        return None
    if len(shape) != 4:
        raise fail("G605", f"{place}: expected images (N, H, W), (N, H, W, C) or (N, C, H, W), found the shape {shape}")
    first, last = shape[1] in CHANNELS, shape[3] in CHANNELS
    if first == last:
        why = "both could be the channels" if first else "neither is a channel count"
        raise fail(
            "G605",
            f"{place}: expected 1 or 3 channels in second or in last place, found the shape {shape}, where {why}",
        )
    return 1 if first else 3


def _images(place: str, array: NDArray[Any], channel_axis: int | None, one: tuple[int, ...]) -> Tensor:
    if array.shape[1:] != one:
        raise fail("G605", f"{place}: expected images of the shape {one} as in training, found the shape {array.shape}")
    if array.size == 0:
        raise fail("G605", f"{place}: expected images, found the shape {array.shape}")
    if array.dtype != np.uint8 and array.dtype.kind != "f":
        raise fail(
            "G606",
            f"{place}: expected uint8 or float pixels, found {array.dtype}",
            help="convert whole numbers from 0 to 255 with `.astype(numpy.uint8)`",
        )
    if channel_axis is None:
        array = array[:, None]
    elif channel_axis == 3:
        array = array.transpose(0, 3, 1, 2)
    if array.dtype != np.uint8:
        # A float64 beyond float32's range becomes infinite, which the check reports.
        with np.errstate(over="ignore"):
            array = array.astype(np.float32)
        if not np.isfinite(array).all():
            raise fail("G606", f"{place}: expected finite pixels, found infinity or NaN")
    return torch.from_numpy(np.ascontiguousarray(array))


def _labels(path: Path, name: str, arrays: dict[str, NDArray[Any]]) -> Tensor:
    array = arrays[name]
    if array.dtype.kind not in "iu":
        raise fail("G606", f"{path}: {name}: expected whole numbers, found {array.dtype}")
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim != 1:
        raise fail("G605", f"{path}: {name}: expected labels (N,), found the shape {array.shape}")
    # uint64 beyond int64 turns negative here and is then out of range, as it should be.
    return torch.from_numpy(array.astype(np.int64))


def _class_count(place: str, labels: Tensor) -> int:
    """Classes of the training labels, which must use every number from 0 up."""
    present = torch.unique(labels)
    if len(present) < 2:
        raise fail("G604", f"{place}: expected at least two classes, found {len(present)}")
    expected = torch.arange(len(present))
    if not torch.equal(present, expected):
        first = int(expected[present != expected][0])
        raise fail(
            "G604",
            f"{place}: expected every class from 0 to have images, found labels from "
            f"{int(present[0])} to {int(present[-1])} and none of class {first}",
            help="number the classes from 0 without gaps",
        )
    return len(present)


SOURCES = (DataSource("npz", load),)
