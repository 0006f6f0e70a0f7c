"""Relative attention written out over all pairs of pixels, in float64; and cases to compare on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from exactness import as_exact, distance
from torch import Tensor

from genolang.kernels.relative_attention import relative_attention


@dataclass(frozen=True)
class Case:
    """Inputs by their properties; `more` are rows and columns for which the tables are too large, `offset` is
    the mean of what is `shifted`."""

    size: tuple[int, int] = (5, 7)
    key: int = 4
    value: int = 3
    heads: int = 2
    batch: int = 2
    more: tuple[int, int] = (0, 0)
    layout: str = "contiguous"
    scale: float = 1.0
    offset: float = 0.0
    shifted: str = "keys"
    dtype: torch.dtype = torch.float64


@dataclass
class Inputs:
    qkv: Tensor
    height: Tensor
    width: Tensor
    heads: int
    grad: Tensor

    @property
    def tensors(self) -> tuple[Tensor, Tensor, Tensor]:
        return self.qkv, self.height, self.width


def build(case: Case, seed: int = 0) -> Inputs:
    draw = torch.Generator().manual_seed(seed)

    def normal(*shape: int, scale: float = 1.0) -> Tensor:
        return (scale * torch.randn(shape, generator=draw, dtype=torch.float64)).to(case.dtype)

    H, W = case.size
    channels = case.heads * (2 * case.key + case.value)
    qkv = normal(case.batch, channels, H, W, scale=case.scale)
    keys, values = case.heads * case.key, 2 * case.heads * case.key
    parts = {"queries": slice(0, keys), "keys": slice(keys, values), "values": slice(values, None), "tables": slice(0)}
    qkv[:, parts[case.shifted]] += case.offset
    if case.layout == "channels_last":
        qkv = qkv.contiguous(memory_format=torch.channels_last)
    elif case.layout == "sliced":
        qkv = torch.cat([qkv, qkv, qkv], 1)[:, channels : 2 * channels]
    elif case.layout == "transposed":
        qkv = qkv.transpose(2, 3).contiguous().transpose(2, 3)
    tables = [normal(2 * (length + extra) - 1, case.key) for length, extra in zip(case.size, case.more, strict=True)]
    if case.shifted == "tables":
        tables = [table + case.offset for table in tables]
    grad = normal(case.batch, case.heads * case.value, H, W)
    return Inputs(*(t.requires_grad_() for t in (qkv, *tables)), case.heads, grad)


def exactly(inputs: Inputs) -> Inputs:
    """The same in float64."""
    qkv, height, width = (t.detach().clone().double().requires_grad_() for t in inputs.tensors)
    return Inputs(qkv, height, width, inputs.heads, inputs.grad.double())


def written_out(qkv: Tensor, height: Tensor, width: Tensor, heads: int) -> Tensor:
    """Pair by pair: the key plus the embeddings of how far it lies to the right and below."""
    channels, H, W = qkv.shape[1:]
    d = height.shape[1]
    value = channels // heads - 2 * d
    flat = qkv.flatten(2)
    place = [(y, x) for y in range(H) for x in range(W)]
    below = torch.tensor([[yj - yi for yj, _ in place] for yi, _ in place]) + height.shape[0] // 2
    right = torch.tensor([[xj - xi for _, xj in place] for _, xi in place]) + width.shape[0] // 2
    between = height[below] + width[right]
    maps = []
    for head in range(heads):
        q = flat[:, head * d : (head + 1) * d]
        k = flat[:, (heads + head) * d : (heads + head + 1) * d]
        start = 2 * heads * d + head * value
        keys = k.transpose(1, 2)[:, None] + between
        weights = torch.softmax((q.transpose(1, 2)[:, :, None] * keys).sum(3) / d**0.5, 2)
        maps.append(torch.einsum("bij,bej->bei", weights, flat[:, start : start + value]))
    return torch.cat(maps, 1).unflatten(2, (H, W))


def ours(use: str | None = None) -> Callable[..., Tensor]:
    return lambda *args: relative_attention(*args, use=use)


def results(function: Callable[..., Tensor], inputs: Inputs) -> dict[str, Tensor]:
    """Output and gradients by name."""
    out = function(*inputs.tensors, inputs.heads)
    found = torch.autograd.grad(out, inputs.tensors, inputs.grad)
    return dict(zip(("out", "to qkv", "to height", "to width"), (out.detach(), *found), strict=True))


def absolutely(found: Tensor, exact: Tensor) -> float:
    """The largest difference over the largest magnitude, or over one where all is smaller."""
    assert found.isfinite().all()
    return distance(found, exact) * min(1.0, float(exact.abs().max())) if found.numel() else 0.0


def agrees(case: Case, use: str | None, tolerance: float) -> None:
    inputs = build(case)
    found, exact = results(ours(use), inputs), results(written_out, exactly(inputs))
    for name, there in exact.items():
        here = found[name]
        assert here.shape == there.shape and here.dtype == case.dtype, name
        assert absolutely(here, there) <= tolerance, f"{name}: {absolutely(here, there):.1e}"


def agrees_as_well(case: Case, use: str | None, factor: float = 10.0) -> None:
    """Errors are at most `factor` times those of the plain form in the same dtype."""
    inputs = build(case)
    found, plain, exact = (
        results(ours(use), inputs),
        results(ours("reference"), inputs),
        results(written_out, exactly(inputs)),
    )
    as_exact(*(by_part(result, case) for result in (found, plain, exact)), factor)


def by_part(result: dict[str, Tensor], case: Case) -> dict[str, Tensor]:
    """The gradients to queries, keys and values apart: one may be large where another is small."""
    widths = [case.heads * case.key, case.heads * case.key, case.heads * case.value]
    parts = torch.split(result["to qkv"], widths, dim=1)
    others = {name: tensor for name, tensor in result.items() if name != "to qkv"}
    return others | dict(zip(("to queries", "to keys", "to values"), parts, strict=True))
