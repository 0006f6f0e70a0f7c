"""What the package knows of a kernel: what it computes, for what, how exactly, how it is launched."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

FLOATS = frozenset({torch.float16, torch.bfloat16, torch.float32})


@dataclass(frozen=True, slots=True)
class Configuration:
    """How one Triton function is launched: block sizes (elements), warps, pipeline stages."""

    blocks: Mapping[str, int]
    warps: int = 4
    stages: int = 2


def no_obstacle(inputs: Sequence[Tensor]) -> str:
    """The answer of a kernel that takes whatever its dtypes allow."""
    return ""


def alike(inputs: Sequence[Tensor]) -> bool:
    """Whether all maps are of one shape."""
    return all(t.shape == inputs[0].shape for t in inputs)


@dataclass(frozen=True, slots=True)
class Kernel:
    """One operation and its implementations.

    `pattern` is the operation as a `.geno` definition. `obstacle` says in a clause why the fused kernel
    cannot take these inputs, or nothing; `not_worth` why, unasked, only plain operations should run.
    `tolerance` is the largest distance from the float64 reference, relative to the largest magnitude.
    `configurations` is the whole launch table: nothing is tuned at run time. `otherwise` is what runs,
    unasked, where neither a fused kernel nor a CPU path can. Maps of fewer elements than `fewest` are
    among what is not worth it on a CPU.

    One that is found by its pattern has `run`, its function of the pattern's maps and, by name, its numbers
    and flags; `takes` tells whether it is for maps of these shapes; `answer` is `run` where a CPU takes no
    gradients, worth it for any size.
    """

    name: str
    pattern: str
    implementations: frozenset[str]
    tolerance: Mapping[torch.dtype, float]
    configurations: Mapping[str, Configuration]
    dtypes: frozenset[torch.dtype] = FLOATS
    obstacle: Callable[[Sequence[Tensor]], str] = field(default=no_obstacle)
    not_worth: Callable[[Sequence[Tensor]], str] = field(default=no_obstacle)
    otherwise: str = "reference"
    fewest: float = 0
    run: Callable[..., Tensor] | None = None
    takes: Callable[[Sequence[Tensor]], bool] = alike
    answer: Callable[..., Tensor] | None = None
