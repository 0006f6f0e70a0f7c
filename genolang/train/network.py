"""What the training loop asks of a network, and the one way to run it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Protocol

import torch
from torch import Tensor, nn


class TrainableNetwork(Protocol):
    """An `nn.Module` from images (B, C, H, W) to logits (B, classes).

    In training mode it may answer a pair (logits, auxiliary logits); `auxiliary_weight` is the
    share of the second in the loss, 0.0 where there is no auxiliary head. `captured`: all that a pass
    computes follows from the images' shape, the mode and the drop path, so that it can be recorded.
    """

    auxiliary_weight: float
    captured: bool

    def set_drop_path(self, p: float) -> None:
        """Sets the probability with which a branch is dropped in training mode."""
        ...

    def __call__(self, images: Tensor, /) -> Any: ...

    def parameters(self) -> Iterator[nn.Parameter]: ...

    def buffers(self) -> Iterator[Tensor]: ...

    def to(self, device: torch.device, /) -> Any: ...

    def train(self, mode: bool = True) -> Any: ...

    def eval(self) -> Any: ...

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state_dict: Mapping[str, Any], /) -> Any: ...


def logits_of(module: TrainableNetwork, images: Tensor) -> tuple[Tensor, Tensor | None]:
    """The logits (B, classes) and, in training mode where there is a head, the auxiliary logits."""
    output = module(images)
    if isinstance(output, tuple):
        logits, auxiliary = output
        return logits, auxiliary
    assert isinstance(output, torch.Tensor), "a network answers logits or a pair of logits"
    return output, None


def parameter_count(module: TrainableNetwork) -> int:
    """The number of learnable numbers; a tensor used in two places counts once."""
    return sum(parameter.numel() for parameter in module.parameters())
