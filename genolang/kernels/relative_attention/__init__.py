"""2D relative self-attention on feature maps: the logits of all pairs of pixels are never in memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from genolang.kernels.dispatch import CPU, FUSED, REFERENCE, choose
from genolang.kernels.record import Kernel
from genolang.kernels.relative_attention import cpu, exported, reference
from genolang.kernels.relative_attention.configurations import CONFIGURATIONS, LARGEST_DIMENSION, LARGEST_SIDE
from genolang.kernels.relative_attention.sizes import sizes


def _obstacle(inputs: Sequence[Tensor]) -> str:
    qkv, relative_height, _ = inputs
    if max(qkv.shape[2:]) > LARGEST_SIDE:
        return f"the map has more than {LARGEST_SIDE} rows or columns"
    if relative_height.shape[1] > LARGEST_DIMENSION or qkv.shape[1] < 1:
        return f"a head has more than {LARGEST_DIMENSION} dimensions"
    return ""


KERNEL = Kernel(
    name="relative_attention",
    pattern="relative_attention(key, value, heads)",
    implementations=frozenset({FUSED, CPU, REFERENCE}),
    tolerance={torch.float64: 1e-12, torch.float32: 2e-6, torch.float16: 1e-3, torch.bfloat16: 1e-2},
    configurations=CONFIGURATIONS,
    obstacle=_obstacle,
)


def relative_attention(
    qkv: Tensor, relative_height: Tensor, relative_width: Tensor, heads: int, *, use: str | None = None
) -> Tensor:
    """Self-attention of a map's pixels, with learned biases for how far apart their rows and columns are.

    `qkv` (B, 2 * key + value, H, W) holds queries, keys and values, each head by head; the result is
    (B, value, H, W) in its dtype. The tables (2L-1, key / heads) hold a row for each offset from -(L-1)
    to L-1, shared by all heads; a map of fewer rows or columns than L reads their centre. `use` names an
    implementation: fused, cpu or reference. ValueError where sizes do not fit. First derivatives only.
    Source: Bello et al. 2019, "Attention Augmented Convolutional Networks", section 3.
    """
    tensors = qkv, relative_height, relative_width
    if use is None and torch.compiler.is_exporting():
        return exported.relative_attention(*tensors, heads)
    if use is None and torch.compiler.is_compiling():
        found: Tensor = _operator(*tensors, heads)[0]
        return found
    chosen = choose(KERNEL, tensors, use)
    if chosen == REFERENCE:
        return reference.relative_attention(*tensors, heads)
    found = _Attention.apply(*tensors, heads, chosen)  # type: ignore[no-untyped-call]
    return found


def _implementation(chosen: str) -> Any:
    if chosen != FUSED:
        return cpu
    from genolang.kernels.relative_attention import launch

    return launch


class _Attention(torch.autograd.Function):
    """What runs outside of compiled programs: a custom operator costs several times as much per call."""

    @staticmethod
    def forward(
        ctx: Any, qkv: Tensor, relative_height: Tensor, relative_width: Tensor, heads: int, chosen: str
    ) -> Tensor:
        found: tuple[Tensor, Tensor] = _implementation(chosen).forward(
            qkv, relative_height, relative_width, heads
        )
        ctx.save_for_backward(qkv, relative_height, relative_width, *found)
        ctx.heads, ctx.chosen = heads, chosen
        return found[0]

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, grad: Tensor) -> Any:
        *tensors, out, logsumexp = ctx.saved_tensors
        found = _implementation(ctx.chosen).backward(grad, *tensors, ctx.heads, out, logsumexp)
        return *found, None, None


@torch.library.custom_op("genolang::relative_attention", mutates_args=())
def _operator(
    qkv: Tensor, relative_height: Tensor, relative_width: Tensor, heads: int
) -> tuple[Tensor, Tensor]:
    """The result and the logarithms of the weights' sums (B * heads, H*W)."""
    found: tuple[Tensor, Tensor] = _chosen(qkv, relative_height, relative_width).forward(
        qkv, relative_height, relative_width, heads
    )
    return found


@torch.library.custom_op("genolang::relative_attention_backward", mutates_args=())
def _operator_backward(
    grad: Tensor, qkv: Tensor, relative_height: Tensor, relative_width: Tensor, heads: int, out: Tensor,
    logsumexp: Tensor,
) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
    found: tuple[Tensor, Tensor, Tensor] = _chosen(qkv, relative_height, relative_width).backward(
        grad, qkv, relative_height, relative_width, heads, out, logsumexp
    )
    return found


def _chosen(*tensors: Tensor) -> Any:
    # Asked for the reference, a compiled program gets the tiles: an operator has one pair of functions.
    return _implementation(choose(KERNEL, tensors))


@_operator.register_fake
def _(qkv: Tensor, relative_height: Tensor, relative_width: Tensor, heads: int) -> tuple[Tensor, Tensor]:
    s = sizes(qkv, relative_height, relative_width, heads)
    wide = torch.promote_types(qkv.dtype, torch.float32)
    return (
        qkv.new_empty(s.batch, heads * s.value, s.height, s.width),
        qkv.new_empty(s.batch * heads, s.pixels, dtype=wide),
    )


@_operator_backward.register_fake
def _(
    grad: Tensor, qkv: Tensor, relative_height: Tensor, relative_width: Tensor, heads: int, out: Tensor,
    logsumexp: Tensor,
) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
    return tuple(t.new_empty(t.shape) for t in (qkv, relative_height, relative_width))  # type: ignore[return-value]


def _keep(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    *tensors, ctx.heads = inputs
    ctx.save_for_backward(*tensors, *output)


def _differentiate(ctx: Any, grad: Tensor, unused: Tensor | None) -> tuple[Tensor | None, ...]:
    *tensors, out, logsumexp = ctx.saved_tensors
    return *_operator_backward(grad, *tensors, ctx.heads, out, logsumexp), None


_operator.register_autograd(_differentiate, setup_context=_keep)

__all__ = ["KERNEL", "relative_attention"]
