"""Kernels to be timed: what is dispatched on this device against the obvious formulation."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import NamedTuple, Protocol

import torch
from torch import Tensor
from torch.nn import functional as F

from genolang.bench.competitors import COMPILED, compiled, flex_attention, with_competitors
from genolang.bench.floors import Work, moved
from genolang.bench.forms import Form, Leaves, rotation
from genolang.bench.subject import Subject

# Relative to the largest magnitude; the kernels' own tests are far stricter, against float64.
TOLERANCE = {torch.float64: 1e-9, torch.float32: 1e-4, torch.bfloat16: 5e-2, torch.float16: 1e-2}
Function = Callable[[Leaves], Tensor]


class Call(Protocol):
    """A kernel by one of its implementations, or the one that dispatch chooses."""

    def __call__(self, leaves: Leaves, use: str | None) -> Tensor: ...


class Sum(NamedTuple):
    """A node of a supernet: maps (batch, channels, size, size), this many."""

    batch: int
    channels: int
    size: int
    candidates: int


class Attention(NamedTuple):
    """Square maps; key and value dimensions of one head."""

    batch: int
    size: int
    key: int
    value: int
    heads: int = 8


class Cases(NamedTuple):
    """The shapes that are timed."""

    sums: Sequence[Sum]
    attentions: Sequence[Attention]
    masks: Sequence[tuple[int, int, int, int]]


SMALL = Cases([Sum(2, 4, 5, 3)], [Attention(1, 5, 3, 2, 2)], [(2, 4, 5, 7)])
# Sums are those of the DARTS supernet; the first attentions those of AA-WRN-28-10 and AA-ResNet-50.
ON_CPU = Cases(
    [Sum(*shape, count) for shape in ((16, 16, 32), (16, 32, 16), (16, 64, 8), (2, 16, 8)) for count in (14, 35)],
    [
        Attention(2, 32, 20, 2),
        Attention(4, 16, 20, 4),
        Attention(16, 8, 20, 8),
        Attention(2, 28, 20, 1),
        Attention(8, 14, 20, 3),
        Attention(16, 7, 20, 6),
        Attention(1, 32, 20, 20),
        Attention(1, 56, 20, 4),
    ],
    [(8, 128, 32, 32)],
)
ON_GPU = Cases(
    [Sum(64, channels, size, count) for channels, size in ((16, 32), (32, 16), (64, 8)) for count in (14, 35)],
    [Attention(32, size, 20, 20) for size in (8, 14, 28, 32)] + [Attention(32, 32, 40, 40), Attention(8, 56, 20, 20)],
    [(32, 128, 32, 32), (32, 256, 56, 56)],
)


def kernel_cases(
    device: torch.device, extra: Sequence[str] = (), *, small: bool = False, only: Sequence[str] = ()
) -> list[Case]:
    """Every kernel at the shapes of the networks that it is for; `small` at one tiny shape each.

    `only` keeps those that have one of these words in their name and shape. `extra` are the competitors of
    `with_competitors`; attention always has PyTorch's fused attention with augmented heads beside it.
    """
    cases = SMALL if small else ON_GPU if device.type == "cuda" else ON_CPU
    found = [mixed_sum_case(case, device) for case in cases.sums]
    for shape in cases.masks:
        found += [mask_case(gate, shape) for gate in ("mixed", "spatial", "channel")]
        found.append(recalibration_case(shape))
    # The longest come last: a run that is ended early has the others.
    found += [attention_case(case, device, flex=COMPILED in extra) for case in cases.attentions]
    return [one for one in found if not only or any(word in f"{one.name}, {one.shape}" for word in only)]


class Case(NamedTuple):
    """A kernel at a shape: how it is called by implementation, its leaves, and how it is dispatched.

    `arithmetic` are the flops and exponentials of forward and backward.
    """

    name: str
    shape: str
    call: Call
    leaves: Callable[[int], list[Tensor]]
    why: Callable[[Leaves], str]
    others: Mapping[str, Callable[[Form], Form]] = {}
    arithmetic: tuple[tuple[int, int], tuple[int, int]] = ((0, 0), (0, 0))
    eager: Function | None = None


def case_subject(found: Case, device: torch.device, dtype: torch.dtype, extra: Sequence[str] = ()) -> Subject:
    """A case on a device, past its cache."""
    sets = [placed(found.leaves(0), device, dtype)]
    sets += [placed(found.leaves(n), device, dtype) for n in range(1, rotation(device, sets[0]))]
    eager = found.eager or partial(found.call, use="reference")
    forms: dict[str, Callable[[], Form]] = {
        "eager": lambda: Form(eager, sets),
        "fused": lambda: Form(partial(found.call, use=None), sets),
    }
    for name, make in found.others.items():
        forms[name] = partial(make, Form(eager, sets))
    with torch.device("meta"):
        output = eager([leaf.to("meta") for leaf in sets[0]])
    work = Work(moved(sets[0], output), *found.arithmetic)
    return Subject(
        found.name,
        found.shape,
        dtype,
        device,
        with_competitors(forms, extra, device),
        TOLERANCE[dtype],
        why=found.why(sets[0]),
        work=work,
    )


def placed(leaves: Sequence[Tensor], device: torch.device, dtype: torch.dtype) -> list[Tensor]:
    """The leaves on a device, asking for gradients."""
    return [leaf.to(device, dtype).requires_grad_() for leaf in leaves]


def _drawn(*shapes: Sequence[int], seed: int) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(*shape, generator=generator) for shape in shapes]


def mixed_sum_case(case: Sum, device: torch.device) -> Case:
    """Every seventh candidate is a skip connection without batch norm."""
    from genolang.kernels.mixed_sum import mixed_sum, why

    batch, channels, size, count = case
    normed = [n % 7 != 3 for n in range(count)]
    means = [torch.zeros(channels, device=device) if has else None for has in normed]
    variances = [torch.ones(channels, device=device) if has else None for has in normed]

    def leaves(seed: int) -> list[Tensor]:
        weights, *xs = _drawn([count], *[[batch, channels, size, size]] * count, seed=seed)
        return [torch.softmax(weights, 0), *xs]

    def eager(leaves: Leaves) -> Tensor:
        weights, *xs = leaves
        total = xs[0].new_zeros(())
        for w, x, mean, variance in zip(weights.unbind(), xs, means, variances, strict=True):
            if mean is not None and not x.is_meta:
                x = F.batch_norm(x, mean, variance, training=True)
            total = total + w * x
        return total

    def call(leaves: Leaves, use: str | None) -> Tensor:
        return mixed_sum(leaves[1:], leaves[0], means, variances, training=True, use=use)

    shape = f"{batch}x{channels}x{size}x{size}, {count} candidates"
    return Case("mixed_sum", shape, call, leaves, lambda own: why(own[1:], own[0]), eager=eager)


def attention_case(case: Attention, device: torch.device, flex: bool = False) -> Case:
    """2D relative attention of an augmented convolution; the plain form keeps all logits. On a GPU
    FlexAttention is timed as well, if `flex`, as it has to be compiled."""
    from genolang.kernels.relative_attention import exported, relative_attention, why

    batch, size, key, value, heads = case
    logits = batch * heads * size**4

    def leaves(seed: int) -> list[Tensor]:
        tables = [[2 * size - 1, key]] * 2
        return _drawn([batch, heads * (2 * key + value), size, size], *tables, seed=seed)

    def call(leaves: Leaves, use: str | None) -> Tensor:
        qkv, rows, columns = leaves
        return relative_attention(qkv, rows, columns, heads, use=use)

    def augmented(leaves: Leaves) -> Tensor:
        qkv, rows, columns = leaves
        return exported.relative_attention(qkv, rows, columns, heads)

    others: dict[str, Callable[[Form], Form]] = {"augmented": lambda form: Form(augmented, form.sets)}
    if flex and device.type == "cuda":
        others["flex"] = lambda form: compiled(Form(partial(flex_attention, heads=heads), form.sets), graphs=False)
    shape = f"{batch} of {size}x{size}, {heads} heads of {key} and {value}"
    flops = 2 * logits * (key + value), 2 * logits * (3 * key + 2 * value)
    return Case(
        "relative_attention",
        shape,
        call,
        leaves,
        lambda own: why(own[0], own[1], own[2], heads),
        others,
        (flops, (logits, logits)),
    )


def mask_case(gate: str, shape: tuple[int, ...]) -> Case:
    """(1 + mask) * trunk, as a residual attention module ends."""
    from genolang.kernels.masking import mask_kernel, masked, why

    def call(leaves: Leaves, use: str | None) -> Tensor:
        t, m = leaves
        return masked(t, m, gate=gate, use=use)

    return Case(
        f"{gate} mask",
        "x".join(map(str, shape)),
        call,
        lambda seed: _drawn(shape, shape, seed=seed),
        lambda own: why(mask_kernel(gate, True), *own),
    )


def recalibration_case(shape: tuple[int, ...]) -> Case:
    """A residual block's end: x + mask * features with one mask a channel, and a ReLU."""
    from genolang.kernels.masking import KERNELS, recalibrated, why

    def call(leaves: Leaves, use: str | None) -> Tensor:
        x, f, m = leaves
        return recalibrated(x, f, m, relu=True, use=use)

    return Case(
        "recalibration",
        "x".join(map(str, shape)),
        call,
        lambda seed: _drawn(shape, shape, (*shape[:2], 1, 1), seed=seed),
        lambda own: why(KERNELS["recalibration"], *own),
    )
