import json
from pathlib import Path

import pytest
from kernel_harness.compiled import Family, compile_families

VARIANTS = sorted(Path(__file__).parent.glob("*/variants.py"))
NAMES = [file.parent.name for file in VARIANTS]


def golden(name: str) -> Path:
    return Path(__file__).with_name(name) / "golden.json"


@pytest.fixture(scope="module")
def families() -> dict[str, Family]:
    found = compile_families({file: golden(file.parent.name) for file in VARIANTS})
    return dict(zip(NAMES, found, strict=True))


@pytest.mark.parametrize("name", NAMES)
def test_every_shipped_kernel_keeps_the_limits_on_every_target(families: dict[str, Family], name: str) -> None:
    families[name].check()


@pytest.mark.parametrize("name", NAMES)
def test_the_compiled_kernels_are_those_that_were_reviewed(families: dict[str, Family], name: str) -> None:
    families[name].compare(golden(name))


@pytest.mark.parametrize("kernel", ["forward", "backward_query", "backward_key"])
def test_heads_of_40_dimensions_take_a_quarter_fewer_products_than_those_of_64(kernel: str) -> None:
    kept = json.loads(golden("relative_attention").read_text(encoding="utf-8"))["kernels"]
    rows = (kept[f"{kernel} {place} bf16 @ cuda:80"] for place in ("28x28 of 40", "32x32 wide"))
    few, many = (row["matrix"]["mma"] for row in rows)
    assert 4 * few == 3 * many


@pytest.mark.soak
@pytest.mark.parametrize("file", VARIANTS, ids=NAMES)
def test_all_of_it_compiled_anew_is_what_was_reviewed(file: Path) -> None:
    (again,) = compile_families({file: None})
    again.check()
    again.compare(golden(file.parent.name))
