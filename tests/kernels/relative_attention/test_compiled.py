from pathlib import Path

import pytest
from kernel_harness.compiled import Family, compile_family

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def family() -> Family:
    return compile_family(HERE / "variants.py")


def test_the_kernels_compile_without_spills_or_atomics(family: Family) -> None:
    family.check()


def test_products_run_on_matrix_units(family: Family) -> None:
    assert all(row["matrix"] > 0 for row in family.found.values())


def test_no_exponential_is_computed_twice(family: Family) -> None:
    # A tile of 128x64 logits in 256 threads is 32 each; besides, the factor of a row's old sum.
    row = family.found["forward 14x14 bf16 @ cuda:90"]
    assert 32 <= row["exps"] <= 40


def test_the_compiled_kernels_are_those_that_were_reviewed(family: Family) -> None:
    family.compare(HERE / "golden.json")


@pytest.mark.soak
def test_every_kernel_keeps_the_limits_at_every_size_on_every_target() -> None:
    compile_family(HERE / "everything.py").check()
