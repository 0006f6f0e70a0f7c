"""The mixed sum as it is defined, in operations of ATen: what runs anywhere and what is exported."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor
from torch.nn import functional as F

from genolang.kernels.mixed_sum.norms import Norms


def mixed_sum(xs: Sequence[Tensor], weights: Tensor, norms: Norms) -> Tensor:
    """sum_t weights[t] * bn_t(xs[t]) of maps (B, C, H, W)."""
    total: Tensor | None = None
    for index, x in enumerate(xs):
        if norms.normalised[index]:
            mean, variance = norms.means[index], norms.variances[index]
            x = F.batch_norm(x, mean, variance, None, None, norms.training, norms.momentum, norms.eps)
        term = weights[index] * x
        total = term if total is None else total + term
    assert total is not None
    return total
