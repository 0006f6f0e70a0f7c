"""A recorder for machines without a GPU, which keeps the rules that a GPU's CUDA graphs set."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import pytest
import torch
from torch import Tensor

from genolang.train import captured


class Rerun:
    """Runs recorded work again instead of replaying it.

    As on a GPU, recording computes nothing; results always come to lie in the tensors of the recording; all
    recordings share their memory, so that what one left is lost when another runs; and everything that a
    recording reads must lie where it lay. `refused` is the error that recording ends with.
    """

    def __init__(self, read: Iterable[Tensor], refused: Exception | None = None) -> None:
        self.read, self.refused = list(read), refused
        self.asked = self.warmed = self.replayed = 0
        self.results: list[list[Tensor]] = []

    def warm(self, work: Callable[[], Any], times: int = captured.WARM) -> Any:
        self.warmed += 1
        for _ in range(times):
            result = work()
        return result

    def record(self, work: Callable[[], Any]) -> Callable[[], Any]:
        self.asked += 1
        if self.refused is not None:
            raise self.refused
        kept = [tensor.detach().clone() for tensor in self.read]
        places = self.places()
        recorded = self.run(work)
        results = [tensor for part in recorded for tensor in part if tensor is not None]
        for tensor, before in zip(self.read, kept, strict=True):
            tensor.data.copy_(before)
        spoil(results)
        self.results.append(results)

        def replay() -> Any:
            self.replayed += 1
            assert places == self.places(), "a graph would read memory that is no longer there"
            for others in self.results:
                spoil(others)
            again = [tensor for part in self.run(work) for tensor in part if tensor is not None]
            for tensor, value in zip(results, again, strict=True):
                tensor.copy_(value)
            return recorded

        return replay

    def run(self, work: Callable[[], Any]) -> Any:
        gradients = [(tensor, tensor.grad) for tensor in self.read]
        for tensor in self.read:
            tensor.grad = None
        found = work()
        for tensor, before in gradients:
            tensor.grad = before
        return found

    def places(self) -> list[int]:
        return [tensor.data_ptr() for tensor in self.read]


def spoil(tensors: Iterable[Tensor]) -> None:
    for tensor in tensors:
        tensor.fill_(math.nan if tensor.is_floating_point() else -1)


def recording(monkeypatch: pytest.MonkeyPatch, recorder: Any) -> Any:
    """Runs record with this recorder from here on, on a CPU too."""
    monkeypatch.setattr(captured, "recorder_for", lambda device: recorder)
    return recorder


def state_of(module: Any) -> list[Tensor]:
    """All that the passes of a network read beside its images."""
    logits = getattr(module, "choices", {})
    return [*module.parameters(), *module.buffers(), *logits.values()]


def out_of_memory() -> torch.OutOfMemoryError:
    return torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
