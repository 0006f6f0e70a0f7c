"""Batch norm in training of maps with their channels last, as exact as of others.

For such maps ATen adds float32 numbers one after the other, a row of pixels at a time: over the many pixels
of a batch sums lose a digit or two. Seen as a map of fewer pixels with more channels, which is the same
memory, they are added in pieces, and the pieces' sums after that.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from genolang.kernels.cpu.maps import matrix
from genolang.kernels.maps import memory_format_of, regular

aten = torch.ops.aten
# Pixels of a piece, which ATen adds one after the other: at best, and at the fewest and the most.
BEST, FEWEST, MOST = 32, 16, 256
# Pixels up to which ATen's batch norm is as good.
FEW = 64
# From so many variances on a mean's square is large: what it is rounded by shows in them.
FAR = 1e3


def takes(x: Tensor) -> bool:
    """Whether ATen's own batch norm is less exact on this map than on others."""
    return (
        x.dtype == torch.float32
        and x.device.type == "cpu"
        and x.dim() == 4
        and x.numel() > FEW * x.shape[1]
        and memory_format_of(x) == torch.channels_last
        and type(x) is Tensor
        and not torch.compiler.is_compiling()
        and not torch._C._get_tracing_state()
    )


def batch_norm(
    x: Tensor, weight: Tensor | None, bias: Tensor | None, kept: tuple[Tensor, Tensor], momentum: float, eps: float
) -> Tensor:
    """Batch norm by the batch's statistics, which the kept ones follow, of a map that `takes` takes."""
    found: Tensor = _BatchNorm.apply(x, weight, bias, kept, momentum, eps)  # type: ignore[no-untyped-call]
    return found


class _BatchNorm(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor | None,
        bias: Tensor | None,
        kept: tuple[Tensor, Tensor],
        momentum: float,
        eps: float,
    ) -> Tensor:
        mean, variance = moments(x)
        follow(kept, mean, variance, momentum, x)
        ctx.save_for_backward(x, weight, mean, torch.rsqrt(variance + eps))
        return by_statistics(x, weight, bias, mean, variance, eps)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Any:
        x, weight, mean, rstd = ctx.saved_tensors
        return *gradients(gradient, x, weight, mean, rstd, ctx.needs_input_grad[:3]), None, None, None


def follow(kept: tuple[Tensor, Tensor], mean: Tensor, variance: Tensor, momentum: float, x: Tensor) -> None:
    """Move kept statistics towards those of the map's channels; the variance kept is the unbiased one."""
    count = x.numel() // x.shape[1]
    kept[0].lerp_(mean.to(kept[0].dtype), momentum)
    kept[1].lerp_((variance * (count / max(count - 1, 1))).to(kept[1].dtype), momentum)


def by_statistics(
    x: Tensor, weight: Tensor | None, bias: Tensor | None, mean: Tensor, variance: Tensor, eps: float
) -> Tensor:
    """Batch norm by the given mean and variance."""
    return torch.native_batch_norm(x, weight, bias, mean, variance, False, 0.0, eps)[0]


def moments(x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and biased variance of every channel."""
    pieces = _pieces(x)
    mean, variance = _merged(x, pieces)
    if _loose(x) and bool((mean.square() > FAR * variance).any()):
        rest, variance = _merged(x - mean[:, None, None], pieces)
        mean = mean + rest
    return mean, variance


def _merged(x: Tensor, pieces: int) -> tuple[Tensor, Tensor]:
    """The statistics of equal pieces, as those of the whole."""
    mean, variance = torch.batch_norm_update_stats(_apart(x, pieces), None, None, 0.0)
    if pieces == 1:
        return mean, variance
    means = mean.view(pieces, -1)
    mean = means.mean(0)
    return mean, (means - mean).square_().add_(variance.view(pieces, -1)).mean(0)


def gradients(
    gradient: Tensor,
    x: Tensor,
    weight: Tensor | None,
    mean: Tensor,
    rstd: Tensor,
    needs: Sequence[bool],
    *,
    by_batch: bool = True,
) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
    """To a batch norm's map, scale and shift, where they are needed; mean and reciprocal deviation are the
    batch's own, or kept ones."""
    x, gradient = regular(x), regular(gradient.contiguous(memory_format=memory_format_of(x)))
    pieces = _pieces(x)
    if pieces == 1:
        statistics = (None, None, mean, rstd) if by_batch else (mean, rstd.pow(-2), None, None)
        found: tuple[Tensor | None, Tensor | None, Tensor | None] = aten.native_batch_norm_backward(
            gradient, x, weight, *statistics, by_batch, 0.0, [*needs]
        )
        return found
    one = torch.ones_like(mean).repeat(pieces)
    _, products, sums = aten.native_batch_norm_backward(
        _apart(gradient, pieces),
        _apart(x, pieces),
        one,
        mean.repeat(pieces),
        one,
        None,
        None,
        False,
        0.0,
        [False, True, True],
    )
    to_scale, to_shift = products.view(pieces, -1).sum(0).mul_(rstd), sums.view(pieces, -1).sum(0)
    scale = rstd if weight is None else weight * rstd
    to_x = None
    if needs[0] and not by_batch:
        to_x = gradient * scale[:, None, None]
    elif needs[0]:
        # scale * (gradient - its mean - normalised map * mean of their product)
        count = x.numel() // x.shape[1]
        slope = to_scale * scale * rstd / -count
        level = to_shift * scale / -count - slope * mean
        to_x = torch.addcmul(level[:, None, None], x, slope[:, None, None])
        to_x.addcmul_(gradient, scale[:, None, None])
    return to_x, to_scale if needs[1] else None, to_shift if needs[2] else None


def _loose(x: Tensor) -> bool:
    """Whether ATen adds a map's pixels one after the other."""
    return x.dtype == torch.float32 and memory_format_of(x) == torch.channels_last


def _pieces(x: Tensor) -> int:
    """How many pieces the pixels of a map go into."""
    return _divided(x.numel() // x.shape[1]) if _loose(x) else 1


@lru_cache(1024)
def _divided(pixels: int) -> int:
    if pixels <= BEST:
        return 1
    sizes = (*range(BEST, FEWEST - 1, -1), *range(BEST + 1, MOST + 1))
    return pixels // next((size for size in sizes if pixels % size == 0), pixels)


def _apart(x: Tensor, pieces: int) -> Tensor:
    """(B, C, H, W) as one image of pixels side by side in the channels, (1, pieces * C, pixels, 1)."""
    if pieces == 1:
        return x
    count = x.numel() // x.shape[1]
    return matrix(x).view(1, count // pieces, 1, -1).permute(0, 3, 1, 2)
