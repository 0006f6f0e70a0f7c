"""Relative attention as autograd and torch.compile see it.

Eager calls go through an autograd.Function, which costs less a call; a compiler gets the operators
`genolang::relative_attention` and `genolang::relative_attention_backward`.
"""

from __future__ import annotations

import functools
from dataclasses import replace
from types import ModuleType
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from genolang.kernels.dispatch import CPU, FUSED, REFERENCE, choose
from genolang.kernels.record import Kernel
from genolang.kernels.relative_attention import cpu, exported, launch, reference, small
from genolang.kernels.relative_attention.configurations import CONFIGURATIONS, obstacle
from genolang.kernels.relative_attention.sizes import Sizes, kept_for, sizes

AUGMENTED = "augmented"
KERNEL = Kernel(
    name="relative_attention",
    pattern="op attention(key, value, heads) = relative_attention(key, value, heads)\n",
    implementations=frozenset({FUSED, CPU, AUGMENTED, REFERENCE}),
    tolerance={torch.float64: 1e-12, torch.float32: 2e-6, torch.float16: 2e-3, torch.bfloat16: 1.6e-2},
    configurations=CONFIGURATIONS,
    otherwise=AUGMENTED,
)


def kernel_for(qkv: Tensor, relative_height: Tensor, relative_width: Tensor, heads: int) -> Kernel:
    """The record with what stands against sizes like these. ValueError where they do not fit together."""
    s = sizes(qkv, relative_height, relative_width, heads)
    return _kernel_for(s._replace(batch=0))


@functools.lru_cache(maxsize=1024)
def _kernel_for(s: Sizes) -> Kernel:
    return replace(KERNEL, obstacle=lambda inputs: obstacle(s._replace(batch=inputs[0].shape[0])))


def relative_attention(
    qkv: Tensor, relative_height: Tensor, relative_width: Tensor, heads: int, use: str | None
) -> Tensor:
    """The result, by what dispatch chooses."""
    tensors = qkv, relative_height, relative_width
    pixels = qkv.shape[-2] * qkv.shape[-1]
    if torch.compiler.is_compiling():
        if use == AUGMENTED or (use is None and _plainly(*tensors, heads)):
            return exported.relative_attention(*tensors, heads)
        compiled: Tensor = _forward(*tensors, heads, use or "")[0]
        return compiled
    chosen = choose(kernel_for(*tensors, heads), tensors, use)
    if chosen == REFERENCE:
        return reference.relative_attention(*tensors, heads)
    if chosen == AUGMENTED:
        return exported.relative_attention(*tensors, heads)
    by = launch if chosen == FUSED else small if pixels <= small.LARGEST else cpu
    found: Tensor = Attention.apply(by, heads, *tensors)  # type: ignore[no-untyped-call]
    return found


def _plainly(qkv: Tensor, relative_height: Tensor, relative_width: Tensor, heads: int) -> bool:
    """Whether a compiler gets PyTorch's operations: for small maps on a CPU, elsewhere what is not fused."""
    if qkv.device.type == "cpu":
        return qkv.shape[-2] * qkv.shape[-1] <= small.LARGEST
    return bool(obstacle(sizes(qkv, relative_height, relative_width, heads)))


class Attention(torch.autograd.Function):
    """Keeps the maps and the tables; for most sizes also the result, and a number for every query and head or
    all weights."""

    @staticmethod
    def forward(
        ctx: Any, by: ModuleType, heads: int, qkv: Tensor, relative_height: Tensor, relative_width: Tensor
    ) -> Tensor:
        out: Tensor
        tensors = qkv, relative_height, relative_width
        out, kept = by.forward(*tensors, heads)
        again = by is launch and launch.again(*tensors, heads)
        ctx.save_for_backward(*tensors, *(() if again else (out, kept)))
        ctx.by, ctx.heads = by, heads
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> Any:
        qkv, relative_height, relative_width, *kept = ctx.saved_tensors
        found = ctx.by.backward(grad, qkv, relative_height, relative_width, ctx.heads, *kept)
        return None, None, *found


@torch.library.custom_op("genolang::relative_attention", mutates_args=())
def _forward(
    qkv: Tensor, relative_height: Tensor, relative_width: Tensor, heads: int, use: str
) -> tuple[Tensor, Tensor]:
    """The result and what is kept for backward."""
    tensors = qkv, relative_height, relative_width
    found: tuple[Tensor, Tensor] = _at_run_time(*tensors, heads, use).forward(*tensors, heads)
    return found


@_forward.register_fake
def _(qkv: Tensor, relative_height: Tensor, relative_width: Tensor, heads: int, use: str) -> tuple[Tensor, Tensor]:
    s = sizes(qkv, relative_height, relative_width, heads)
    return qkv.new_empty((s.batch, heads * s.value, s.height, s.width)), kept_for(qkv, s)


@torch.library.custom_op("genolang::relative_attention_backward", mutates_args=())
def _backward(
    grad: Tensor,
    qkv: Tensor,
    relative_height: Tensor,
    relative_width: Tensor,
    heads: int,
    out: Tensor,
    kept: Tensor,
    use: str,
) -> tuple[Tensor, Tensor, Tensor]:
    tensors = qkv, relative_height, relative_width
    by = _at_run_time(*tensors, heads, use)
    found: tuple[Tensor, Tensor, Tensor] = by.backward(grad, *tensors, heads, out, kept)
    return found


@_backward.register_fake
def _(
    grad: Tensor,
    qkv: Tensor,
    relative_height: Tensor,
    relative_width: Tensor,
    heads: int,
    out: Tensor,
    kept: Tensor,
    use: str,
) -> tuple[Tensor, Tensor, Tensor]:
    to_height = relative_height.new_empty(relative_height.shape)
    return qkv.new_empty(qkv.shape), to_height, relative_width.new_empty(relative_width.shape)


def _at_run_time(qkv: Tensor, relative_height: Tensor, relative_width: Tensor, heads: int, use: str) -> ModuleType:
    # What is not fused is done in tiles here: the two directions belong together.
    tensors = qkv, relative_height, relative_width
    chosen = choose(kernel_for(*tensors, heads), tensors, use or None)
    return launch if chosen == FUSED else cpu


def _remember(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    *tensors, heads, use = inputs
    ctx.save_for_backward(*tensors, *output)
    ctx.mark_non_differentiable(output[1])
    ctx.heads, ctx.use = heads, use


def _differentiate(ctx: Any, grad: Tensor, _: Tensor) -> Any:
    *tensors, out, kept = ctx.saved_tensors
    return *_backward(grad, *tensors, ctx.heads, out, kept, ctx.use), None, None


_forward.register_autograd(_differentiate, setup_context=_remember)
