"""Layers of networks that only answer, with the ReLU or the addition that follows them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from genolang.compiler.ir.made import Answering
from genolang.kernels.cpu.inference import answer, takes
from genolang.semantics.program import Path


class Quick:
    """An operation with a way, `quick`, that asks nothing of its maps: for those of a network whose image
    is one that `takes` takes, in inference mode."""

    quick: Callable[..., Tensor]


class AnsweringLayer(Quick):
    """A layer whose result belongs to nobody else; what follows works in its memory."""

    def __init__(self, made: Answering, layers: Callable[[Path], Any]) -> None:
        self.layer: Any = layers(made.layer)
        self.relu = made.relu
        self.answer = answer(self.layer, self.relu)
        self.quick: Callable[..., Tensor] = self.answer or self.__call__

    def __call__(self, x: Tensor, addend: Tensor | None = None) -> Tensor:
        if self.answer is not None and takes(x):
            return self.answer(x) if addend is None else self.answer(x, addend)
        result: Tensor = self.layer(x)
        if torch.is_grad_enabled() and result.requires_grad:
            result = result if addend is None else result + addend
            return torch.relu(result) if self.relu else result
        if addend is not None:
            result += addend
        return torch.relu_(result) if self.relu else result
