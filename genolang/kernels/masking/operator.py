"""Masking as autograd and torch.compile see it: keeps two maps, computes the rest again.

Eager calls go through autograd.Functions, which cost less a call; a compiler that is asked for one of the
implementations gets the operators `genolang::masked` and `genolang::recalibrated`.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import ModuleType
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from genolang.kernels.dispatch import CPU, FUSED
from genolang.kernels.maps import memory_format_of
from genolang.kernels.masking import cpu, launch
from genolang.kernels.masking.gate import CHANNEL, SPATIAL, Gate

Implementation = ModuleType | None  # launch or cpu; None: shapes only
MODULES = {FUSED: launch, CPU: cpu}


class Masked(torch.autograd.Function):
    """Keeps the map and one more, of the logits' size."""

    @staticmethod
    def forward(ctx: Any, by: Implementation, gate: Gate, t: Tensor, m: Tensor) -> Tensor:
        out, saved = _masked_shapes(t, m, gate) if by is None else by.masked_forward(t, m, gate)
        ctx.save_for_backward(t, *saved)
        ctx.by, ctx.gate, ctx.dtype = by, gate, m.dtype
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, g: Tensor) -> Any:
        t, *saved = ctx.saved_tensors
        if ctx.by is None:
            return None, None, torch.empty_like(t), torch.empty_like(saved[0])
        return None, None, *ctx.by.masked_backward(g, t, tuple(saved), ctx.gate, ctx.needs_input_grad[2:])


class Recalibrated(torch.autograd.Function):
    """Keeps the features, the mask's logits or the mask, and the result where it went through a ReLU."""

    @staticmethod
    def forward(ctx: Any, by: Implementation, relu: bool, x: Tensor, f: Tensor, m: Tensor) -> Tensor:
        if by is None:
            y, kept = torch.empty_like(x), torch.empty_like(m)
        else:
            y, kept = by.recalibrated_forward(x, f, m, relu)
        ctx.save_for_backward(f, kept, *([y] if relu else []))
        ctx.by = by
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, g: Tensor) -> Any:
        f, kept, *y = ctx.saved_tensors
        if ctx.by is None:
            return None, None, g, torch.empty_like(f), torch.empty_like(kept)
        needs = ctx.needs_input_grad[2:]
        return None, None, *ctx.by.recalibrated_backward(g, f, kept, y[0] if y else None, needs)


def _masked_shapes(t: Tensor, m: Tensor, gate: Gate) -> tuple[Tensor, Sequence[Tensor]]:
    """What the CPU makes and keeps: the logits standardised, with three numbers a row; the logits and the
    norms of their positions; or the mask."""
    if gate.kind == SPATIAL:
        return torch.empty_like(t), (torch.empty_like(m), *(m.new_empty(m.shape[:2]) for _ in range(3)))
    if gate.kind == CHANNEL:
        return torch.empty_like(t), (m, m[:, :1].clone())
    return torch.empty_like(t), (torch.empty_like(m),)


def masked(by: str, gate: Gate, t: Tensor, m: Tensor) -> Tensor:
    """(1 + gate(m)) * t as an operator."""
    found: Tensor = _masked(t, m, gate.kind, gate.residual, gate.eps, gate.sigmoid, by)[0]
    return found


def recalibrated(by: str, relu: bool, x: Tensor, f: Tensor, m: Tensor) -> Tensor:
    """x + sigmoid(m) * f as an operator."""
    found: Tensor = _recalibrated(x, f, m, relu, by)[0]
    return found


def _gives_logits(by: str, kind: str) -> bool:
    """Whether the first tensor kept is the logits themselves, which an operator must not return."""
    return by == FUSED or kind == CHANNEL


@torch.library.custom_op("genolang::masked", mutates_args=())
def _masked(
    t: Tensor, m: Tensor, kind: str, residual: bool, eps: float, sigmoid: bool, by: str
) -> tuple[Tensor, list[Tensor]]:
    """The masked map, and what backward needs besides the inputs."""
    out, saved = MODULES[by].masked_forward(t, m, Gate(kind, residual, eps, sigmoid))
    return out, list(saved[_gives_logits(by, kind) :])


@_masked.register_fake
def _(
    t: Tensor, m: Tensor, kind: str, residual: bool, eps: float, sigmoid: bool, by: str
) -> tuple[Tensor, list[Tensor]]:
    if by == CPU:
        # Operations of ATen, which have shapes of their own.
        out, saved = cpu.masked_forward(t, m, Gate(kind, residual, eps, sigmoid))
        return out, list(saved[_gives_logits(by, kind) :])
    wide = torch.promote_types(torch.promote_types(t.dtype, m.dtype), torch.float32)
    shape = {SPATIAL: t.shape[:2], CHANNEL: (t.shape[0], *t.shape[2:])}.get(kind)
    out = torch.empty_like(t, dtype=torch.promote_types(t.dtype, m.dtype), memory_format=memory_format_of(t))
    return out, [t.new_empty(shape, dtype=wide) for _ in range(1 + (kind == SPATIAL)) if shape is not None]


