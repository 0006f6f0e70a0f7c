from pathlib import Path

import pytest
from kernel_harness.compiled import Family, compile_family

HERE = Path(__file__).parent
GOLDEN = HERE / "golden.json"


@pytest.fixture(scope="module")
def family() -> Family:
    return compile_family(HERE / "variants.py", GOLDEN)


def test_every_shipped_kernel_keeps_the_limits_on_every_target(family: Family) -> None:
    family.check()


def test_the_compiled_kernels_are_those_that_were_reviewed(family: Family) -> None:
    family.compare(GOLDEN)


@pytest.mark.soak
def test_all_of_it_compiled_anew_is_what_was_reviewed() -> None:
    again = compile_family(HERE / "variants.py")
    again.check()
    again.compare(GOLDEN)
