"""Pour a hand-written module's weights into a compiled one by position, and hold both together."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from reference.discrete import Cell
from torch import Tensor, nn

from genolang.api import Network, Spec
from genolang.diagnostics import Source
from genolang.semantics.check import check_source

TOLERANCE = 1e-9


def compiled(text: str, name: str | None = None, **params: Any) -> Network:
    """The network of a spec given as text."""
    return Spec(check_source(Source("spec.geno", text))).network(name, **params)


def by_edge(module: nn.Module) -> Iterator[nn.Module]:
    """The layers of a hand-written module in our order: a discrete cell's attention stands behind its
    operation, where the published code lists all operations first."""
    if isinstance(module, Cell) and len(module.attentions):
        parts: Iterable[nn.Module] = [
            module.preprocess0,
            module.preprocess1,
            *(part for pair in zip(module.operations, module.attentions, strict=True) for part in pair),
        ]
    else:
        parts = list(module.children())
    if not parts:
        yield module
    for part in parts:
        yield from by_edge(part)


def parameters(reference: nn.Module) -> list[nn.Parameter]:
    return [p for layer in by_edge(reference) for p in layer.parameters(recurse=False)]


def state(reference: nn.Module) -> list[Tensor]:
    """Everything of the state dict in our order, without the counters that we do not keep."""
    found: list[Tensor] = []
    for layer in by_edge(reference):
        entries = layer.state_dict(keep_vars=True)
        found += [t for name, t in entries.items() if not name.endswith("num_batches_tracked")]
    return found


def randomise(reference: nn.Module, seed: int) -> None:
    """Values of every size and sign; scales and variances stay near one."""
    generator = torch.Generator().manual_seed(seed)

    def normal(like: Tensor, spread: float, centre: float = 0.0) -> Tensor:
        return centre + spread * torch.randn(like.shape, generator=generator, dtype=like.dtype)

    with torch.no_grad():
        for layer in by_edge(reference):
            for name, tensor in layer.state_dict(keep_vars=True).items():
                if name == "running_var":
                    tensor.copy_(normal(tensor, 0.2).abs() + 0.5)
                elif not name.endswith("num_batches_tracked"):
                    norm = isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d) and name == "weight"
                    wide = tensor[0].numel() if tensor.dim() > 1 else 10
                    tensor.copy_(normal(tensor, 0.3, 1.0) if norm else normal(tensor, wide**-0.5))
        for logits in getattr(reference, "choices", {}).values():
            logits.copy_(normal(logits, 1.0))


def pour(reference: nn.Module, module: nn.Module) -> None:
    """By position; every shape must agree."""
    mine = list(module.state_dict(keep_vars=True).items())
    theirs = state(reference)
    assert len(mine) == len(theirs), f"{len(mine)} tensors here, {len(theirs)} there"
    with torch.no_grad():
        for (name, target), source in zip(mine, theirs, strict=True):
            assert target.shape == source.shape, f"{name}: {target.shape} here, {source.shape} there"
            target.copy_(source)
    choices: Any = module.choices
    for key, logits in getattr(reference, "choices", {}).items():
        choices[key] = logits.detach()


@dataclass(frozen=True, slots=True)
class Outcome:
    """Everything that one forward and backward leaves behind, as lists of tensors by kind."""

    outputs: list[Tensor]
    input_gradient: list[Tensor]
    gradients: list[Tensor]
    logits: list[Tensor]
    state: list[Tensor]


def run(module: nn.Module, weights: list[nn.Parameter], tensors: Callable[[], list[Tensor]], image: Tensor) -> Outcome:
    """One step; the loss weighs every output by a fixed random number."""
    image = image.clone().requires_grad_()
    choices = dict(getattr(module, "choices", {}))
    logits = [choices[key] for key in sorted(choices)]
    for tensor in (*weights, *logits):
        tensor.grad = None
    result = module(image)
    outputs = list(result) if isinstance(result, tuple) else [result]
    generator = torch.Generator().manual_seed(7)
    loss = torch.zeros((), dtype=image.dtype)
    for output in outputs:
        loss = loss + (output * torch.randn(output.shape, generator=generator, dtype=image.dtype)).sum()
    loss.backward()
    return Outcome(
        [o.detach() for o in outputs],
        [_gradient(image)],
        [_gradient(w) for w in weights],
        [_gradient(t) for t in logits],
        [t.detach().clone() for t in tensors()],
    )


def _gradient(tensor: Tensor) -> Tensor:
    return torch.zeros_like(tensor) if tensor.grad is None else tensor.grad.clone()


def assert_same(
    network: Network,
    reference: nn.Module,
    image: Tensor,
    *,
    fused: bool = True,
    training: bool = True,
    drop_path: float = 0.0,
    seed: int = 0,
) -> Outcome:
    """The compiled network and the hand-written one agree in float64, in everything a step touches."""
    reference.double().train(training)
    choices = getattr(reference, "choices", {})
    for key in choices:
        choices[key] = choices[key].detach().double().requires_grad_()
    randomise(reference, seed)
    module = network.module(fused=fused).double().train(training)
    pour(reference, module)
    assert set(module.choices) == set(choices)
    if drop_path:
        module.set_drop_path(drop_path)
        reference.set_drop_path(drop_path)  # type: ignore[operator]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        theirs = run(reference, parameters(reference), lambda: state(reference), image)
        torch.manual_seed(seed)
        mine = run(module, list(module.parameters()), lambda: list(module.state_dict().values()), image)
    for kind in Outcome.__dataclass_fields__:
        pairs = zip(getattr(mine, kind), getattr(theirs, kind), strict=True)
        for number, (here, there) in enumerate(pairs):
            scale = max(1.0, float(there.abs().max()))
            torch.testing.assert_close(
                here, there, rtol=0, atol=TOLERANCE * scale, msg=lambda text, k=kind, n=number: f"{k} {n}: {text}"
            )
    return mine
