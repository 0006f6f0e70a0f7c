"""Digits scattered over canvases among pieces of others, at most one in each field of a grid."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from genolang.train.datasets._canvas import fade, paste, windows

CANVAS = 40
PIECES = 8
GAP = 1


@dataclass(frozen=True, slots=True, eq=False)
class Scattered:
    """Images uint8 (N, 1, 40, 40), and what lies in each of their F fields.

    `digits` (N, F) are indices into the digits that were given, -1 in an empty field; `places`
    (2, N, F) the rows and columns of their upper left pixels.
    """

    images: Tensor
    digits: Tensor
    places: Tensor


def scatter(digits: Tensor, grid: int, count: int, generator: torch.Generator) -> Scattered:
    """`count` canvases of `grid` x `grid` fields with digits (D, S, S), float32 from 0 to 1.

    How full a canvas is is drawn for each, so that every number of digits is equally likely.
    """
    size, field = digits.shape[-1], CANVAS // grid
    assert size <= field, "a digit fits into its field"
    piece = 3 * size // 8
    canvas = torch.zeros(count, CANVAS, CANVAS)
    for _ in range(PIECES):
        source = digits[torch.randint(len(digits), (count,), generator=generator)]
        corners = torch.randint(size - piece + 1, (2, count), generator=generator)
        places = torch.randint(CANVAS - piece + 1, (2, count), generator=generator)
        paste(canvas, windows(source, corners, piece), places)
    full = torch.rand(count, 1, generator=generator)
    there = torch.rand(count, grid**2, generator=generator) < full
    chosen = torch.randint(len(digits), (count, grid**2), generator=generator)
    inside = torch.randint(field - size + 1, (2, count, grid**2), generator=generator)
    number = torch.arange(grid**2)
    places = field * torch.stack([number // grid, number % grid])[:, None, :] + inside
    for at in range(grid**2):
        whole = digits[chosen[:, at]] * there[:, at, None, None]
        fade(canvas, whole, places[:, :, at], GAP)
        paste(canvas, whole, places[:, :, at])
    images = (canvas * 255).round().to(torch.uint8)[:, None]
    return Scattered(images, torch.where(there, chosen, -1), places)
