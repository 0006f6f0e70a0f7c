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

# By kernel and bits of the operands. QUERIES: query pixels of a tile; KEYS: key pixels, whole image rows;
# SPLIT: programs that share a head. `wide` are heads of more than 32 dimensions and, in float32, sides of
# more than 32; `long` are the latter alone. A warp takes 16 rows of a product: where a tile has fewer than
# that for each warp, warps compute the same, which float32 needs in its wide forms to keep out of spills.
CONFIGURATIONS = {
    "prepare 16": Configuration({"QUERIES": 64}),
    "prepare 32": Configuration({"QUERIES": 64}),
    "prepare 32 wide": Configuration({"QUERIES": 32}),
    "forward 16": Configuration({"QUERIES": 128, "KEYS": 64}, warps=8),
    "forward 32": Configuration({"QUERIES": 64, "KEYS": 32}),
    "forward 32 wide": Configuration({"QUERIES": 32, "KEYS": 32}, warps=2),
    "backward_query 16": Configuration({"QUERIES": 64, "KEYS": 64}),
    "backward_query 16 wide": Configuration({"QUERIES": 32, "KEYS": 64}, warps=2),
    "backward_query 32": Configuration({"QUERIES": 32, "KEYS": 32}, warps=2),
    "backward_query 32 long": Configuration({"QUERIES": 16, "KEYS": 32}, warps=2),
    "backward_query 32 wide": Configuration({"QUERIES": 16, "KEYS": 32}),
    "backward_key 16": Configuration({"QUERIES": 64, "KEYS": 64}),
    "backward_key 16 wide": Configuration({"QUERIES": 32, "KEYS": 64}),
    "backward_key 32": Configuration({"QUERIES": 16, "KEYS": 64}),
    "backward_key 32 wide": Configuration({"QUERIES": 16, "KEYS": 32}),
    "backward_table 16": Configuration({"QUERIES": 32, "SPLIT": 4}),
    "backward_table 32": Configuration({"QUERIES": 32, "SPLIT": 4}),
    "backward_table 32 wide": Configuration({"QUERIES": 16, "SPLIT": 4}),
}


def configuration(kernel: str, dtype: torch.dtype, s: Sizes) -> Configuration:
    bits = 16 if dtype.itemsize == 2 else 32
    wide, long = max(s.key, s.value) > 32, bits == 32 and max(s.height, s.width) > 32
    name = f"{kernel} {bits}"
    found = CONFIGURATIONS.get(f"{name} wide", CONFIGURATIONS[name]) if wide or long else CONFIGURATIONS[name]
    return CONFIGURATIONS.get(f"{name} long", found) if long and not wide else found


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
