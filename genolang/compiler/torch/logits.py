"""The logits of a supernet, beside its weights."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, MutableMapping

import torch
from torch import Tensor
from torch.nn import functional as F

from genolang.compiler.torch.planned import planned_result
from genolang.diagnostics import did_you_mean, fail
from genolang.semantics.program import ChoiceSet

Weights = tuple[Tensor, ...]


class Choices(MutableMapping[str, Tensor]):
    """The logits of a supernet: one leaf tensor (decisions, alternatives) per choice set.

    They are not parameters and not in the state dict. Setting copies the values in place. Errors: KeyError
    for an unknown name, GenoError G415 for a wrong shape.
    """

    def __init__(self, sets: Mapping[str, ChoiceSet]) -> None:
        self.sets = sets
        self.tensors = {key: torch.zeros(len(s.rows), len(s.options), requires_grad=True) for key, s in sets.items()}
        self.dropped = torch.zeros(())
        self._masks: dict[str, Tensor] = {}

    def __getitem__(self, key: str) -> Tensor:
        if key not in self.tensors:
            raise KeyError(f"no choice set {key!r}; {did_you_mean(key, self.tensors) or ''}".strip())
        return self.tensors[key]

    def __setitem__(self, key: str, value: Tensor) -> None:
        target = self[key]
        value = torch.as_tensor(value)
        if value.shape != target.shape:
            raise fail("G415", f"the logits of `{key}` are {tuple(target.shape)}, not {tuple(value.shape)}")
        with torch.no_grad():
            target.copy_(value)

    def __delitem__(self, key: str) -> None:
        raise TypeError("a choice set cannot be removed")

    def __iter__(self) -> Iterator[str]:
        return iter(self.tensors)

    def __len__(self) -> int:
        return len(self.tensors)

    def apply(self, change: Callable[[Tensor], Tensor]) -> None:
        for key, tensor in self.tensors.items():
            values = tensor.detach()
            moved = change(values)
            # An optimizer may hold the tensor: it is replaced only where it has to be.
            if moved is not values:
                self.tensors[key] = moved.requires_grad_()

    def drop(self, masks: Mapping[str, Tensor]) -> None:
        """In training, drop masked alternatives with the probability `dropped`, for a whole batch each."""
        self._masks = {key: mask.to(self.tensors[key].device) for key, mask in masks.items() if mask.any()}
        self.dropped = self.dropped.to(next(iter(self.tensors.values())).device)

    def weights(self, training: bool = False) -> dict[str, Weights]:
        """The softmax weights of every set, as one flat tuple of scalars each."""
        found = {key: _softmax(t) for key, t in self.tensors.items()}
        if training and self._masks:
            found |= {key: self._thinned(found[key], mask) for key, mask in self._masks.items()}
        return {key: weights.flatten().unbind() for key, weights in found.items()}

    def _thinned(self, weights: Tensor, mask: Tensor) -> Tensor:
        kept = (torch.rand(weights.shape, device=weights.device) >= self.dropped) / (1 - self.dropped)
        return torch.where(mask, weights * kept, weights)


_softmax = planned_result(lambda logits: F.softmax(logits, -1))
