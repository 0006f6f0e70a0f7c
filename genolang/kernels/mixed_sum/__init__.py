"""The mixed sum: candidates, each through its own batch norm without affine or none, weighted and added."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from genolang.kernels.dispatch import why as dispatch_why
from genolang.kernels.mixed_sum import operator, reference
from genolang.kernels.mixed_sum.norms import Norms
from genolang.kernels.mixed_sum.operator import KERNEL


def mixed_sum(
    xs: Sequence[Tensor],
    weights: Tensor,
    running_means: Sequence[Tensor | None],
    running_vars: Sequence[Tensor | None],
    *,
    training: bool,
    momentum: float = 0.1,
    eps: float = 1e-5,
    use: str | None = None,
) -> Tensor:
    """sum_t weights[t] * bn_t(xs[t]) of maps (B, C, H, W) and weights (T,), differentiable in both once.

    bn_t is a batch norm without affine, with the running statistics given (C,), which training updates;
    None there: no batch norm. Maps of several dtypes are added in the widest. `use` asks for an
    implementation. ValueError for shapes that do not fit, and where training has one value per channel.
    Source: Liu, Simonyan, Yang, "DARTS" (2019), equation 2, with the batch norms of the public code.
    """
    _check(xs, weights, running_means, running_vars)
    flags = tuple(mean is not None for mean in running_means)
    first = xs[0]
    if training and any(flags) and first.numel() == first.shape[1]:
        raise ValueError(f"batch norm in training needs more than one value a channel: {tuple(first.shape)}")
    if any(x.dtype != first.dtype for x in xs):
        wide = first.dtype
        for x in xs:
            wide = torch.promote_types(wide, x.dtype)
        xs = [x.to(wide) for x in xs]
    norms = Norms(flags, running_means, running_vars, training, momentum, eps)
    if first.numel() == 0 or torch.compiler.is_exporting() or torch._C._get_tracing_state():
        return reference.mixed_sum(xs, weights, norms)
    return operator.mixed_sum(xs, weights, norms, use)


def why(xs: Sequence[Tensor], weights: Tensor, use: str | None = None) -> str:
    """One sentence: which implementation these inputs get, and for what reason."""
    return dispatch_why(KERNEL, (*xs, weights), use)


def _check(
    xs: Sequence[Tensor], weights: Tensor, means: Sequence[Tensor | None], variances: Sequence[Tensor | None]
) -> None:
    count = len(xs)
    if count == 0 or weights.shape != (count,) or len(means) != count or len(variances) != count:
        raise ValueError(
            f"one weight and one pair of running statistics per map: got {count} maps, weights "
            f"{tuple(weights.shape)}, {len(means)} means, {len(variances)} variances"
        )
    shape = xs[0].shape
    if len(shape) != 4 or any(x.shape != shape for x in xs):
        raise ValueError(f"maps of one shape (B, C, H, W): got {[tuple(x.shape) for x in xs]}")
    for mean, variance in zip(means, variances, strict=True):
        if (mean is None) != (variance is None) or any(
            s is not None and s.shape != shape[1:2] for s in (mean, variance)
        ):
            raise ValueError(f"running statistics ({shape[1]},) in pairs")


__all__ = ["KERNEL", "mixed_sum", "why"]
