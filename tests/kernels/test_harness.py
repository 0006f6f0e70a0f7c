"""Every limit on compiled kernels can fail."""

from pathlib import Path
from typing import Any

import pytest
from kernel_harness.compiled import LIMITS, Family, Variant

ROW: dict[str, Any] = {
    "registers": 128,
    "spills": 0,
    "exps": 32,
    "atomics": 0,
    "matrix": {"mma": 0, "wgmma": 4},
    "loads": {"4": 2, "16": 4},
    "copies": {"4": 2, "16": 6},
    "shared": 65536,
    "plain_products": 0,
}
DEMANDING = Variant(
    "kernel", None, {}, {}, narrowest=4, widest=16, exps=32, products="wgmma", copies=2, copied=("cuda:90",)
)


def faults(target: str = "cuda:90", limits: Variant = DEMANDING, **changes: Any) -> list[str]:
    row, name = ROW | changes, f"kernel @ {target}"
    kept = {n: getattr(limits, n) for n in LIMITS} | {"may_spill": sorted(limits.may_spill)}
    return Family({name: row}, {name: kept}, "").faults(name, row)


def test_a_row_within_all_limits_has_no_fault() -> None:
    assert faults() == []


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"spills": 4}, "spills 4 bytes"),
        ({"atomics": 1}, "1 atomics"),
        ({"registers": 257}, "257 registers"),
        ({"shared": 228 * 1024}, "of shared memory"),
        ({"shared": 114 * 1024}, "of shared memory"),
        ({"loads": {"2": 1, "16": 4}}, "loads of"),
        ({"loads": {"4": 1}, "copies": {"8": 4}}, "no load of 16 bytes"),
        ({"exps": 33}, "33 exponentials"),
        ({"matrix": {"mma": 0, "wgmma": 0}}, "products on"),
        ({"matrix": {"mma": 9, "wgmma": 0}}, "products on"),
        ({"plain_products": 1}, "1 on none"),
        ({"copies": {"4": 3, "16": 6}}, "copies of"),
        ({"copies": {"4": 2}}, "copies of"),
    ],
)
def test_what_is_beyond_a_limit_is_reported(changes: dict[str, Any], said: str) -> None:
    assert any(said in fault for fault in faults(**changes))


def test_limits_are_those_of_the_target() -> None:
    amd = {"matrix": {"mfma": 4}, "copies": {}, "shared": 32 * 1024, "loads": {"8": 4}}
    assert faults("hip:gfx942", **amd) == []
    assert faults("hip:gfx942", **amd | {"shared": 33 * 1024}) and faults("hip:gfx942", **amd | {"registers": 257})
    assert faults("cuda:80", matrix={"mma": 4, "wgmma": 0}) == []


@pytest.mark.parametrize("family", ["mixed_sum", "masking", "relative_attention"])
def test_the_kept_figures_are_of_all_targets(family: str) -> None:
    text = Path(__file__).with_name(family).joinpath("golden.json").read_text(encoding="utf-8")
    assert all(f'@ {target}"' in text for target in ("cuda:80", "cuda:90", "hip:gfx942"))
