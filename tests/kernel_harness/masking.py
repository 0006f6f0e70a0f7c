"""Masking spelled out in exponentials, sums and roots, and cases to compare on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from exactness import as_exact, distance
from torch import Tensor

from genolang.kernels.masking import masked, recalibrated

Shape = tuple[int, int, int, int]


@dataclass(frozen=True)
class Case:
    """A gate, or a recalibration where `mask` says what its logits belong to; their mean is `offset`."""

    shape: Shape = (2, 3, 5, 7)
    gate: str = "mixed"
    residual: bool = True
    sigmoid: bool | None = None
    mask: str = ""
    relu: bool = False
    layout: str = "contiguous"
    values: str = "random"
    offset: float = 0.0
    dtype: torch.dtype = torch.float64
    logits_dtype: torch.dtype | None = None


def build(case: Case) -> list[Tensor]:
    """The leaves: map and logits, or map, features and logits; and the gradient that comes in."""
    draw = torch.Generator().manual_seed(1)
    shape = case.shape
    logits = {"channel": (*shape[:2], 1, 1), "spatial": (shape[0], 1, *shape[2:])}.get(case.mask, shape)
    shapes = [*([shape] * (2 if case.mask else 1)), logits, shape]
    found = [torch.randn(s, generator=draw, dtype=torch.float64) for s in shapes]
    m = found[-2]
    if case.values == "saturated":
        m = 100 * m.sign()
    elif case.values == "constant":
        m = torch.full_like(m, 0.3)
    elif case.values == "zero":
        m = torch.zeros_like(m)
    elif case.values == "large":
        m = 1e4 * m
    elif case.values == "exact zeros":
        found[0], found[1] = found[0].round(), torch.zeros_like(found[1])
    found[-2] = m + case.offset
    found = [t.to(case.dtype) for t in found]
    if case.logits_dtype is not None:
        found[-2] = found[-2].to(case.logits_dtype)
    if case.layout == "channels_last":
        found = [t.contiguous(memory_format=torch.channels_last) for t in found]
    elif case.layout == "sliced":
        found = [torch.stack([t, t], -1)[..., 0] for t in found]
    return [*(t.requires_grad_() for t in found[:-1]), found[-1]]


def spelled_out(case: Case) -> Callable[..., Tensor]:
    def sigmoid(x: Tensor) -> Tensor:
        return 1 / (1 + torch.exp(-x))

    def gate(m: Tensor) -> Tensor:
        if case.gate == "spatial":
            count = m.shape[2] * m.shape[3]
            away = m - m.sum((2, 3), keepdim=True) / count
            squares = (away * away).sum((2, 3), keepdim=True) / max(1, count - 1)
            # The root of 0 has no slope here.
            root = torch.where(squares > 0, torch.where(squares > 0, squares, 1).sqrt(), 0)
            return sigmoid(away / (root + 1e-5))
        if case.gate == "channel":
            squares = (m * m).sum(1, keepdim=True)
            norm = torch.where(squares > 0, torch.where(squares > 0, squares, 1).sqrt(), 0)
            unit = m / torch.where(norm > 1e-12, norm, 1e-12)
            return sigmoid(unit) if case.sigmoid else unit
        return sigmoid(m)

    def mask(t: Tensor, m: Tensor) -> Tensor:
        return t * (gate(m) + case.residual)

    def recalibrate(x: Tensor, f: Tensor, m: Tensor) -> Tensor:
        y = x + f * sigmoid(m)
        return torch.where(y > 0, y, 0) if case.relu else y

    return recalibrate if case.mask else mask


def ours(case: Case, use: str | None) -> Callable[..., Tensor]:
    if case.mask:
        return lambda x, f, m: recalibrated(x, f, m, relu=case.relu, use=use)
    return lambda t, m: masked(t, m, gate=case.gate, residual=case.residual, sigmoid=case.sigmoid, use=use)


def results(function: Callable[..., Tensor], leaves: Sequence[Tensor]) -> dict[str, Tensor]:
    *inputs, grad = leaves
    out = function(*inputs)
    out.backward(grad.to(out.dtype))
    names = ("x", "f", "m") if len(inputs) == 3 else ("t", "m")
    return {"out": out.detach()} | {f"to {n}": x.grad for n, x in zip(names, inputs, strict=True) if x.grad is not None}


def exactly(case: Case) -> dict[str, Tensor]:
    leaves = [t.detach().double().clone() for t in build(case)]
    return results(spelled_out(case), [*(t.requires_grad_() for t in leaves[:-1]), leaves[-1]])


def agrees(case: Case, use: str | None, limit: float) -> None:
    """Everything within a distance of the spelled-out result in float64, relative to the largest value."""
    found, exact = results(ours(case, use), build(case)), exactly(case)
    assert found.keys() == exact.keys()
    assert all(t.dtype == leaf.dtype for t, leaf in zip(list(found.values())[1:], build(case), strict=False))
    far = {name: distance(found[name], exact[name]) for name in exact}
    assert all(d <= limit for d in far.values()), far


def agrees_as_well(case: Case, use: str | None, factor: float = 10.0) -> None:
    """At most `factor` times as far from float64 as plain operations in the same dtype."""
    plain = results(ours(case, "reference"), build(case))
    as_exact(results(ours(case, use), build(case)), plain, exactly(case), factor)


GATES: Sequence[Case] = (
    Case(),
    Case(residual=False),
    Case(values="saturated"),
    Case(layout="channels_last"),
    Case(layout="sliced", gate="spatial"),
    Case(shape=(1, 1, 37, 29)),
    Case(gate="spatial"),
    Case(gate="spatial", residual=False),
    Case(gate="spatial", layout="channels_last"),
    Case(gate="spatial", values="constant"),
    Case(gate="spatial", shape=(2, 3, 1, 1)),
    Case(gate="spatial", shape=(1, 2, 14, 14)),
    *(Case(gate="spatial", shape=(1, 1, *size)) for size in ((7, 7), (32, 32), (56, 56), (64, 64))),
    Case(gate="spatial", shape=(1, 3, 4097, 1)),
    Case(gate="spatial", shape=(1, 33, 9, 8), layout="channels_last"),
    Case(gate="spatial", values="large"),
    Case(gate="channel"),
    Case(gate="channel", sigmoid=True),
    Case(gate="channel", residual=False, sigmoid=True),
    Case(gate="channel", layout="channels_last"),
    Case(gate="channel", values="zero"),
    Case(gate="channel", values="zero", sigmoid=True),
    Case(gate="channel", values="large", sigmoid=True),
    Case(gate="channel", shape=(2, 16, 1, 1)),
    Case(gate="channel", shape=(1, 257, 7, 7)),
    Case(gate="channel", shape=(1, 1024, 1, 3)),
    Case(gate="channel", shape=(1, 130, 3, 7), layout="channels_last"),
    Case(gate="channel", shape=(1, 2, 11, 13)),
)
RECALIBRATIONS: Sequence[Case] = tuple(
    Case(mask=mask, relu=relu, layout=layout, shape=shape)
    for mask, relu, layout, shape in (
        ("channel", False, "contiguous", (2, 3, 5, 7)),
        ("channel", True, "contiguous", (2, 3, 5, 7)),
        ("channel", True, "channels_last", (2, 33, 9, 8)),
        ("channel", True, "contiguous", (1, 2, 1031, 1)),
        ("channel", True, "sliced", (1, 9, 14, 14)),
        ("spatial", False, "contiguous", (2, 3, 5, 7)),
        ("spatial", True, "contiguous", (1, 33, 11, 13)),
        ("spatial", True, "channels_last", (1, 70, 3, 7)),
        ("full", False, "contiguous", (2, 3, 5, 7)),
        ("full", True, "contiguous", (1, 17, 11, 13)),
        ("full", True, "channels_last", (2, 3, 5, 7)),
    )
) + tuple(Case(mask=mask, relu=True, values="saturated") for mask in ("channel", "spatial", "full"))
