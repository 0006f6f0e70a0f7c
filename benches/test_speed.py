"""The kernels under pytest-benchmark, each form apart: `make bench`. Not part of the tests.

Forms are compared here too before they are timed; for ratios that a busy machine does not spoil take
`genoc bench`, which runs the forms in turn.
"""

from __future__ import annotations

import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture

from genolang.bench.kernels import (
    ON_CPU,
    Case,
    attention_case,
    case_subject,
    mask_case,
    mixed_sum_case,
    recalibration_case,
)
from genolang.bench.subject import Subject

CPU = torch.device("cpu")
CASES = [
    *(mixed_sum_case(case, CPU) for case in ON_CPU.sums),
    *(attention_case(case, CPU) for case in ON_CPU.attentions),
    *(mask_case(gate, shape) for shape in ON_CPU.masks for gate in ("mixed", "spatial", "channel")),
    *(recalibration_case(shape) for shape in ON_CPU.masks),
]


@pytest.fixture(params=CASES, ids=lambda case: f"{case.name} {case.shape}")
def subject(request: pytest.FixtureRequest) -> Subject:
    case: Case = request.param
    torch.set_num_threads(1)
    return case_subject(case, CPU, torch.float32)


@pytest.mark.parametrize("form", ["eager", "fused"])
def test_forward_and_backward(benchmark: BenchmarkFixture, subject: Subject, form: str) -> None:
    benchmark.group = f"{subject.name} {subject.shape}"
    assert subject.distances()["fused"] <= subject.tolerance
    made = subject.forms[form]()
    benchmark(lambda: made.work())
