from pathlib import Path

from kernel_harness.interpreted import passes_interpreted


def test_what_the_kernels_write_has_the_announced_shapes_and_strides() -> None:
    passes_interpreted(Path(__file__).with_name("interpreted_operators.py"))
