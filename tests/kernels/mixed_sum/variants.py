"""What of the mixed sum is compiled ahead of time."""

from collections.abc import Iterator, Mapping
from typing import Any

import triton.language as tl
from kernel_harness.compiled import Type, Variant

from genolang.kernels.mixed_sum.fused import KERNELS
from genolang.kernels.mixed_sum.launch import BACKWARD_SLABS, CONFIGURATIONS, FORWARD_SLABS, LONGEST_SLAB

POINTERS = {"weights": "*fp32:16"} | dict.fromkeys(
    ("means", "rstds", "sums", "parts", "part_means", "part_squares", "squares"), "*fp32:16"
)
INTEGERS = {
    "count": "i32",
    "chunks": "i32",
    "normalised": "i64",
    "tracked": "i64",
    "by_batch": "i64",
    "needs": "i64",
    "C": "i32:16",
    "HW": "i32:16",
    "M": "i32:16",
}
CONSTANTS = {"TRAINING": True, "MOMENTUM": 0.1, "EPS": 1e-5, "ACC": tl.float32}


def arguments(dtype: str, count: int) -> Mapping[str, Type]:
    kept: Type = ("*fp32:16",) * count
    maps = {"xs": (f"*{dtype}:16",) * count, "kept_means": kept, "kept_variances": kept}
    return POINTERS | INTEGERS | maps | dict.fromkeys(("out", "grad", "to_xs"), f"*{dtype}:16")


def variant(kernel: str, configuration: str, dtype: str, count: int = 4, **more: Any) -> Variant:
    function, chosen = KERNELS[kernel], CONFIGURATIONS[configuration]
    form = {"LAST": "last" in configuration, "FLAT": configuration == "flat"}
    constants = {**CONSTANTS, **chosen.blocks, **form, **more.pop("constants", {})}
    there = arguments(dtype, count) | ({"HW": "i32", "M": "i32"} if configuration == "flat" else {})
    return Variant(
        f"{kernel}{more.pop('name', '')} {configuration} {dtype} {count}",
        function,
        {n: there[n] for n in function.arg_names if n in there},
        {n: constants[n] for n in function.arg_names if n in constants},
        warps=chosen.warps,
        stages=chosen.stages,
        **({"narrowest": 4} | more),
    )


TILES = ("rows", "channels_last", "wide channels_last")


def variants() -> Iterator[Variant]:
    """Every configuration of every kernel, in every dtype; the longest list of candidates of DARTS."""
    for dtype in ("bf16", "fp16", "fp32"):
        for kernel, configurations in (
            ("slab_forward", [f"slab {block}" for block in FORWARD_SLABS]),
            ("slab_backward", [f"slab {block}" for block in BACKWARD_SLABS]),
            *((name, TILES) for name in ("partial_statistics", "apply_forward", "partial_products", "apply_backward")),
        ):
            for configuration in configurations:
                # Sixteen warps and a row of 16384: one program fills a multiprocessor.
                blocks = 1 if configuration == f"slab {LONGEST_SLAB}" else 2
                yield variant(kernel, configuration, dtype, blocks=blocks, widest=16)
        for kernel in ("apply_forward", "apply_backward"):
            yield variant(kernel, "flat", dtype, widest=16)
    for training in (True, False):
        yield variant(
            "finish_statistics",
            "merge",
            "fp32",
            constants={"BLOCK": 2048, "TRAINING": training},
            widest=16 if training else 0,
            name="" if training else " kept",
        )
    for kernel in (
        "slab_forward",
        "slab_backward",
        "partial_statistics",
        "apply_forward",
        "partial_products",
        "apply_backward",
    ):
        yield variant(kernel, "slab 1024" if "slab" in kernel else "rows", "bf16", count=35, widest=16)
