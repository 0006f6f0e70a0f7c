"""Images put together from pieces: where to lay them, how to lay them down."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import max_pool2d


def windows(images: Tensor, places: Tensor, size: int) -> Tensor:
    """The window (N, size, size) of each image (N, H, W) whose corner is at rows, columns (2, N)."""
    return images[_index(places, size)]


def paste(canvas: Tensor, pieces: Tensor, places: Tensor) -> None:
    """Lays each piece (N, S, S) over its canvas (N, H, W) at (2, N), the brighter pixel winning."""
    index = _index(places, pieces.shape[-1])
    canvas[index] = torch.maximum(canvas[index], pieces)


def fade(canvas: Tensor, pieces: Tensor, places: Tensor, gap: int) -> None:
    """Darkens each canvas where a piece, made wider by `gap`, is bright."""
    around = max_pool2d(pieces[:, None], 2 * gap + 1, stride=1, padding=gap)[:, 0]
    canvas[_index(places, pieces.shape[-1])] *= 1 - around


def _index(places: Tensor, size: int) -> tuple[Tensor, Tensor, Tensor]:
    count = torch.arange(places.shape[1])[:, None, None]
    along = torch.arange(size)
    rows = places[0][:, None, None] + along[:, None]
    columns = places[1][:, None, None] + along
    return count, rows, columns
