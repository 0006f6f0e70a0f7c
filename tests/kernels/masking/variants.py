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
CONSTANTS = {
    "EPS": 1e-5,
    "RESIDUAL": True,
    "SIGMOID": False,
    "RELU": True,
    "ACC": tl.float32,
    "NEED_T": True,
    "NEED_M": True,
    "NEED_X": True,
    "NEED_F": True,
}


def variant(kernel: str, configuration: str, dtype: str, **more: Any) -> Variant:
    function, chosen = KERNELS[kernel], CONFIGURATIONS[configuration]
    there = dict.fromkeys(MAPS, f"*{dtype}:16") | dict.fromkeys(KEPT, "*fp32:16")
    there |= dict.fromkeys(("C", "HW", "size"), "i32:16")
    constants = {**CONSTANTS, **chosen.blocks, "LAST": "last" in configuration, **more.pop("constants", {})}
    mask = constants.get("MASK", "")
    return Variant(
        f"{kernel} {mask}{' sigmoid' * (kernel[:4] == 'chan' and constants['SIGMOID'])} {configuration} {dtype}".replace(
            "  ", " "
        ),
        function,
        {n: there[n] for n in function.arg_names if n in there},
        {n: constants[n] for n in function.arg_names if n in constants},
        warps=chosen.warps,
        stages=chosen.stages,
        **({"narrowest": 4} | more),
    )


def exponentials(kernel: str, mask: str, configuration: str, sigmoid: bool) -> int:
    """One a value of the tile, and of a mask that is shared one a channel or position of the thread."""
    if kernel == "channel" and not sigmoid:
        return 0
    chosen = CONFIGURATIONS[configuration]
    values = chosen.blocks["BLOCK"] * chosen.blocks.get("CHANNELS", 1) // (32 * chosen.warps)
    # A thread holds eight 16-bit values in a row, so eight positions.
    return min(values, 8) if mask in ("channel", "spatial") else values


def variants() -> Iterator[Variant]:
    """Every configuration of every kernel, in every dtype."""
    for dtype in ("bf16", "fp16", "fp32"):
        for way in ("forward", "backward"):
            for kernel, mask, tiles, sigmoid in (
                ("mixed", "", ("flat",), True),
                ("spatial", "", ROWS, True),
                ("channel", "", COLUMNS, False),
                ("channel", "", COLUMNS, True),
                ("recalibrate", "channel", [t.replace("rows 1024", "row 1024") for t in ROWS], True),
                ("recalibrate", "spatial", COLUMNS, True),
                ("recalibrate", "full", COLUMNS, True),
            ):
                for tile in tiles:
                    # Logits that are shared are one vector, and so are the first values of rows: loaded one by one.
                    vector = mask in ("channel", "spatial") or (kernel, way) == ("spatial", "forward")
                    narrowest = 2 if vector and dtype != "fp32" else 4
                    constants = {"MASK": mask} if mask else {"SIGMOID": sigmoid}
                    yield variant(
                        f"{kernel}_{way}",
                        tile,
                        dtype,
                        narrowest=narrowest,
                        widest=16,
                        exps=exponentials(kernel, mask, tile, sigmoid),
                        constants=constants,
                    )
