from pathlib import Path

from kernel_harness.interpreted import passes_interpreted


def test_the_kernels_are_right_where_triton_interprets() -> None:
    passes_interpreted(Path(__file__).with_name("interpreted.py"))
