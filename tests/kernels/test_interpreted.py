from pathlib import Path

from kernel_harness.interpreted import passes_interpreted

HERE = Path(__file__).parent


def test_the_kernels_are_right_where_triton_interprets() -> None:
    passes_interpreted(*sorted(HERE.glob("*/interpreted.py")), HERE / "interpreted_operators.py")
