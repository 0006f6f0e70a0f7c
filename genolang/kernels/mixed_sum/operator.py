"""The mixed sum as autograd and torch.compile see it.

Eager calls go through an autograd.Function, which costs less a call; a compiler gets operators without
side effects (`genolang::mixed_sum`), and the running statistics are updated beside them.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import ModuleType
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from genolang.kernels import dispatch
from genolang.kernels.maps import maps_like, memory_format_of
from genolang.kernels.mixed_sum import cpu, launch, reference
from genolang.kernels.mixed_sum.norms import Norms
from genolang.kernels.record import Kernel


def _obstacle(inputs: Sequence[Tensor]) -> str:
    *xs, _ = inputs
    if len(xs) > launch.MOST_CANDIDATES:
        return f"it has more than {launch.MOST_CANDIDATES} candidates"
    if xs[0].shape[1] > launch.MOST_CHANNELS:
        return f"a map has more than {launch.MOST_CHANNELS} channels"
    if xs[0].numel() >= 2**31:
        return "a map has 2^31 elements or more"
    return ""


KERNEL = Kernel(
    name="mixed_sum",
    pattern="choice candidate = max_pool(3) -> batch_norm(affine=false) | identity | conv(1)",
    implementations=frozenset({dispatch.FUSED, dispatch.CPU, dispatch.REFERENCE}),
    tolerance={torch.float64: 1e-12, torch.float32: 2e-6, torch.float16: 2e-3, torch.bfloat16: 1.6e-2},
    configurations=launch.CONFIGURATIONS,
    obstacle=_obstacle,
)

Implementation = ModuleType | None  # what has `forward` and `backward`; None: shapes only


def mixed_sum(xs: Sequence[Tensor], weights: Tensor, norms: Norms, use: str | None) -> Tensor:
    """The sum, by what dispatch chooses; on a CPU, a compiler does best with plain operations."""
    if torch.compiler.is_compiling():
        if use == dispatch.REFERENCE or (use is None and xs[0].device.type == "cpu"):
            return reference.mixed_sum(xs, weights, norms)
        return _traced(xs, weights, norms, use or "")
    if xs[0].is_meta:
        return _apply(None, xs, weights, norms)
    chosen = dispatch.choose(KERNEL, (*xs, weights), use)
    if chosen == dispatch.REFERENCE:
        return reference.mixed_sum(xs, weights, norms)
    return _apply(launch if chosen == dispatch.FUSED else cpu, xs, weights, norms)


def _apply(by: Implementation, xs: Sequence[Tensor], weights: Tensor, norms: Norms) -> Tensor:
    result: Tensor = MixedSum.apply(by, norms, weights, *xs)  # type: ignore[no-untyped-call]
    return result


class MixedSum(torch.autograd.Function):
    """Keeps the maps, the weights and (T, C) statistics: no normalised map."""

    @staticmethod
    def forward(ctx: Any, by: Implementation, norms: Norms, weights: Tensor, *xs: Tensor) -> Tensor:
        out, means, rstds = _shapes(xs) if by is None else by.forward(xs, weights, norms)
        ctx.save_for_backward(weights, means, rstds, *xs)
        ctx.by, ctx.by_batch = by, norms.by_batch
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> Any:
        weights, means, rstds, *xs = ctx.saved_tensors
        if ctx.by is None:
            return None, None, torch.empty_like(weights), *map(torch.empty_like, xs)
        needs = ctx.needs_input_grad[3:]
        to_xs, to_weights = ctx.by.backward(grad, xs, weights, (means, rstds), ctx.by_batch, needs)
        return None, None, to_weights, *to_xs


def _shapes(xs: Sequence[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
    first = xs[0]
    wide = torch.promote_types(first.dtype, torch.float32)
    means = first.new_empty((len(xs), first.shape[1]), dtype=wide)
    return torch.empty_like(first, memory_format=memory_format_of(first)), means, torch.empty_like(means)


def _traced(xs: Sequence[Tensor], weights: Tensor, norms: Norms, use: str) -> Tensor:
    means = [m for m in norms.means if m is not None]
    variances = [v for v in norms.variances if v is not None]
    how = list(norms.normalised), norms.training, norms.momentum, norms.eps, use
    out: Tensor
    out, _, _, kept = _forward(list(xs), weights, means, variances, *how)
    if norms.training:
        with torch.no_grad():
            for old, new in zip((*means, *variances), kept.unbind(), strict=True):
                old.copy_(new)
    return out


@torch.library.custom_op("genolang::mixed_sum", mutates_args=())
def _forward(
    xs: list[Tensor],
    weights: Tensor,
    means: list[Tensor],
    variances: list[Tensor],
    normalised: list[bool],
    training: bool,
    momentum: float,
    eps: float,
    use: str,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Sum, means and reciprocal deviations (T, C), and what the running statistics become."""
    kept = torch.stack((*means, *variances)) if means else weights.new_empty((0, xs[0].shape[1]))
    places = [
        [next(rows) if flag else None for flag in normalised]
        for rows in (iter(kept[: len(means)]), iter(kept[len(means) :]))
    ]
    norms = Norms(tuple(normalised), places[0], places[1], training, momentum, eps)
    return *_at_run_time(xs, weights, use).forward(xs, weights, norms), kept


