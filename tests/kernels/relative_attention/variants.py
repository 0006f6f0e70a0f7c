"""What of relative attention is compiled ahead of time."""

from collections.abc import Iterator

import torch
import triton.language as tl
from kernel_harness.compiled import Variant

from genolang.kernels.relative_attention.configurations import configuration
from genolang.kernels.relative_attention.fused import KERNELS
from genolang.kernels.relative_attention.launch import constants
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
    )  # fmt: skip


def each(place: str, dtype: torch.dtype, targets: tuple[str, ...]) -> Iterator[Variant]:
    for kernel in KERNELS:
        yield variant(kernel, place, dtype, targets)
        if kernel == "backward_table":
            yield variant(kernel, place, dtype, targets, columns=True)


def variants() -> Iterator[Variant]:
    yield from each("14x14", torch.bfloat16, ("cuda:90",))
    yield from each("32x32", torch.float32, ("cuda:80",))
    for kernel in ("forward", "backward_query", "backward_key"):
        yield variant(kernel, "14x14", torch.bfloat16, AMD)
    yield variant("forward", "32x32", torch.bfloat16, ("cuda:80",), last=True)
