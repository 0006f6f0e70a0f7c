"""Mixed precision where it pays: on a GPU, when the settings leave the choice."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any, Literal

import torch
from torch import Tensor
from torch.amp import GradScaler
from torch.optim import Optimizer


class Precision:
    """float32, or on a GPU bfloat16, or float16 with scaled losses where bfloat16 is not there."""

    def __init__(self, device: torch.device, wanted: Literal["float32", "auto"]) -> None:
        self.dtype = torch.float32
        if device.type == "cuda" and wanted == "auto":
            self.dtype = torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16
        self._device = device
        self._scaler = GradScaler(device.type) if self.dtype == torch.float16 else None

    def autocast(self) -> AbstractContextManager[object]:
        """The context of a forward pass."""
        if self.dtype == torch.float32:
            return nullcontext()
        return torch.autocast(self._device.type, self.dtype)

    def backward(self, loss: Tensor) -> None:
        """Leaves gradients in the parameters, of which `unscale` makes the true ones."""
        torch.autograd.backward(loss if self._scaler is None else self._scaler.scale(loss))

    def unscale(self, optimizer: Optimizer) -> None:
        """Makes the true gradients of what `backward` left."""
        if self._scaler is not None:
            self._scaler.unscale_(optimizer)

    def step(self, optimizer: Optimizer) -> None:
        """The optimiser's step, left out where scaled gradients have overflowed."""
        if self._scaler is None:
            optimizer.step()
        else:
            self._scaler.step(optimizer)
            self._scaler.update()

    def state(self) -> dict[str, Any]:
        """The loss scale and its history, as JSON."""
        return {} if self._scaler is None else self._scaler.state_dict()

    def load_state(self, state: dict[str, Any]) -> None:
        """Restores what `state` gave; a run that moved to another kind of device starts afresh."""
        if self._scaler is not None and state:
            self._scaler.load_state_dict(state)
