"""Kernels to be timed: what is dispatched on this device against the obvious formulation."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional as F

from genolang.bench.subject import Subject, Variant

Case = Callable[[torch.device, torch.dtype, Sequence[str]], Subject]
# Relative to the largest magnitude; the kernels' own tests are far stricter, against float64.
TOLERANCE = {torch.float32: 1e-4, torch.bfloat16: 5e-2, torch.float16: 1e-2}


def kernel_subjects(
    device: torch.device, dtypes: Sequence[torch.dtype], forms: Sequence[str], *, small: bool = False
) -> Iterator[Subject]:
    """Every kernel at the shapes of the networks that it is for; `small` at one tiny shape each."""
    for dtype in dtypes:
        sums = [(2, 4, 5, 3)] if small else [(64 if device.type == "cuda" else 8, C, size, count)
                                             for C, size in ((16, 32), (32, 16), (64, 8))
                                             for count in (14, 35)]  # fmt: skip
        for shape in sums:
            yield _mixed_sum(*shape, device, dtype, forms)
        maps = [(1, 2, 8, 5)] if small else [(2, 8, 160, 16), (2, 8, 160, 32)]
        if device.type == "cuda" and not small:
            maps = [(32, 8, 160, 16), (32, 8, 160, 32), (8, 8, 160, 56)]
        for attention in maps:
            yield _relative_attention(*attention, device, dtype, forms)
        masks = (2, 4, 5, 7) if small else (32 if device.type == "cuda" else 8, 128, 32, 32)
        for gate in ("mixed", "spatial", "channel"):
            yield _mask(gate, masks, device, dtype, forms)
        yield _recalibration(masks, device, dtype, forms)


def _forms(
    eager: Callable[..., Tensor], fused: Callable[..., Tensor], leaves: Callable[[], list[Tensor]],
    forms: Sequence[str],
) -> dict[str, Variant]:  # fmt: skip
    """The variants over leaves of their own, which `leaves` makes alike each time."""
    found = {}
    for name, function in (("eager", eager), ("compiled", eager), ("graphs", eager), ("fused", fused)):
        if name in ("compiled", "graphs"):
            if name not in forms:
                continue
            function = torch.compile(function, mode="default" if name == "compiled" else "reduce-overhead")
        own = leaves()
        found[name] = Variant(partial(_run, function, own), own)
    return found


def _run(function: Callable[..., Tensor], leaves: list[Tensor]) -> Tensor:
    return function(*leaves)


def _mixed_sum(
    batch: int, channels: int, size: int, count: int, device: torch.device, dtype: torch.dtype,
    forms: Sequence[str],
) -> Subject:  # fmt: skip
    """A node of a supernet: every seventh candidate is a skip connection without batch norm."""
    from genolang.kernels.mixed_sum import mixed_sum, why

    normed = [n % 7 != 3 for n in range(count)]
    means = [torch.zeros(channels, device=device) if has else None for has in normed]
    variances = [torch.ones(channels, device=device) if has else None for has in normed]

    def leaves() -> list[Tensor]:
        generator = torch.Generator().manual_seed(count)
        shape = batch, channels, size, size
        xs = [torch.randn(shape, generator=generator).to(device, dtype) for _ in range(count)]
        weights = torch.softmax(torch.randn(count, generator=generator), 0).to(device)
        return [t.requires_grad_() for t in (weights, *xs)]

    def eager(weights: Tensor, *xs: Tensor) -> Tensor:
        total = torch.zeros((), device=device, dtype=dtype)
        for w, x, mean, variance in zip(weights.unbind(), xs, means, variances, strict=True):
            x = x if mean is None else F.batch_norm(x, mean, variance, training=True)
            total = total + w.to(dtype) * x
        return total

    def fused(weights: Tensor, *xs: Tensor) -> Tensor:
        return mixed_sum(xs, weights, means, variances, training=True)

    own = leaves()
    shape = f"{batch}x{channels}x{size}x{size}, {count} candidates"
    variants = _forms(eager, fused, leaves, forms)
    return Subject("mixed_sum", shape, dtype, device, variants, TOLERANCE[dtype], why=why(own[1:], own[0]))


def _relative_attention(
    batch: int, heads: int, key: int, size: int, device: torch.device, dtype: torch.dtype,
    forms: Sequence[str],
) -> Subject:  # fmt: skip
    """Attention of an augmented convolution, keys as wide as values, on a square map."""
    from genolang.kernels.relative_attention import relative_attention, why

    def leaves() -> list[Tensor]:
        generator = torch.Generator().manual_seed(size)
        qkv = torch.randn(batch, 3 * key, size, size, generator=generator).to(device, dtype)
        tables = [torch.randn(2 * size - 1, key // heads, generator=generator) for _ in "hw"]
        return [qkv.requires_grad_(), *(t.to(device, dtype).requires_grad_() for t in tables)]

    eager = partial(relative_attention, heads=heads, use="reference")
    fused = partial(relative_attention, heads=heads)
    qkv, height, width = leaves()
    shape = f"{batch} of {size}x{size}, {heads} heads, {key} dims"
    variants = _forms(eager, fused, leaves, forms)
    return Subject("relative_attention", shape, dtype, device, variants, TOLERANCE[dtype],
                   why=why(qkv, height, width, heads))  # fmt: skip


def _mask(
    gate: str, shape: tuple[int, ...], device: torch.device, dtype: torch.dtype, forms: Sequence[str]
) -> Subject:
    """(1 + mask) * trunk, as a residual attention module ends."""
    from genolang.kernels.masking import mask_kernel, masked, why

    leaves = partial(_maps, (shape, shape), device, dtype)
    eager, fused = (partial(masked, gate=gate, use=use) for use in ("reference", None))
    return Subject(f"{gate} mask", "x".join(map(str, shape)), dtype, device,
                   _forms(eager, fused, leaves, forms), TOLERANCE[dtype],
                   why=why(mask_kernel(gate, True), *leaves()))  # fmt: skip


def _recalibration(
    shape: tuple[int, ...], device: torch.device, dtype: torch.dtype, forms: Sequence[str]
) -> Subject:
    """A residual block's end: x + mask * features with one mask a channel, and a ReLU."""
    from genolang.kernels.masking import KERNELS, recalibrated, why

    leaves = partial(_maps, (shape, shape, (*shape[:2], 1, 1)), device, dtype)
    eager, fused = (partial(recalibrated, relu=True, use=use) for use in ("reference", None))
    return Subject("recalibration", "x".join(map(str, shape)), dtype, device,
                   _forms(eager, fused, leaves, forms), TOLERANCE[dtype],
                   why=why(KERNELS["recalibration"], *leaves()))  # fmt: skip


def _maps(shapes: Sequence[tuple[int, ...]], device: torch.device, dtype: torch.dtype) -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(s, generator=generator).to(device, dtype).requires_grad_() for s in shapes]
