"""What of relative attention is compiled ahead of time."""

from collections.abc import Iterator
from typing import Any

import torch
import triton.language as tl
from kernel_harness.compiled import Variant

from genolang.kernels.relative_attention.configurations import configuration
from genolang.kernels.relative_attention.fused import KERNELS
from genolang.kernels.relative_attention.launch import constants, options, padded
from genolang.kernels.relative_attention.sizes import Sizes

WIDE = ("by_row", "by_column", "logsumexp", "mean", "grad_query", "grad_row", "grad_column", "grad_axis", "parts")
NARROW = ("qkv", "out", "grad", "grad_qkv")
TYPES = {torch.bfloat16: ("bf16", tl.bfloat16), torch.float16: ("fp16", tl.float16), torch.float32: ("fp32", tl.float32)}
NVIDIA, AMD = ("cuda:80", "cuda:90"), ("hip:gfx942",)
# The stages of AA-ResNet-50, the widest maps of AA-WRN-28-10 and the largest map and heads that are taken.
SIZES = {
    "7x7": Sizes(8, 8, 20, 6, 7, 7),
    "14x14": Sizes(8, 8, 20, 3, 14, 14),
    "28x28": Sizes(8, 8, 20, 1, 28, 28),
    "32x32": Sizes(8, 8, 20, 2, 32, 32),
    "56x64": Sizes(8, 8, 20, 4, 56, 64),
    "32x32 wide": Sizes(8, 8, 64, 64, 32, 32),
}


PIPELINED = ("forward", "backward_query", "backward_key")


def limits(kernel: str, dtype: torch.dtype, s: Sizes, last: bool) -> dict[str, Any]:
    """What is demanded of the loads and the exponentials of one kernel."""
    chosen = configuration(kernel, dtype, s)
    found: dict[str, Any] = {"products": "matrix", "narrowest": dtype.itemsize if s.width % 2 else 4}
    if s.width % 8 == 0 and not last:
        found |= {"widest": 16}
        if kernel in PIPELINED:
            # For sm_80, one load of the queries would have to lie in two ways.
            found |= {"copies": 8, "copied": NVIDIA[kernel == "backward_key" :]}
    if dtype.itemsize == 2 and kernel in PIPELINED and chosen.warps >= 4:
        found |= {"products": "wgmma"}
    if kernel in PIPELINED:
        keys = max(1, chosen.blocks["KEYS"] // padded(s.width, 8)) * padded(s.width, 8)
        tile = keys * chosen.blocks["QUERIES"] // (32 * chosen.warps)
        # Besides, the factors of a few rows' old sums. See the configurations for what is computed twice.
        twice = dtype == torch.float32 and max(s.key, s.value, s.height, s.width) > 32
        found |= {"exps": tile * (1 + twice) + 4 * (kernel == "forward")}
    return found


def variant(kernel: str, place: str, dtype: torch.dtype, targets: tuple[str, ...], *, columns: bool = False,
            last: bool = False) -> Variant:  # fmt: skip
    s, function = SIZES[place], KERNELS[kernel]
    chosen = configuration(kernel, dtype, s)
    channels = s.heads * (2 * s.key + s.value)
    strides = (1, channels) if last else (s.pixels, 1)
    given = constants(kernel, s, dtype, strides, hip=targets == AMD, columns=columns)
    given |= {"OP": TYPES[dtype][1], "ACC": tl.float32}
    narrow = f"*{TYPES[dtype][0]}:16"
    types = dict.fromkeys(NARROW, narrow) | dict.fromkeys(WIDE, "*fp32:16")
    types |= {"stride_b": "i32:16"} | dict.fromkeys(("table", "relative_height", "relative_width"), "*fp32:16")
    axis = (" columns" if columns else " rows") if kernel == "backward_table" else ""
    return Variant(
        f"{kernel}{axis} {place}{' last' if last else ''} {TYPES[dtype][0]}",
        function,
        {name: types[name] for name in function.arg_names if name in types},
        {name: given[name] for name in function.arg_names if name in given},
        warps=chosen.warps, stages=chosen.stages, blocks=1, targets=targets,
        **limits(kernel, dtype, s, last),
        options=options(hip=targets == AMD),
    )  # fmt: skip


def each(place: str, dtype: torch.dtype, targets: tuple[str, ...]) -> Iterator[Variant]:
    for kernel in KERNELS:
        yield variant(kernel, place, dtype, targets)
        if kernel == "backward_table":
            yield variant(kernel, place, dtype, targets, columns=True)


def variants() -> Iterator[Variant]:
    """Every configuration of every kernel, in every dtype; float16 at two sizes."""
    for place in SIZES:
        for dtype in TYPES:
            for targets in (NVIDIA, AMD) if dtype != torch.float16 or place in ("14x14", "32x32 wide") else ():
                yield from each(place, dtype, targets)
    for kernel in PIPELINED:
        yield variant(kernel, "32x32", torch.bfloat16, NVIDIA, last=True)
