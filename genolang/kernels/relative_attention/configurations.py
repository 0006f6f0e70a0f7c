"""How the Triton kernels of relative attention are launched: all of it, nothing is tuned at run time."""

from __future__ import annotations

import torch

from genolang.kernels.record import Configuration

# Sides beyond this and heads of more dimensions do not fit into registers in these forms.
LARGEST_SIDE = 64
LARGEST_DIMENSION = 64

# By kernel and bits of the operands. QUERIES: query pixels of a tile; KEYS: key pixels, whole image rows.
CONFIGURATIONS = {
    "prepare 16": Configuration({"QUERIES": 64}),
    "prepare 32": Configuration({"QUERIES": 64}),
    "forward 16": Configuration({"QUERIES": 128, "KEYS": 64}, warps=8),
    "forward 32": Configuration({"QUERIES": 64, "KEYS": 32}, warps=8),
    "backward_query 16": Configuration({"QUERIES": 64, "KEYS": 64}),
    "backward_query 32": Configuration({"QUERIES": 32, "KEYS": 32}),
    "backward_key 16": Configuration({"QUERIES": 64, "KEYS": 64}),
    "backward_key 32": Configuration({"QUERIES": 16, "KEYS": 32}),
    "backward_table 16": Configuration({"QUERIES": 32, "SPLIT": 4}),
    "backward_table 32": Configuration({"QUERIES": 32, "SPLIT": 4}),
}


def configuration(kernel: str, dtype: torch.dtype) -> Configuration:
    return CONFIGURATIONS[f"{kernel} {16 if dtype.itemsize == 2 else 32}"]

