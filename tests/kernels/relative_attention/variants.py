"""What of relative attention is compiled ahead of time."""

from collections.abc import Iterator
from typing import Any

import torch
import triton.language as tl
from kernel_harness.compiled import Variant

from genolang.kernels.relative_attention import fused, fused_small
from genolang.kernels.relative_attention.configurations import CONFIGURATIONS, configuration, in_tiles, padded, small
from genolang.kernels.relative_attention.launch import constants, options, rows
from genolang.kernels.relative_attention.sizes import Sizes

WIDE = ("by_row", "by_column", "logsumexp", "mean", "grad_query", "grad_row", "grad_column", "grad_axis", "parts")
NARROW = ("qkv", "out", "grad", "grad_qkv")
TABLES = ("table", "relative_height", "relative_width")
KERNELS = fused.KERNELS | fused_small.KERNELS
TYPES = {
    torch.bfloat16: ("bf16", tl.bfloat16),
    torch.float16: ("fp16", tl.float16),
    torch.float32: ("fp32", tl.float32),
}
NVIDIA, AMD = ("cuda:80", "cuda:90"), ("hip:gfx942",)
# The stages of AA-ResNet-50 and AA-WRN-28-10, and the largest maps and heads of each form.
SIZES = {
    "7x7": Sizes(8, 8, 20, 6, 7, 7),
    "8x8": Sizes(8, 8, 20, 8, 8, 8),
    "8x8 wide": Sizes(8, 8, 64, 64, 8, 8),
    "14x14": Sizes(8, 8, 20, 3, 14, 14),
    "16x16 wide": Sizes(8, 8, 64, 64, 16, 16),
    "16x16 of 40 and 64": Sizes(8, 8, 40, 64, 16, 16),
    "28x28": Sizes(8, 8, 20, 1, 28, 28),
    "28x28 of 40": Sizes(8, 8, 40, 40, 28, 28),
    "32x32": Sizes(8, 8, 20, 2, 32, 32),
    "56x64": Sizes(8, 8, 20, 4, 56, 64),
    "32x32 wide": Sizes(8, 8, 64, 64, 32, 32),
}


PIPELINED = ("forward", "backward_query", "backward_key")
WEIGHING = (*PIPELINED, "small_backward")


def limits(kernel: str, dtype: torch.dtype, s: Sizes, last: bool, hip: bool) -> dict[str, Any]:
    """What is demanded of the loads and the exponentials of one kernel."""
    chosen = configuration(kernel, dtype, s, hip=hip)
    found: dict[str, Any] = {"products": "matrix", "narrowest": dtype.itemsize if s.width % 2 else 4}
    keys = (padded(s.height, 8) if kernel == "small_backward" else rows(s, chosen)) * padded(s.width, 8)
    if s.width % 8 == 0 and not last:
        found |= {"widest": 16}
        # What a thread copies of a small map's biases is less than 16 bytes.
        if kernel in PIPELINED and s.pixels > keys and not (kernel == "backward_key" and s.pixels <= 256):
            # For sm_80, one load of the queries would have to lie in two ways.
            found |= {"copies": 8, "copied": NVIDIA[kernel == "backward_key" :]}
    if dtype.itemsize == 2 and kernel in WEIGHING and chosen.warps >= 4:
        found |= {"products": "wgmma"}
    if kernel in WEIGHING:
        tile = keys * chosen.blocks["QUERIES"] // (32 * chosen.warps)
        # Besides, the factors of a few rows' old sums. See the configurations for what is computed twice.
        twice = dtype == torch.float32 and max(s.key, s.value, s.height, s.width) > 32
        found |= {"exps": tile * (1 + twice) + 4 * (kernel == "forward")}
    return found


def variant(
    kernel: str, place: str, dtype: torch.dtype, targets: tuple[str, ...], *, columns: bool = False, last: bool = False
) -> Variant:
    s, function, hip = SIZES[place], KERNELS[kernel], targets == AMD
    chosen = configuration(kernel, dtype, s, hip=hip)
    channels = s.heads * (2 * s.key + s.value)
    strides = (1, channels) if last else (s.pixels, 1)
    given = constants(kernel, s, dtype, strides, chosen, hip=hip, columns=columns)
    given |= {"OP": TYPES[dtype][1], "ACC": tl.float32}
    narrow = f"*{TYPES[dtype][0]}:16"
    types = dict.fromkeys(NARROW, narrow) | dict.fromkeys((*WIDE, *TABLES, "of_rows", "of_columns"), "*fp32:16")
    types |= {"stride_b": "i32:16"}
    axis = (" columns" if columns else " rows") if kernel == "backward_table" else ""
    return Variant(
        f"{kernel}{axis} {place}{' last' if last else ''} {TYPES[dtype][0]}",
        function,
        {name: types[name] for name in function.arg_names if name in types},
        {name: given[name] for name in function.arg_names if name in given},
        warps=chosen.warps,
        stages=chosen.stages,
        blocks=1,
        targets=targets,
        **limits(kernel, dtype, s, last, hip),
        options=options(hip=hip),
    )


def each(place: str, dtype: torch.dtype, targets: tuple[str, ...]) -> Iterator[Variant]:
    """What `launch.py` launches."""
    s = SIZES[place]
    tiled = bool(in_tiles(s, dtype))
    kernels = ["forward", *["backward_query", "backward_key", "backward_table"] * tiled]
    for kernel in [*kernels, *["prepare"] * (tiled or not small(s, dtype)), *["small_backward"] * (not tiled)]:
        yield variant(kernel, place, dtype, targets)
        if kernel == "backward_table":
            yield variant(kernel, place, dtype, targets, columns=True)


def sum_of_parts(table: str) -> Variant:
    s, chosen = SIZES["14x14"], CONFIGURATIONS["sum_parts"]
    tables = dict.fromkeys(("grad_height", "grad_width"), f"*{table}:16")
    return Variant(
        f"sum_parts {table}",
        KERNELS["sum_parts"],
        {"parts": "*fp32:16"} | tables | dict.fromkeys(("count", "table_h", "table_w"), "i32"),
        {"H": s.height, "W": s.width, "KEY": s.key, "ACC": tl.float32, **chosen.blocks},
        warps=chosen.warps,
        narrowest=4,
    )


def variants() -> Iterator[Variant]:
    """Every configuration of every kernel, in every dtype; float16 at some sizes."""
    for place in SIZES:
        for dtype in TYPES:
            for targets in (NVIDIA, AMD) if dtype != torch.float16 or place in ("7x7", "14x14", "32x32 wide") else ():
                yield from each(place, dtype, targets)
    for kernel, place in (*((kernel, "32x32") for kernel in PIPELINED), ("forward", "8x8"), ("small_backward", "8x8")):
        yield variant(kernel, place, torch.bfloat16, NVIDIA, last=True)
    for table in ("fp32", "bf16"):
        yield sum_of_parts(table)