@torch.library.custom_op("genolang::masked_backward", mutates_args=())
def _masked_backward(
    g: Tensor,
    t: Tensor,
    saved: list[Tensor],
    kind: str,
    residual: bool,
    eps: float,
    sigmoid: bool,
    by: str,
    needs: list[bool],
) -> list[Tensor]:
    """The gradients that are needed."""
    found = MODULES[by].masked_backward(g, t, tuple(saved), Gate(kind, residual, eps, sigmoid), needs)
    return [grad for grad in found if grad is not None]


@_masked_backward.register_fake
def _(
    g: Tensor,
    t: Tensor,
    saved: list[Tensor],
    kind: str,
    residual: bool,
    eps: float,
    sigmoid: bool,
    by: str,
    needs: list[bool],
) -> list[Tensor]:
    if by == CPU:
        found = cpu.masked_backward(g, t, tuple(saved), Gate(kind, residual, eps, sigmoid), needs)
        return [grad for grad in found if grad is not None]
    there = (x for x, need in zip((t, saved[0]), needs, strict=True) if need)
    return [torch.empty_like(x, memory_format=memory_format_of(t)) for x in there]


@torch.library.custom_op("genolang::recalibrated", mutates_args=())
def _recalibrated(x: Tensor, f: Tensor, m: Tensor, relu: bool, by: str) -> tuple[Tensor, list[Tensor]]:
    """The recalibrated map, and the mask if it is kept instead of its logits."""
    y, kept = MODULES[by].recalibrated_forward(x, f, m, relu)
    return y, [kept][by == FUSED :]


@_recalibrated.register_fake
def _(x: Tensor, f: Tensor, m: Tensor, relu: bool, by: str) -> tuple[Tensor, list[Tensor]]:
    if by == CPU:
        y, kept = cpu.recalibrated_forward(x, f, m, relu)
        return y, [kept]
    wide = torch.promote_types(torch.promote_types(x.dtype, f.dtype), m.dtype)
    return torch.empty_like(x, dtype=wide, memory_format=memory_format_of(x)), []


@torch.library.custom_op("genolang::recalibrated_backward", mutates_args=())
def _recalibrated_backward(
    g: Tensor, f: Tensor, kept: Tensor, y: Tensor | None, by: str, needs: list[bool]
) -> list[Tensor]:
    """The gradients that are needed; without a ReLU, that of x is `g` and not asked for."""
    found = MODULES[by].recalibrated_backward(g, f, kept, y, needs)
    return [grad for grad in found if grad is not None]


@_recalibrated_backward.register_fake
def _(g: Tensor, f: Tensor, kept: Tensor, y: Tensor | None, by: str, needs: list[bool]) -> list[Tensor]:
    if by == CPU:
        return [x for x in cpu.recalibrated_backward(g, f, kept, y, needs) if x is not None]
    there = (x for x, need in zip((g, f, kept), needs, strict=True) if need)
    return [torch.empty_like(x, memory_format=memory_format_of(f)) for x in there]


def _remember_masked(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, list[Tensor]]) -> None:
    t, m, kind, *_, by = inputs
    _, extra = output
    ctx.save_for_backward(t, *([m] if _gives_logits(by, kind) else []), *extra)
    ctx.mark_non_differentiable(*extra)
    ctx.how = inputs[2:]


def _differentiate_masked(ctx: Any, g: Tensor, _: Any) -> Any:
    t, *saved = ctx.saved_tensors
    needs = list(ctx.needs_input_grad[:2])
    found = iter(_masked_backward(g, t, saved, *ctx.how, needs))
    return *(next(found) if need else None for need in needs), *[None] * len(ctx.how)


def _remember_recalibrated(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, list[Tensor]]) -> None:
    _, f, m, relu, by = inputs
    y, extra = output
    ctx.save_for_backward(f, *(extra or [m]), *([y] if relu else []))
    ctx.mark_non_differentiable(*extra)
    ctx.by = by


def _differentiate_recalibrated(ctx: Any, g: Tensor, _: Any) -> Any:
    f, kept, *y = ctx.saved_tensors
    to_x, *needs = ctx.needs_input_grad[:3]
    asked = [to_x and bool(y), *needs]
    found = iter(_recalibrated_backward(g, f, kept, y[0] if y else None, ctx.by, asked) if any(asked) else ())
    first = (next(found) if y else g) if to_x else None
    return first, *(next(found) if need else None for need in needs), None, None


_masked.register_autograd(_differentiate_masked, setup_context=_remember_masked)
_recalibrated.register_autograd(_differentiate_recalibrated, setup_context=_remember_recalibrated)
