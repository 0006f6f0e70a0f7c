"""A map masked by another (`masked`), and a map to which masked features are added (`recalibrated`)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor

from genolang.kernels import dispatch
from genolang.kernels.dispatch import CPU, FUSED, REFERENCE
from genolang.kernels.masking import launch, operator, patterns, reference
from genolang.kernels.masking.cpu import recalibrated_forward
from genolang.kernels.masking.gate import CHANNEL, KINDS, MIXED, SPATIAL, Gate
from genolang.kernels.masking.operator import Masked, Recalibrated
from genolang.kernels.record import FLOATS, Kernel

# Bytes of a map under which a GPU's launches cost more than its memory traffic.
SMALL = 2**20
# Elements of a map under which a CPU spends more on calls than is saved where only maps are added and
# multiplied: measured, `genoc bench thresholds`.
FEW = 2**17
# The meta device stands for a CPU: what it would save for backward is counted there.
CPUS = ("cpu", "meta")


def _obstacle(inputs: Sequence[Tensor]) -> str:
    _, channels, height, width = inputs[0].shape
    if channels > launch.MOST_CHANNELS:
        return f"a map has more than {launch.MOST_CHANNELS} channels"
    if channels * height * width >= 2**31:
        return "an image has 2^31 values or more"
    if height * width > launch.MOST_POSITIONS:
        return f"a map has more than {launch.MOST_POSITIONS} positions"
    return ""


def _not_worth(fewest: float, inputs: Sequence[Tensor]) -> str:
    first = inputs[0]
    if first.device.type in CPUS and first.numel() < fewest:
        few = f"a map has fewer than {fewest} values"
        return "plain operations do the same passes on a CPU" if fewest == math.inf else few
    if first.device.type == "cuda":
        return "a map is smaller than 1 MB" if first.numel() * first.element_size() < SMALL else ""
    if any(t.dtype not in (torch.float32, torch.float64) for t in inputs):
        return "half precision is summed up wide"
    return ""


_TOLERANCE = {torch.float64: 1e-12, torch.float32: 2e-6, torch.float16: 2e-3, torch.bfloat16: 1.6e-2}
_ALL = frozenset({FUSED, CPU, REFERENCE})


def masked(
    t: Tensor,
    m: Tensor,
    *,
    gate: str = MIXED,
    residual: bool = True,
    eps: float | None = None,
    sigmoid: bool | None = None,
    use: str | None = None,
) -> Tensor:
    """(1 + gate(m)) * t, or gate(m) * t if not `residual`, of two maps (B, C, H, W); differentiable once.

    `mixed` is the sigmoid, `spatial` the sigmoid of m standardised over the positions of each channel
    (unbiased deviation plus `eps`, 1e-5), `channel` m over the Euclidean norm of its position's channels
    (or `eps`, 1e-12, if that is larger), without a sigmoid unless asked for. ValueError for shapes or
    gates that do not fit. Source: Wang et al., "Residual Attention Network" (CVPR 2017), section 3.3.
    """
    if gate not in KINDS or (gate != CHANNEL and sigmoid is False):
        raise ValueError(f"a gate is {', '.join(KINDS)}, all but the last with a sigmoid; got {gate!r}")
    if t.dim() != 4 or t.shape != m.shape:
        raise ValueError(f"map and logits have one shape (B, C, H, W): {tuple(t.shape)}, {tuple(m.shape)}")
    eps = (1e-12 if gate == CHANNEL else 1e-5) if eps is None else eps
    if t.numel() == 0:
        return t * m
    way = Gate(gate, residual, eps, gate != CHANNEL or bool(sigmoid))
    by = _implementation(mask_kernel(gate, residual), (t, m), use)
    if by == REFERENCE:
        return reference.masked(t, m, way)
    dtype = torch.promote_types(t.dtype, m.dtype)
    t, m = _widened(by, t, m)
    if torch.compiler.is_compiling():
        return operator.masked(by, way, t, m).to(dtype)
    result: Tensor = Masked.apply(operator.MODULES.get(by), way, t, m)  # type: ignore[no-untyped-call]
    return result.to(dtype)


def recalibrated(x: Tensor, f: Tensor, m: Tensor, *, relu: bool = False, use: str | None = None) -> Tensor:
    """x + sigmoid(m) * f, through a ReLU if `relu`, of maps (B, C, H, W); differentiable once.

    m is (B, C, H, W), one value a channel (B, C, 1, 1), or one a position (B, 1, H, W). ValueError for
    other shapes. Source: Hu, Shen, Sun, "Squeeze-and-Excitation Networks" (2018), equation 4, in a
    residual block.
    """
    if not _recalibrates((x, f, m)):
        raise ValueError(
            f"maps of one shape (B, C, H, W) and logits for each value, channel or position: "
            f"{tuple(x.shape)}, {tuple(f.shape)}, {tuple(m.shape)}"
        )
    if use is None and relu and _slow_to_compile(x, f, m):
        use = CPU
    by = _implementation(KERNELS["recalibration"], (x, f, m), use)
    if by == REFERENCE:
        return reference.recalibrated(x, f, m, relu)
    dtype = torch.promote_types(torch.promote_types(x.dtype, f.dtype), m.dtype)
    x, f, m = _widened(by, x, f, m)
    if torch.compiler.is_compiling():
        return operator.recalibrated(by, relu, x, f, m).to(dtype)
    result: Tensor = Recalibrated.apply(operator.MODULES.get(by), relu, x, f, m)  # type: ignore[no-untyped-call]
    return result.to(dtype)


def _recalibrates(maps: Sequence[Tensor]) -> bool:
    x, f, m = maps
    batch, channels, *size = x.shape if x.dim() == 4 else (0, 0, 0, 0)
    shapes = ((batch, channels, *size), (batch, channels, 1, 1), (batch, 1, *size))
    return x.dim() == 4 and f.shape == x.shape and tuple(m.shape) in shapes


def _answer(x: Tensor, f: Tensor, m: Tensor, *, relu: bool = False) -> Tensor:
    return recalibrated_forward(x, f, m, relu)[0]


_kernel = partial(
    Kernel,
    implementations=_ALL,
    tolerance=_TOLERANCE,
    configurations=launch.CONFIGURATIONS,
    dtypes=FLOATS,
    obstacle=_obstacle,
)
KERNELS = {
    kernel.name: kernel
    for kernel in (
        _kernel("residual_mask", patterns.RESIDUAL, fewest=FEW, not_worth=partial(_not_worth, FEW), run=masked),
        _kernel(
            "naive_mask",
            patterns.NAIVE,
            fewest=math.inf,
            not_worth=partial(_not_worth, math.inf),
            run=partial(masked, residual=False),
        ),
        _kernel("spatial_mask", patterns.SPATIAL, not_worth=partial(_not_worth, 0), run=partial(masked, gate=SPATIAL)),
        _kernel("channel_mask", patterns.CHANNEL, not_worth=partial(_not_worth, 0), run=partial(masked, gate=CHANNEL)),
        _kernel(
            "recalibration",
            patterns.RECALIBRATION,
            fewest=FEW,
            not_worth=partial(_not_worth, FEW),
            run=recalibrated,
            takes=_recalibrates,
            answer=_answer,
        ),
    )
}


def mask_kernel(gate: str, residual: bool) -> Kernel:
    """The record of a gate."""
    mixed = "residual_mask" if residual else "naive_mask"
    return KERNELS[{SPATIAL: "spatial_mask", CHANNEL: "channel_mask"}.get(gate, mixed)]


def why(kernel: Kernel, *inputs: Tensor, use: str | None = None) -> str:
    """One sentence: which implementation of the kernel these inputs get, and for what reason."""
    return dispatch.why(kernel, inputs, use)


META = "meta"


def _implementation(kernel: Kernel, inputs: Sequence[Tensor], use: str | None) -> str:
    """A compiler does as well with plain operations, and an exported program holds nothing else."""
    first = inputs[0]
    if torch.compiler.is_exporting() or torch._C._get_tracing_state() or first.numel() == 0:
        return REFERENCE
    if torch.compiler.is_compiling():
        return REFERENCE if use is None else dispatch.known(kernel, use)
    if first.is_meta:
        return REFERENCE if use is None and kernel.not_worth(inputs) else META
    return dispatch.choose(kernel, inputs, use)


def _slow_to_compile(*inputs: Tensor) -> bool:
    """Whether a compiler for a CPU would get a ReLU's backward: it is slow with the map of booleans kept."""
    if not torch.compiler.is_compiling() or torch.compiler.is_exporting() or inputs[0].device.type != "cpu":
        return False
    return torch.is_grad_enabled() and any(t.requires_grad for t in inputs)


def _widened(by: str, *inputs: Tensor) -> tuple[Tensor, ...]:
    """The CPU's sums are not wider than their maps."""
    if by != CPU:
        return inputs
    wide = inputs[0].dtype
    for t in inputs:
        wide = torch.promote_types(wide, torch.promote_types(t.dtype, torch.float32))
    return tuple(t.to(wide) for t in inputs)


__all__ = ["KERNELS", "mask_kernel", "masked", "recalibrated", "why"]
