"""Density maps: where objects are, as maps whose sums are their numbers."""

from __future__ import annotations

import torch
from torch import Tensor


def density(rows: Tensor, columns: Tensor, there: Tensor, height: int, width: int, sigma: float) -> Tensor:
    """A Gaussian of deviation `sigma` pixels around each point: (N, H, W), float32.

    Points are at rows and columns (N, P), where 0 is the middle of the first pixel, and count where
    `there` (N, P) holds. Each one's Gaussian is cut off by the borders and scaled to the sum 1, so
    that the sum of a map is the number of its points. Source: V. Lempitsky and A. Zisserman,
    Learning to Count Objects in Images (NIPS 2010), who let what lies beyond the borders be lost.
    """
    down = _bells(rows, height, sigma) * there[:, :, None]
    return (down.transpose(1, 2) @ _bells(columns, width, sigma)).float()


def _bells(centres: Tensor, size: int, sigma: float) -> Tensor:
    """Bells (N, P, size) around centres (N, P), float64, each of the sum 1."""
    distance = torch.arange(size, dtype=torch.float64) - centres[:, :, None].double()
    # A softmax of the exponents: no bell is lost to underflow, however narrow.
    return torch.softmax(-0.5 * (distance / sigma) ** 2, 2)