@_forward.register_fake
def _(
    xs: list[Tensor],
    weights: Tensor,
    means: list[Tensor],
    variances: list[Tensor],
    normalised: list[bool],
    training: bool,
    momentum: float,
    eps: float,
    use: str,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    kept = (means[0] if means else weights).new_empty((2 * len(means), xs[0].shape[1]))
    return *_shapes(xs), kept


@torch.library.custom_op("genolang::mixed_sum_backward", mutates_args=())
def _backward(
    grad: Tensor,
    xs: list[Tensor],
    weights: Tensor,
    means: Tensor,
    rstds: Tensor,
    by_batch: list[bool],
    needs: list[bool],
    use: str,
) -> tuple[Tensor, Tensor]:
    """Gradients to the maps that need one, stacked, and to the weights."""
    implementation = _at_run_time(xs, weights, use)
    to_xs, to_weights = implementation.backward(grad, xs, weights, (means, rstds), by_batch, needs)
    stacked = maps_like(xs[0], sum(needs))
    for to, found in zip(stacked, (t for t in to_xs if t is not None), strict=True):
        to.copy_(found)
    return stacked, to_weights


@_backward.register_fake
def _(
    grad: Tensor,
    xs: list[Tensor],
    weights: Tensor,
    means: Tensor,
    rstds: Tensor,
    by_batch: list[bool],
    needs: list[bool],
    use: str,
) -> tuple[Tensor, Tensor]:
    return maps_like(xs[0], sum(needs)), torch.empty_like(weights)


def _at_run_time(xs: Sequence[Tensor], weights: Tensor, use: str) -> ModuleType:
    chosen = dispatch.choose(KERNEL, (*xs, weights), use or None)
    return launch if chosen == dispatch.FUSED else cpu


def _remember(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    xs, weights, _, _, normalised, training, _, _, use = inputs
    _, means, rstds, kept = output
    ctx.save_for_backward(weights, means, rstds, *xs)
    ctx.mark_non_differentiable(means, rstds, kept)
    ctx.normed, ctx.use = sum(normalised), use
    ctx.by_batch = [training and flag for flag in normalised]


def _differentiate(ctx: Any, grad: Tensor, *_: Tensor) -> Any:
    weights, means, rstds, *xs = ctx.saved_tensors
    needs = list(ctx.needs_input_grad[0])
    stacked, to_weights = _backward(grad, xs, weights, means, rstds, ctx.by_batch, needs, ctx.use)
    each = iter(stacked.unbind())
    to_xs = [next(each) if need else None for need in needs]
    none = [None] * ctx.normed
    return to_xs, to_weights, none, none, *[None] * 5


_forward.register_autograd(_differentiate, setup_context=_remember)
