"""The complete networks that ship with genolang, small enough to run in a test."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from genolang.api import Network, load
from genolang.diagnostics import GenoError
from genolang.semantics.modules import library_names

# Tests run side by side, on maps so small that threads cost more than they save.
torch.set_num_threads(1)

SMALL = {"channels": 4, "depth": 3, "classes": 3, "auxiliary": True}


def small(spec: str, name: str | None = None, **params: Any) -> Network:
    """A shipped network with those of the small parameters that it has, and some others.

    A published supernet has two cells here: both are reductions, of two kinds.
    """
    given = {**SMALL, **({"depth": 2} if name and "supernet" in name else {}), **params}
    while True:
        try:
            return load(spec).network(name, **given)
        except GenoError as error:
            unknown = [k for k in SMALL if k in given and f"`{k}`" in error.diagnostics[0].message]
            if error.diagnostics[0].code != "G202" or not unknown:
                raise
            del given[unknown[0]]


def complete_networks() -> list[tuple[str, str]]:
    """(spec, network) of every shipped network that needs no further arguments."""
    found = []
    for parts in library_names():
        spec = load("/".join(parts))
        for name in spec.networks:
            try:
                spec.network(name)
            except GenoError as error:
                assert error.diagnostics[0].code == "G201"
                continue
            found.append(("/".join(parts), name))
    return found


def images(network: Network, batch: int, size: tuple[int, int] | None = None, seed: int = 1) -> Tensor:
    """Random images of the size that a network declares, or of another one, in float64."""
    C, H, W = network.program.input
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(batch, C, *(size or (H, W)), generator=generator, dtype=torch.float64)


def randomise(module: Any, seed: int = 0) -> None:
    """Statistics and logits that show where one is taken for another."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, tensor in module.state_dict(keep_vars=True).items():
            if name.endswith("running_var"):
                tensor.uniform_(0.5, 1.5, generator=generator)
            elif name.endswith("running_mean") or tensor.dim() == 1:
                tensor.add_(torch.randn(tensor.shape, generator=generator) * 0.1)
        for logits in module.choices.values():
            logits.copy_(torch.randn(logits.shape, generator=generator))


def outputs(module: nn.Module, image: Tensor) -> list[Tensor]:
    """The logits and, in training with an auxiliary head, those of the head."""
    found = module(image)
    return list(found) if isinstance(found, tuple) else [found]
