"""`counts:DIR`: images and the points of their objects, DIR/images/NAME.* and DIR/points/NAME.json.

Or both in DIR/train and DIR/test. Points are pairs [x, y] in pixels from the upper left corner, as
a JSON list or as the array `points` (P, 2) of an .npz file. Needs Pillow.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from genolang.diagnostics import fail
from genolang.train.datasets._base import MAX_BYTES, Dataset, DataSource, read_bytes
from genolang.train.datasets._density import density
from genolang.train.datasets._pairs import load_pairs
from genolang.train.datasets.npz import read_arrays

SIGMA = 4.0
"""Deviation of a Gaussian in pixels. Source: the public data preparation of MCNN."""
MAX_FILE = 1 << 26


def load(argument: str, seed: int) -> Dataset:
    """Images uint8 (N, 1 or 3, H, W) of one size and densities float32 (N, H, W).

    A point outside of its image counts at the nearest place inside, as in MCNN's public code.
    """
    return load_pairs(argument, seed, "points", (".json", ".npz"), _densities, lambda _: ("object",), "counting")


def _densities(root: Path, files: Sequence[Path], images: Tensor) -> Tensor:
    height, width = images.shape[2:]
    if 4 * len(files) * height * width > MAX_BYTES:
        raise fail(
            "G605",
            f"{root}: expected at most {MAX_BYTES} bytes of density maps, found {len(files)} of {width}x{height}",
        )
    maps = torch.empty(len(files), height, width)
    for index, path in enumerate(files):
        points = torch.from_numpy(_points(path))[None]
        # From corners to the middles of pixels, where densities have their zero.
        columns = (points[:, :, 0] - 0.5).clamp(0, width - 1)
        rows = (points[:, :, 1] - 0.5).clamp(0, height - 1)
        there = torch.ones(rows.shape, dtype=torch.bool)
        maps[index] = density(rows, columns, there, height, width, SIGMA)[0]
    return maps


def _points(path: Path) -> NDArray[np.float64]:
    """Points (P, 2), float64."""
    if path.suffix.lower() == ".npz":
        found: Any = read_arrays(path, lambda _path, _members: ("points",))["points"]
    else:
        try:
            found = json.loads(read_bytes(path, MAX_FILE))
        except (ValueError, RecursionError) as error:
            raise fail("G606", f"{path}: expected JSON, found something else ({error})") from error
    try:
        points = np.array(found, dtype=np.float64)
    except (ValueError, TypeError, OverflowError) as error:
        raise _no_points(path) from error
    if points.size == 0:
        return np.zeros((0, 2))
    if points.ndim != 2 or points.shape[1] != 2 or not np.isfinite(points).all():
        raise _no_points(path)
    return points


def _no_points(path: Path) -> Exception:
    return fail(
        "G606",
        f"{path}: expected a list of points [x, y], found something else",
        help="write `[[12.5, 3], [40, 7.25]]`, or `[]` where nothing is to be counted",
    )


SOURCES = (DataSource("counts", load, "counting"),)
