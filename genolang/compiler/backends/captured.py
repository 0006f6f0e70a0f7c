"""Work of fixed shapes as CUDA graphs: launched as one, without the pauses between its kernels.

A graph reads and writes the memory that it was recorded with: new images are copied into the old tensor.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

import torch

T = TypeVar("T")
# Libraries choose their algorithms, and Triton compiles, in the first runs.
WARM = 3


class Recorded(Generic[T]):
    """A recorded piece of work: calling it runs it again and gives the tensors of the recording, refilled."""

    def __init__(self, graph: torch.cuda.CUDAGraph, result: T) -> None:
        self._graph, self._result = graph, result

    def __call__(self) -> T:
        self._graph.replay()
        return self._result


class Recorder:
    """Records pieces of work one by one on one stream; a later one may read what an earlier one left,
    a backward pass its forward pass, if they are run again in the order of the recording.

    ValueError for anything but a GPU: a CPU launches nothing, so there is nothing to record.
    """

    def __init__(self, device: torch.device) -> None:
        if device.type != "cuda":
            raise ValueError(f"CUDA graphs are a GPU's: on a {device.type} there is nothing to capture")
        self._device = device
        self._stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        self._pool = torch.cuda.graph_pool_handle()

    def warm(self, work: Callable[[], object], times: int = WARM) -> None:
        """Run the work on the recorder's stream, as must happen before it is recorded."""
        self._stream.wait_stream(torch.cuda.current_stream(self._device))
        with torch.cuda.stream(self._stream):
            for _ in range(times):
                work()
        torch.cuda.current_stream(self._device).wait_stream(self._stream)

    def record(self, work: Callable[[], T]) -> Recorded[T]:
        """Record without running. The work must not wait for the device, nor choose by what it computed."""
        torch.cuda.synchronize(self._device)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=self._pool, stream=self._stream):
            result = work()
        return Recorded(graph, result)


def captured_step(step: Callable[[], T], device: torch.device) -> Recorded[T]:
    """A whole step (forward, loss, backward, optimiser) as one graph.

    `step` is run for real before, `WARM` times; its gradients should be None then, so that they come to
    lie in the graph's memory, and an Adam among its optimisers needs `capturable=True`. Source: PyTorch's
    notes on CUDA graphs, "whole-network capture".
    """
    recorder = Recorder(device)
    recorder.warm(step)
    return recorder.record(step)
