"""Which implementation of a kernel runs, and why: by device, dtype and shape, or as told.

`GENOLANG_KERNELS=reference` tells all kernels, `GENOLANG_KERNELS=mixed_sum=fused,masking=reference` some.
"""

from __future__ import annotations

import functools
import importlib.util
import os
from collections.abc import Sequence

import torch
from torch import Tensor

from genolang.kernels.record import Kernel

FUSED, CPU, REFERENCE = "fused", "cpu", "reference"
VARIABLE = "GENOLANG_KERNELS"


def choose(kernel: Kernel, inputs: Sequence[Tensor], use: str | None = None) -> str:
    """The implementation for these inputs. ValueError where one that cannot be is asked for."""
    return _decide(kernel, inputs, use)[0]


def why(kernel: Kernel, inputs: Sequence[Tensor], use: str | None = None) -> str:
    """One sentence: which implementation of the kernel these inputs get, and for what reason."""
    implementation, reason = _decide(kernel, inputs, use)
    return f"{kernel.name} runs as {implementation}: {reason}."


def told(kernel: Kernel) -> str | None:
    """The implementation that the environment asks for. ValueError where it names none that exists."""
    text = os.environ.get(VARIABLE)
    if not text:
        return None
    for part in text.split(","):
        name, _, value = part.strip().rpartition("=")
        if name in ("", kernel.name):
            return known(kernel, value)
    return None


def known(kernel: Kernel, name: str) -> str:
    """The name of an implementation. ValueError where the kernel has none of that name."""
    if name not in kernel.implementations:
        there = ", ".join(sorted(kernel.implementations))
        raise ValueError(f"{kernel.name} has no implementation '{name}'; it has {there}")
    return name


def _decide(kernel: Kernel, inputs: Sequence[Tensor], use: str | None) -> tuple[str, str]:
    wanted = told(kernel) if use is None else known(kernel, use)
    if wanted is not None and wanted != FUSED:
        return wanted, "it was asked for"
    kind = inputs[0].device.type
    obstacle = _obstacle(kernel, inputs)
    if wanted == FUSED:
        if kind == "cpu" and obstacle == NO_DEVICE and interpreting():
            obstacle = kernel.obstacle(inputs)
        if obstacle:
            raise ValueError(f"the fused {kernel.name} was asked for, but {obstacle}")
        return FUSED, "it was asked for"
    if reason := kernel.not_worth(inputs):
        return REFERENCE, reason
    if not obstacle:
        return FUSED, f"the inputs are on a {kind} device and the kernel takes their dtype and shape"
    if kind == "cpu" and CPU in kernel.implementations:
        return CPU, obstacle
    return kernel.otherwise, obstacle


NO_DEVICE = "the inputs are not on a GPU"


def _obstacle(kernel: Kernel, inputs: Sequence[Tensor]) -> str:
    device = inputs[0].device
    if device.type != "cuda":
        return NO_DEVICE
    if FUSED not in kernel.implementations:
        return "there is no fused kernel"
    if not has_triton():
        return "Triton is not installed"
    if any(t.dtype not in kernel.dtypes for t in inputs):
        return "the kernel does not take this dtype"
    if any(t.device != device for t in inputs):
        return "the inputs are on different devices"
    if not _new_enough(device.index):
        return "the GPU is older than compute capability 8.0"
    return kernel.obstacle(inputs)


@functools.cache
def has_triton() -> bool:
    """Whether Triton is installed; it is not imported."""
    return importlib.util.find_spec("triton") is not None


def interpreting() -> bool:
    """Whether Triton interprets its kernels on the CPU: for tests, never chosen by itself."""
    return os.environ.get("TRITON_INTERPRET") == "1"


@functools.cache
def _new_enough(index: int | None) -> bool:
    return torch.version.hip is not None or torch.cuda.get_device_capability(index) >= (8, 0)
