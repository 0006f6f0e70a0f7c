"""Every threshold is measured on both sides of itself, and the dispatch follows the committed measurements."""

import json
from pathlib import Path

import pytest

from genolang.bench import thresholds
from genolang.bench.thresholds import threshold_subjects
from genolang.kernels import masking
from genolang.kernels.cpu import inference
from genolang.kernels.mixed_sum import cpu
from genolang.kernels.relative_attention import small

RESULTS = Path(__file__).parents[2] / "benches" / "results" / "thresholds-cpu.json"


def test_both_choices_of_every_threshold_compute_the_same() -> None:
    found = list(threshold_subjects(small=True))
    assert len({subject.name for subject in found}) == 12
    for subject in found:
        assert subject.distances()["fused"] <= subject.tolerance, subject.name


def test_a_constant_has_another_value_only_while_something_runs() -> None:
    kept = small.LARGEST
    assert thresholds._with(small, "LARGEST", 0, lambda: small.LARGEST) == 0
    with pytest.raises(ZeroDivisionError):
        thresholds._with(small, "LARGEST", 0, lambda: 1 // 0)
    assert kept == small.LARGEST


@pytest.mark.parametrize(
    ("name", "threshold"),
    [
        ("recalibration: plain, cpu", masking.FEW),
        ("mixed mask: plain, cpu", masking.FEW),
        ("mixed sum: one pass, two passes", cpu.LARGE),
        ("attention: all weights, tiles", small.LARGEST + 1),
        ("1x1 convolution: product, oneDNN", inference.FEW_PRODUCTS),
        ("convolution: ATen, oneDNN", inference.FEW_POSITIONS),
        ("convolution of few positions: ATen, oneDNN", inference.FEW_WEIGHTS),
    ],
)
def test_no_choice_loses_by_a_tenth_where_it_was_measured(name: str, threshold: int) -> None:
    """By the processor's time, which other programs hurt least; the spread of these is about a tenth."""
    rows = json.loads(RESULTS.read_text())["rows"]
    sizes = [row for row in rows if row["name"] == name and row["pass"] in ("both", "inference")]
    assert min(int(row["shape"]) for row in sizes) < threshold <= max(int(row["shape"]) for row in sizes)
    for row in sizes:
        above = row["forms"]["fused"]["processor_ratio"]["median"]
        chosen = above if int(row["shape"]) >= threshold else 1 / above
        assert chosen > 0.85, (row["shape"], above)
