"""The state of modules, optimisers and loose tensors as one flat dictionary of tensors.

Names read `prefix/name` (`module/stem.0.weight`, `optimizer/3/exp_avg`); nothing is pickled.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.optim import Optimizer


class Stateful(Protocol):
    """What `nn.Module` offers to keep and restore its tensors."""

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state_dict: Mapping[str, Any], /) -> Any: ...


Packable = Stateful | Optimizer | Mapping[str, Tensor]


def pack_state(prefix: str, owner: Packable) -> dict[str, Tensor]:
    """Copies on the CPU of all tensors of a module, an optimiser or a dictionary of tensors.

    Of an optimiser only its tensors are kept: the rest follows from settings and schedule.
    """
    if isinstance(owner, Optimizer):
        named = {
            f"{index}/{key}": value
            for index, entries in owner.state_dict()["state"].items()
            for key, value in entries.items()
            if value is not None
        }
    else:
        named = dict(owner if isinstance(owner, Mapping) else owner.state_dict())
    return {f"{prefix}/{name}": tensor for name, tensor in copies(named).items()}


def unpack_state(prefix: str, tensors: Mapping[str, Tensor], owner: Packable) -> None:
    """Writes what `pack_state` kept under the prefix back into an owner of the same build."""
    named = select(prefix, tensors)
    if isinstance(owner, Optimizer):
        state: dict[int, dict[str, Tensor]] = {}
        for name, tensor in named.items():
            index, _, key = name.partition("/")
            # A copy: the optimiser would otherwise step on the very tensor it is given.
            state.setdefault(int(index), {})[key] = tensor.clone()
        groups = owner.state_dict()["param_groups"]
        owner.load_state_dict({"state": state, "param_groups": groups})
    elif isinstance(owner, Mapping):
        assert owner.keys() == named.keys(), f"state `{prefix}` is of other tensors"
        with torch.no_grad():
            for name, tensor in owner.items():
                tensor.copy_(named[name])
    else:
        owner.load_state_dict(named)


def select(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors under a prefix, by their names without it."""
    start = f"{prefix}/"
    return {name[len(start) :]: t for name, t in tensors.items() if name.startswith(start)}


def copies(named: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Contiguous copies on the CPU that share no memory with the originals or each other."""
    return {
        name: tensor.detach().to("cpu", copy=True, memory_format=torch.contiguous_format)
        for name, tensor in named.items()
    }
