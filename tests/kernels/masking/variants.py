"""What of masking is compiled ahead of time."""

from collections.abc import Iterator
from typing import Any

import triton.language as tl
from kernel_harness.compiled import Variant

from genolang.kernels.masking.fused import KERNELS
from genolang.kernels.masking.launch import CONFIGURATIONS

ROWS = ("rows 64", "rows 256", "rows 1024", "rows 4096", "rows channels_last")
COLUMNS = ("columns 64", "columns 128", "columns channels_last")
MAPS = ("t", "m", "g", "x", "f", "y", "out", "to_t", "to_m", "to_x", "to_f")
KEPT = ("means", "deviations", "norms")
CONSTANTS = {"EPS": 1e-5, "RESIDUAL": True, "SIGMOID": False, "RELU": True, "ACC": tl.float32,
             "NEED_T": True, "NEED_M": True, "NEED_X": True, "NEED_F": True}  # fmt: skip


def variant(kernel: str, configuration: str, dtype: str, **more: Any) -> Variant:
    function, chosen = KERNELS[kernel], CONFIGURATIONS[configuration]
    there = dict.fromkeys(MAPS, f"*{dtype}:16") | dict.fromkeys(KEPT, "*fp32:16")
    there |= dict.fromkeys(("C", "HW", "size"), "i32:16")
    constants = {**CONSTANTS, **chosen.blocks, "LAST": "last" in configuration, **more.pop("constants", {})}
    mask = constants.get("MASK", "")
    return Variant(
        f"{kernel} {mask} {configuration} {dtype}".replace("  ", " "),
        function,
        {n: there[n] for n in function.arg_names if n in there},
        {n: constants[n] for n in function.arg_names if n in constants},
        warps=chosen.warps,
        stages=chosen.stages,
        **({"narrowest": 4} | more),
    )


def variants() -> Iterator[Variant]:
    """All in bfloat16 for one target; one tile of each kernel for the others."""
    for dtype in ("bf16", "fp32"):
        for way in ("forward", "backward"):
            for kernel, mask, tiles in (
                ("mixed", None, ("flat",)),
                ("spatial", None, ROWS),
                ("channel", None, COLUMNS),
                ("recalibrate", "channel", ("rows 1024", "rows 4096", "rows channels_last")),
                ("recalibrate", "spatial", ("columns 128", "columns channels_last")),
                ("recalibrate", "full", ("columns 128",)),
            ):
                for tile in tiles:
                    main = tile == tiles[-1]
                    targets = {"bf16": ("cuda:90", "hip:gfx942")[: 1 + main], "fp32": ("cuda:80",)[:main]}[dtype]
                    # Logits that are broadcast are read one by one.
                    narrowest = 2 if mask in ("channel", "spatial") else 4
                    yield variant(
                        f"{kernel}_{way}", tile, dtype, targets=targets, narrowest=narrowest, widest=8,
                        constants={"MASK": mask} if mask else {},
                    )  # fmt: skip
