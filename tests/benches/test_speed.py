"""`pytest benches`: what is asked for is timed, once it computes what the plain form does."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from benches.test_speed import Ready
from genolang.bench.asked import Asked
from genolang.bench.forms import Form
from genolang.bench.subject import Subject

ROOT = Path(__file__).parents[2]
CPU = torch.device("cpu")
QUICK = ("--benchmark-min-rounds", "2", "--benchmark-max-time", "0.001", "--benchmark-calibration-precision", "1")
TINY = """geno 1
network n(classes=3) {
  input image(2, 5, 5)
  stem  conv(3, 4) -> batch_norm -> relu
  head  global_avg_pool -> linear(classes)
}
"""


def timed(folder: Path, *arguments: str, code: int = 0) -> tuple[list[dict[str, Any]], str]:
    """The benchmarks of a run, and what it said."""
    # Of a run that is spread over processes pytest-benchmark times nothing.
    about = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    out = folder / "found.json"
    made = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "benches",
            "-p",
            "no:cacheprovider",
            *QUICK,
            "--benchmark-json",
            str(out),
            "--benchmark-storage",
            str(folder / "storage"),
            *arguments,
        ],
        cwd=ROOT,
        env=about,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert made.returncode == code, made.stdout + made.stderr
    return (json.loads(out.read_text("utf-8"))["benchmarks"] if code == 0 else []), made.stdout + made.stderr


def test_a_network_is_timed_in_the_forms_that_were_asked_for_saved_and_compared(tmp_path: Path) -> None:
    (tmp_path / "tiny.geno").write_text(TINY, "utf-8")
    spec = ("--spec", str(tmp_path / "tiny.geno"), "--network", "n", "--set", "classes=4", "--batch", "2")
    found, _ = timed(tmp_path, *spec, "--forms", "plain,fused", "--benchmark-save", "before")
    names = {(one["name"].split("[")[0], one["group"].rpartition(", ")[2], one["extra_info"]["form"]) for one in found}
    assert names == {
        (test, how, form)
        for form in ("plain", "fused")
        for test, how in (
            ("test_forward", "inference"),
            ("test_forward", "forward"),
            ("test_forward_and_backward", "forward and backward"),
        )
    }
    assert all(one["stats"]["median"] > 0 and one["extra_info"]["distance"] < 1e-2 for one in found)
    again, said = timed(tmp_path, *spec, "--forms", "fused", "--benchmark-compare")
    assert {one["extra_info"]["form"] for one in again} == {"fused"}
    assert "(0001_befo" in said and "(NOW)" in said


def test_a_spec_that_is_not_there_is_told_as_everywhere(tmp_path: Path) -> None:
    _, said = timed(tmp_path, "--spec", str(tmp_path / "none.geno"), code=4)
    assert "G001" in said and "Traceback" not in said


def test_nothing_is_timed_of_a_form_that_computes_something_else() -> None:
    def ready(factor: float) -> Ready:
        leaves = [torch.ones(3, requires_grad=True)]
        forms = {
            "eager": lambda: Form(lambda own: 2 * own[0], [leaves]),
            "fused": lambda: Form(lambda own: factor * own[0], [leaves]),
        }
        subject = Subject("double", "3", torch.float32, CPU, forms, 1e-6)
        return Ready(subject, subject.checked())

    assert ready(2.0).form("fused").work()[0].tolist() == [2, 2, 2]
    with pytest.raises(pytest.fail.Exception, match="not timed: differs from eager by"):
        ready(2.1).form("fused")
    with pytest.raises(pytest.skip.Exception, match="no form `compiled`"):
        ready(2.0).form("compiled")


def test_subjects_have_names_that_no_other_has() -> None:
    for what, extra in (("kernels", {}), ("resnet/cifar", {"network": "resnet20", "batches": (2, 3)})):
        names = [name for name, _ in Asked(what, CPU, small=True, **extra).makers()]
        assert len(set(names)) == len(names) > 1
