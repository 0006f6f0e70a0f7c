"""Whole networks to be timed: as `genoc compile` makes them, against the plain reference."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from genolang.api import Network
from genolang.bench.subject import Subject, Variant

# In float32 two orders of summation differ by this much in deep networks, more in their gradients.
TRAINING, INFERENCE = 1e-3, 1e-4
FORMS = ("eager", "compiled", "graphs", "fused")


def network_subjects(
    network: Network, batches: Sequence[int], device: torch.device, forms: Sequence[str],
    training: Sequence[bool] = (False, True), name: str = "",
) -> list[Subject]:  # fmt: skip
    """A subject per batch size and mode. The forms hold the same weights and logits."""
    found = []
    for trains in training:
        if not trains and network.program.choices:
            continue  # a supernet is trained, nobody deploys it
        for batch in batches:
            found.append(_subject(network, batch, device, forms, trains, name))
    return found


def _subject(
    network: Network, batch: int, device: torch.device, forms: Sequence[str], training: bool, name: str
) -> Subject:
    generator = torch.Generator().manual_seed(batch)
    images = torch.randn(batch, *network.program.input, generator=generator).to(device)
    plain = _module(network, False, device, training)
    variants = {"eager": _variant(plain, lambda m: m, images)}
    for form, mode in (("compiled", "default"), ("graphs", "reduce-overhead")):
        if form in forms:
            other = _copy(plain, _module(network, False, device, training))
            variants[form] = _variant(
                other, lambda m, mode=mode: torch.compile(m, mode=mode), images  # type: ignore[misc]
            )
    ours = _copy(plain, _module(network, True, device, training))
    variants["fused"] = _variant(ours, lambda m: m, images)
    shape = "x".join(map(str, images.shape))
    return Subject(name or network.name, shape, torch.float32, device, variants,
                   TRAINING if training else INFERENCE, training)  # fmt: skip


def _module(network: Network, fused: bool, device: torch.device, training: bool) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        module = network.module(fused=fused)
    return module.to(device).train(training)


def _copy(source: nn.Module, target: nn.Module) -> nn.Module:
    target.load_state_dict(source.state_dict())
    for key, logits in getattr(source, "choices", {}).items():
        target.choices[key] = logits.detach()  # type: ignore[operator]
    return target


def _variant(
    module: nn.Module, wrap: Callable[[nn.Module], Callable[..., object]], images: Tensor
) -> Variant:
    run = wrap(module)
    choices = getattr(module, "choices", {})
    leaves = [*module.parameters(), *(choices[key] for key in sorted(choices))]

    def forward() -> Tensor:
        result = run(images)
        return result[0] if isinstance(result, tuple) else result  # type: ignore[return-value]

    return Variant(forward, leaves)
