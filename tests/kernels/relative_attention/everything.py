"""All forms of relative attention's kernels that are launched, for all targets."""

import runpy
from collections.abc import Iterator
from pathlib import Path

import torch
from kernel_harness.compiled import Variant

LISTED = runpy.run_path(str(Path(__file__).with_name("variants.py")))


def variants() -> Iterator[Variant]:
    for place in LISTED["SIZES"]:
        for dtype in (torch.bfloat16, torch.float32):
            for targets in (LISTED["NVIDIA"], LISTED["AMD"]):
                yield from LISTED["each"](place, dtype, targets)
