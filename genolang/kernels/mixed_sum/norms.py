"""What the implementations of the mixed sum are told about its batch norms."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True, slots=True)
class Norms:
    """One batch norm without affine per candidate, or none.

    `means` and `variances` are the running statistics (C,) of the candidates with `normalised` set,
    None elsewhere. Training updates them; where they are None for a normalised candidate, nothing is kept.
    """

    normalised: tuple[bool, ...]
    means: Sequence[Tensor | None]
    variances: Sequence[Tensor | None]
    training: bool
    momentum: float
    eps: float

    @property
    def by_batch(self) -> tuple[bool, ...]:
        """Per candidate: whether its statistics are those of the batch, and so depend on the inputs."""
        return tuple(self.training and flag for flag in self.normalised)
