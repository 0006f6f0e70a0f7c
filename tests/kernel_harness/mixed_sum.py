"""The mixed sum as PyTorch users write it: nn.BatchNorm2d modules and a Python sum; and cases to compare on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from exactness import as_exact, distance
from torch import Tensor, nn

from genolang.kernels.mixed_sum import mixed_sum


@dataclass(frozen=True)
class Case:
    """Inputs by their properties; `normed` says in turn which candidates have a batch norm."""

    shape: tuple[int, int, int, int] = (2, 2, 5, 7)
    count: int = 3
    normed: str = "yny"
    training: bool = True
    layout: str = "contiguous"
    logits: str = "random"
    shift: float = 0.0
    scale: float = 1.0
    dtype: torch.dtype = torch.float64

    def flags(self) -> list[bool]:
        return [self.normed[index % len(self.normed)] == "y" for index in range(self.count)]


@dataclass
class Inputs:
    xs: list[Tensor]
    weights: Tensor
    norms: list[nn.BatchNorm2d | None]
    grad: Tensor


def laid_out(x: Tensor, layout: str) -> Tensor:
    if layout == "channels_last":
        return x.contiguous(memory_format=torch.channels_last)
    if layout == "sliced":
        return torch.cat([x, x], 1)[:, x.shape[1] // 2 : x.shape[1] // 2 + x.shape[1]].copy_(x)
    if layout == "mixed":
        return x.transpose(2, 3).contiguous().transpose(2, 3)
    return x.contiguous()


def build(case: Case, seed: int = 0) -> Inputs:
    draw = torch.Generator().manual_seed(seed)
    logits = torch.randn(case.count, generator=draw, dtype=torch.float64)
    if case.logits == "one hot":
        logits = torch.zeros(case.count, dtype=torch.float64)
        logits[0] = 1e4
    elif case.logits == "uniform":
        logits = torch.zeros(case.count, dtype=torch.float64)
    elif case.logits == "saturated":
        logits = 50 * logits.sign()
    norms: list[nn.BatchNorm2d | None] = []
    for flag in case.flags():
        norm = nn.BatchNorm2d(case.shape[1], affine=False, dtype=torch.float64)
        norm.running_mean.normal_(generator=draw)
        norm.running_var.uniform_(0.5, 2, generator=draw)
        norms.append(norm.train(case.training) if flag else None)
    xs = [
        case.scale * torch.randn(case.shape, generator=draw, dtype=torch.float64) + case.shift
        for _ in range(case.count)
    ]
    grad = torch.randn(case.shape, generator=draw, dtype=torch.float64).to(case.dtype)
    return Inputs(
        [laid_out(x.to(case.dtype), case.layout).requires_grad_() for x in xs],
        torch.softmax(logits, 0).to(torch.promote_types(case.dtype, torch.float32)).requires_grad_(),
        [n if n is None or case.dtype == torch.float64 else n.float() for n in norms],
        grad,
    )


def exactly(inputs: Inputs) -> Inputs:
    """The same values in float64, with nothing shared."""
    double = [x.detach().double().clone().requires_grad_() for x in inputs.xs]
    norms: list[nn.BatchNorm2d | None] = []
    for norm in inputs.norms:
        copied = None
        if norm is not None:
            copied = nn.BatchNorm2d(norm.num_features, affine=False, dtype=torch.float64).train(norm.training)
            copied.load_state_dict(norm.state_dict())
        norms.append(copied)
    return Inputs(double, inputs.weights.detach().double().clone().requires_grad_(), norms, inputs.grad.double())


def written_out(inputs: Inputs) -> Tensor:
    terms = zip(inputs.weights, inputs.xs, inputs.norms, strict=True)
    return sum((w * (x if norm is None else norm(x)) for w, x, norm in terms), torch.zeros(()))


def ours(use: str | None = None) -> Callable[[Inputs], Tensor]:
    def call(inputs: Inputs) -> Tensor:
        training = any(norm is not None and norm.training for norm in inputs.norms)
        means = [None if norm is None else norm.running_mean for norm in inputs.norms]
        variances = [None if norm is None else norm.running_var for norm in inputs.norms]
        return mixed_sum(inputs.xs, inputs.weights, means, variances, training=training, use=use)

    return call


def results(function: Callable[[Inputs], Tensor], inputs: Inputs) -> dict[str, Tensor]:
    """Output, gradients and running statistics by name."""
    out = function(inputs)
    out.backward(inputs.grad.to(out.dtype))
    found = {"out": out.detach(), "to weights": inputs.weights.grad}
    found |= {f"to x{index}": x.grad for index, x in enumerate(inputs.xs)}
    for index, norm in enumerate(inputs.norms):
        if norm is not None:
            found |= {f"mean{index}": norm.running_mean, f"variance{index}": norm.running_var}
    return {name: tensor for name, tensor in found.items() if tensor is not None}


def agrees(case: Case, use: str | None, limit: float, seed: int = 0) -> None:
    """Everything within a relative distance of the float64 result of the written-out sum."""
    found, exact = results(ours(use), build(case, seed)), results(written_out, exactly(build(case, seed)))
    assert found.keys() == exact.keys()
    far = {name: distance(found[name], exact[name]) for name in exact}
    assert all(d <= limit for d in far.values()), far


def agrees_as_well(case: Case, use: str | None, factor: float = 10.0) -> None:
    """At most `factor` times as far from float64 as the written-out sum in the same dtype, over three draws: a
    sum may be exact by chance. Modules on maps with their channels last are less exact in torch: the other
    layout is what counts as plain."""
    plainly = replace(case, layout="contiguous") if case.layout == "channels_last" else case
    found, plain, exact = (
        {name: torch.stack([draw[name] for draw in draws]) for name in draws[0]}
        for draws in (
            [results(ours(use), build(case, seed)) for seed in range(3)],
            [results(written_out, build(plainly, seed)) for seed in range(3)],
            [results(written_out, exactly(build(case, seed))) for seed in range(3)],
        )
    )
    as_exact(found, plain, exact, factor)


NAMED: Sequence[Case] = (
    Case(count=1, normed="y"),
    Case(count=2, normed="n"),
    Case(count=7, normed="yyyny", logits="one hot", shape=(2, 2, 5, 7)),
    Case(count=14, normed="y", logits="saturated", shape=(2, 1, 5, 7)),
    Case(count=35, normed="ynn", shape=(1, 1, 3, 3)),
    Case(count=40, normed="yn", shape=(1, 1, 3, 3)),
    Case(count=2, logits="uniform", shape=(1, 16, 3, 1)),
    Case(scale=1e4),
    Case(training=False),
    Case(training=False, layout="channels_last"),
    Case(layout="channels_last"),
    Case(layout="channels_last", shape=(9, 17, 8, 3), normed="y", count=2),
    Case(layout="sliced"),
    Case(layout="mixed"),
    # Around powers of two, and around what one program holds.
    Case(shape=(1, 3, 1, 1), training=False),
    Case(shape=(7, 4, 1, 1)),
    Case(shape=(3, 1, 21, 1)),
    Case(shape=(1, 2, 8, 8), count=2),
    Case(shape=(1, 64, 2, 3), count=1, layout="channels_last"),
    Case(shape=(1, 1, 64, 64), count=1, normed="y"),
    Case(shape=(13, 1, 5, 1), count=2),
    Case(shape=(16, 1, 32, 32), count=1, normed="y"),
    Case(shape=(5, 1, 3277, 1), count=2),
    Case(shape=(64, 1, 32, 32), count=1, normed="y"),
    Case(shape=(1, 130, 7, 7), count=1, normed="y", layout="channels_last"),
    Case(shape=(1, 5, 14, 14), count=2, shift=100.0),
)


def in_dtype(case: Case, dtype: torch.dtype) -> Case:
    return replace(case, dtype=dtype)
