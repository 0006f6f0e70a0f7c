from pathlib import Path

import pytest
from kernel_harness.compiled import Family, compile_family

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def family() -> Family:
    return compile_family(HERE / "variants.py")


def test_every_shipped_kernel_compiles_without_spills_or_atomics(family: Family) -> None:
    family.check()


def test_the_compiled_kernels_are_those_that_were_reviewed(family: Family) -> None:
    family.compare(HERE / "golden.json")


@pytest.mark.soak
def test_every_kernel_keeps_the_limits_on_every_target() -> None:
    compile_family(HERE / "variants.py", everywhere=True).check()
