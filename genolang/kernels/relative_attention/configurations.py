"""How the Triton kernels of relative attention are launched: all of it, nothing is tuned at run time."""

from __future__ import annotations

import torch

from genolang.kernels.record import Configuration
from genolang.kernels.relative_attention.sizes import Sizes

# Longer sides do not fit into registers in these forms, nor do heads of more dimensions.
LARGEST_SIDE = 64
LARGEST_DIMENSION = 64
# All axes of a grid but the first end here.
MOST_PROGRAMS = 65535
# Keys, padding included. Up to SMALL, forward makes the biases itself; up to WHOLE, one program is a head's
# backward.
SMALL, WHOLE = 256, 64
WHOLE_MAPS = ((7, 7), (8, 8))

# By kernel and bits of the operands. QUERIES: query pixels of a tile; KEYS: key pixels, whole image rows;
# SPLIT: programs that share a head. `small` maps are those above; `wide` means heads of more than 32
# dimensions and, in float32, sides of more than 32; `long`, the latter alone; `split`, heads of at most 48 in
# pieces of 32 and 16. A warp takes 16 rows of a product: where a tile has fewer for each warp, warps compute
# the same, which float32 needs in its wide forms to keep out of spills.
CONFIGURATIONS = {
    "prepare 16": Configuration({"QUERIES": 64}),
    "prepare 32": Configuration({"QUERIES": 64}),
    "prepare 32 wide": Configuration({"QUERIES": 32}),
    "forward 16": Configuration({"QUERIES": 128, "KEYS": 64}, warps=8),
    "forward 16 small": Configuration({"QUERIES": 64, "KEYS": 64}),
    "forward 32": Configuration({"QUERIES": 64, "KEYS": 32}),
    "forward 32 wide": Configuration({"QUERIES": 32, "KEYS": 32}, warps=2),
    "backward_query 16": Configuration({"QUERIES": 64, "KEYS": 64}),
    "backward_query 16 split": Configuration({"QUERIES": 64, "KEYS": 64}),
    "backward_query 16 wide": Configuration({"QUERIES": 32, "KEYS": 64}, warps=2),
    "backward_query 32": Configuration({"QUERIES": 32, "KEYS": 32}, warps=2),
    "backward_query 32 long": Configuration({"QUERIES": 16, "KEYS": 32}, warps=2),
    "backward_query 32 wide": Configuration({"QUERIES": 16, "KEYS": 32}),
    "backward_key 16": Configuration({"QUERIES": 64, "KEYS": 64}),
    "backward_key 16 wide": Configuration({"QUERIES": 32, "KEYS": 64}),
    "backward_key 32": Configuration({"QUERIES": 16, "KEYS": 64}),
    "backward_key 32 long": Configuration({"QUERIES": 16, "KEYS": 32}),
    "backward_key 32 wide": Configuration({"QUERIES": 32, "KEYS": 32}, warps=8),
    "backward_key 32 wide amd": Configuration({"QUERIES": 16, "KEYS": 32}),
    "backward_table 16": Configuration({"QUERIES": 32, "SPLIT": 4}),
    "backward_table 32": Configuration({"QUERIES": 32, "SPLIT": 4}),
    "backward_table 32 wide": Configuration({"QUERIES": 16, "SPLIT": 4}),
    "small_backward 16": Configuration({"QUERIES": 64}),
    "small_backward 32": Configuration({"QUERIES": 16}, stages=1),
    "small_backward 32 amd": Configuration({"QUERIES": 32}),
    "sum_parts": Configuration({"PARTS": 32, "ELEMENTS": 32}),
}


def configuration(kernel: str, dtype: torch.dtype, s: Sizes, *, hip: bool) -> Configuration:
    bits = 16 if dtype.itemsize == 2 else 32
    wide, long = max(s.key, s.value) > 32, bits == 32 and max(s.height, s.width) > 32
    split = wide and max(sum(pieces(size, dtype)) for size in (s.key, s.value)) <= 48
    forms = {"small": small(s, dtype), "split": split, "long": long and not wide, "wide": wide or long}
    names = [*(f"{kernel} {bits} {form}" for form, there in forms.items() if there), f"{kernel} {bits}"]
    return next(
        CONFIGURATIONS[found]
        for name in names
        for found in ([f"{name} amd", name] if hip else [name])
        if found in CONFIGURATIONS
    )


def padded(size: int, least: int) -> int:
    return max(least, 1 << (size - 1).bit_length())


def pieces(size: int, dtype: torch.dtype) -> tuple[int, int]:
    """The dimensions of a head, padded, in one piece or two: 32 and 16 instead of 64. In float32 these would
    spill."""
    return (32, 16) if 32 < size <= 48 and dtype != torch.float32 else (padded(size, 16), 0)


def small(s: Sizes, dtype: torch.dtype) -> bool:
    """Whether forward makes the biases itself."""
    return _keys(s) <= SMALL and not _wide(s, dtype)


def in_tiles(s: Sizes, dtype: torch.dtype) -> str:
    """Why backward does not take a head at once, or nothing. In float32, what is refused would spill."""
    if _keys(s) > WHOLE:
        return "the map has more than 8 rows or columns"
    if _wide(s, dtype):
        return f"a head has more than {LARGEST_DIMENSION // 2} dimensions, in float32"
    if dtype == torch.float32 and (s.height, s.width) not in WHOLE_MAPS:
        return "in float32 only maps of 7x7 and 8x8 are taken at once"
    return ""


def _wide(s: Sizes, dtype: torch.dtype) -> bool:
    return dtype == torch.float32 and max(s.key, s.value) > LARGEST_DIMENSION // 2


def _keys(s: Sizes) -> int:
    return padded(s.height, 8) * padded(s.width, 8)


def obstacle(s: Sizes) -> str:
    """Why the kernels cannot take these sizes, or nothing."""
    if max(s.height, s.width) > LARGEST_SIDE:
        return f"the map has more than {LARGEST_SIDE} rows or columns"
    if max(s.key, s.value) > LARGEST_DIMENSION:
        return f"a head has more than {LARGEST_DIMENSION} dimensions"
    dimension, side = LARGEST_DIMENSION // 2, LARGEST_SIDE // 2
    if max(s.key, s.value) > dimension and max(s.height, s.width) > side:
        return f"a head has more than {dimension} dimensions and a side more than {side} pixels"
    if s.batch * s.heads > MOST_PROGRAMS:
        return f"there are more than {MOST_PROGRAMS} heads in the batch"
    return ""
