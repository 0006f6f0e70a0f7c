"""The least time that a piece of work can take: by its bytes, its products or its exponentials."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

PASSES = ("forward", "backward")


@dataclass(frozen=True, slots=True)
class Work:
    """What forward and backward have to do: `bytes` moved when everything is read and written once,
    `flops` of products (two for a multiply-add), `exps` exponentials."""

    bytes: tuple[int, int]
    flops: tuple[int, int] = (0, 0)
    exps: tuple[int, int] = (0, 0)


@dataclass(frozen=True, slots=True)
class Ceilings:
    """What a device does in a second: bytes copied (read and written both count) and flops, measured in
    this run; exponentials measured on a CPU, on a GPU 16 per clock and multiprocessor (0: not known)."""

    bytes_per_s: float
    flops_per_s: float
    exps_per_s: float

    def seconds(self, work: Work, part: int) -> tuple[float, str]:
        """The floor of forward (0) or backward (1), and what sets it."""
        floors = {"bytes": work.bytes[part] / self.bytes_per_s, "flops": work.flops[part] / self.flops_per_s}
        if self.exps_per_s:
            floors["exps"] = work.exps[part] / self.exps_per_s
        by = max(floors, key=floors.__getitem__)
        return floors[by], by

    def to_json(self) -> dict[str, float]:
        return {name: float(f"{getattr(self, name):.4g}") for name in self.__slots__}


def moved(leaves: Sequence[Tensor], output: Tensor) -> tuple[int, int]:
    """Bytes: forward reads the leaves and writes the output, backward reads the leaves and the output's
    gradient and writes the leaves' gradients."""
    read, written = sum(_size(leaf) for leaf in leaves), _size(output)
    return read + written, 2 * read + written


def _size(tensor: Tensor) -> int:
    return tensor.numel() * tensor.element_size()


def measure_ceilings(device: torch.device, dtype: torch.dtype) -> Ceilings:
    """The best of a few tries each."""
    gpu = device.type == "cuda"
    one = torch.empty(2**28 if gpu else 2**25, dtype=torch.uint8, device=device)
    other = torch.empty_like(one)
    side = 8192 if gpu else 768
    a, b = (torch.randn(side, side, device=device).to(dtype) for _ in range(2))
    copied = 2 * one.numel() / _best(lambda: other.copy_(one), device)
    multiplied = 2 * side**3 / _best(lambda: a @ b, device)
    if gpu:
        about = torch.cuda.get_device_properties(device)
        raised = 16.0 * about.multi_processor_count * 1000 * getattr(about, "clock_rate", 0)
    else:
        small = torch.zeros(2**15)
        raised = small.numel() / _best(lambda: small.exp_().zero_(), device)
    return Ceilings(copied, multiplied, raised)


def _best(work: Callable[[], object], device: torch.device) -> float:
    found = []
    for _ in range(8):
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        begun = time.perf_counter()
        work()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        found.append(time.perf_counter() - begun)
    return min(found)


def floors(work: Work, ceilings: Ceilings) -> Mapping[str, dict[str, Any]]:
    """By pass: milliseconds, what sets them, and the bytes."""
    parts = [ceilings.seconds(work, part) for part in range(2)]
    found = {
        name: {"floor_ms": seconds * 1000, "floor_by": by, "bytes": work.bytes[part]}
        for part, (name, (seconds, by)) in enumerate(zip(PASSES, parts, strict=True))
    }
    by = parts[0][1] if parts[0][0] > parts[1][0] else parts[1][1]
    both = {"floor_ms": 1000 * sum(s for s, _ in parts), "floor_by": by, "bytes": sum(work.bytes)}
    return {name: one | {"floor_ms": float(f"{one['floor_ms']:.4g}")} for name, one in (found | {"both": both}).items()}
