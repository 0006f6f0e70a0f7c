"""`genoc bench` checks before it times, and says what it found in the agreed keys."""

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest
import torch
from click.testing import CliRunner

from genolang.bench import kernels
from genolang.bench.asked import Asked
from genolang.bench.floors import Ceilings, Work
from genolang.bench.forms import Form
from genolang.bench.peak import peak_bytes
from genolang.bench.subject import Subject
from genolang.cli.main import main

KEYS = {"name", "shape", "dtype", "pass", "eager_ms", "compiled_ms", "fused_ms", "ratio", "peak_bytes"}
CPU = torch.device("cpu")
CEILINGS = Ceilings(1e9, 1e9, 0)


def rows(*arguments: str, code: int = 0) -> list[dict[str, object]]:
    result = CliRunner().invoke(main, ["bench", *arguments, "--rounds", "2", "--device", "cpu", "--json"])
    assert result.exit_code == code, (result.output, result.exception)
    return [json.loads(line) for line in result.stdout.splitlines() if line.startswith("{")]


def test_kernels_are_timed_forward_backward_and_both(tmp_path: Path) -> None:
    out, plot = tmp_path / "new" / "rows.json", tmp_path / "rows.svg"
    found = rows("kernels", "--small", "--captured", "-o", str(out), "--plot", str(plot))
    assert {row["name"] for row in found} == {
        "mixed_sum",
        "relative_attention",
        "mixed mask",
        "spatial mask",
        "channel mask",
        "recalibration",
    }
    for row in found:
        assert set(row) >= KEYS and not row["refused"] and not row["failed"]
        assert row["eager_ms"] > 0 and row["fused_ms"] > 0 and row["ratio"] > 0  # type: ignore[operator]
        assert (row["peak_bytes"] is None) == (row["pass"] != "both")
        assert row["floor_ms"] > 0 and row["forms"]["fused"]["bytes_per_s"] > 0  # type: ignore[operator,index]
    assert [row["pass"] for row in found[:3]] == ["forward", "backward", "both"]
    (attention, *_) = (row for row in found if row["name"] == "relative_attention")
    assert set(attention["forms"]) == {"eager", "fused", "augmented"}  # type: ignore[call-overload]
    written = json.loads(out.read_text())
    assert written["rows"] == found
    about = written["environment"]
    assert about["torch"] == torch.__version__ and about["device"] == "cpu" and about["rounds"] == 2
    assert set(about) >= {"date", "commit", "device_name", "threads", "load_average", "ceilings"}
    drawn = ElementTree.parse(plot).getroot()
    words = [text.text for text in drawn.iter("{http://www.w3.org/2000/svg}text")]
    assert words.count("mixed mask 2x4x5x7") == 1 and "augmented" in words
    # The paper, two colours of the legend, a bar for each kernel and one more for attention.
    assert len(list(drawn.iter("{http://www.w3.org/2000/svg}rect"))) == 1 + 2 + 6 + 1


def test_only_kernels_with_the_words_asked_for_are_timed() -> None:
    found = rows("kernels", "--small", "--only", "recal", "--only", "3 candidates", "--dtype", "float32")
    assert {row["name"] for row in found} == {"mixed_sum", "recalibration"}


def test_a_network_is_timed_in_inference_and_in_training(tmp_path: Path) -> None:
    spec = tmp_path / "n.geno"
    spec.write_text(
        "geno 1\nnetwork n {\n input image(3, 9, 7)\n body conv(3, 4) -> batch_norm -> relu\n head global_avg_pool -> linear(3)\n}\n"
    )
    found = rows(str(spec), "--batch", "2")
    assert [row["pass"] for row in found] == ["inference", "forward", "backward", "both"]
    assert {row["shape"] for row in found} == {"2x3x9x7"}
    assert set(found[0]["forms"]) == {"eager", "fused", "module"}  # type: ignore[call-overload]


def test_discrete_networks_answer_folded_against_the_plain_reference() -> None:
    (row,) = rows("discrete", "--small", "--batch", "2")
    assert row["name"] == "darts/v2 cifar" and row["pass"] == "inference" and row["shape"] == "2x3x32x32"
    assert 0 < row["distance"] < 1e-4  # type: ignore[operator]


def test_a_pass_is_timed_by_leaving_it_out() -> None:
    found = rows("passes", "--small", "--set", "depth=1", "--only", "share")
    assert [row["name"] for row in found] == ["pass share"] * 3 and found[0]["shape"] == "2x3x32x32"


def subject(factor: float, exact: float = 3.0) -> Subject:
    x = torch.ones(64, requires_grad=True)
    wide = torch.ones(64, dtype=torch.float64, requires_grad=True)

    def form(by: float, leaf: torch.Tensor = x) -> Form:
        return Form(lambda leaves: leaves[0] * by, [[leaf]])

    return Subject(
        "triple",
        "64",
        torch.float32,
        CPU,
        {"eager": lambda: form(3.0), "fused": lambda: form(factor)},
        1e-6,
        work=Work((500, 1000), (0, 4000)),
        exact={"eager": lambda: form(3.0, wide), "fused": lambda: form(exact, wide)},
    )


def test_what_computes_something_else_is_refused_and_not_timed() -> None:
    (row,) = subject(3.1).measure(rounds=2)
    assert "differs from eager by 0.033" in row.refused and row.eager_ms is None and row.ratio is None
    assert len(subject(3.0).measure(rounds=2)) == 3


def test_what_agrees_in_single_precision_only_is_refused() -> None:
    (row,) = subject(3.0, exact=3.0 + 1e-7).measure(rounds=2)
    assert "in float64" in row.refused


def test_a_wrong_gradient_or_a_nan_is_refused_too() -> None:
    class Wrong(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):  # type: ignore[no-untyped-def]
            return x * 3

        @staticmethod
        def backward(ctx, g):  # type: ignore[no-untyped-def]
            return 2 * g

    right = subject(3.0)
    y = torch.ones(64, requires_grad=True)
    for forward in (lambda leaves: Wrong.apply(leaves[0]), lambda leaves: leaves[0] * 3 + torch.nan):
        forms = {**right.forms, "fused": lambda forward=forward: Form(forward, [[y]])}
        (row,) = Subject("wrong", "64", torch.float32, CPU, forms, 1e-6).measure(rounds=2)
        assert row.refused


def test_a_competitor_that_cannot_run_is_left_out_with_its_reason_and_the_others_are_timed() -> None:
    def broken(leaves: object) -> torch.Tensor:
        raise NotImplementedError("no backward\non this device")

    right = subject(3.0)
    forms = {**right.forms, "flex": lambda: Form(broken, [[torch.ones(1)]])}
    found = Subject("triple", "64", torch.float32, CPU, forms, 1e-6).measure(rounds=2)
    assert len(found) == 3 and not any(row.refused for row in found)
    assert all(row.failed == {"flex": "NotImplementedError: no backward"} for row in found)


def test_floors_are_set_by_what_takes_longest_and_add_up_over_passes() -> None:
    forward, backward, both = subject(3.0).measure(2, CEILINGS)
    assert (forward.floor_ms, forward.floor_by, forward.bytes) == (0.0005, "bytes", 500)
    assert (backward.floor_ms, backward.floor_by) == (0.004, "flops")
    assert (both.floor_ms, both.floor_by, both.bytes) == (0.0045, "flops", 1500)
    fused = both.forms["fused"]
    assert fused["of_floor"] == pytest.approx(0.0045 / fused["median_ms"], rel=0.02, abs=6e-4)
    assert fused["bytes_per_s"] == pytest.approx(1500 / fused["median_ms"] * 1000, rel=0.02)


def test_the_least_traffic_of_a_mixed_sum_is_every_map_once_each_way() -> None:
    case = kernels.mixed_sum_case(kernels.Sum(2, 4, 5, 3), CPU)
    work = kernels.case_subject(case, CPU, torch.float32).work
    map_, weights = 2 * 4 * 5 * 5 * 4, 3 * 4
    assert work is not None
    assert work.bytes == (4 * map_ + weights, 7 * map_ + 2 * weights)


def test_a_red_kernel_ends_in_exit_code_1(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Asked, "subjects", lambda _: [subject(2.0)])
    (row,) = rows("kernels", "--small", code=1)
    assert row["refused"] and row["fused_ms"] is None


def test_peak_memory_counts_what_is_held_at_once() -> None:
    def work() -> None:
        a = torch.empty(1000, 1000)
        b = a + 1
        del a
        c = b + 1
        del b, c

    assert peak_bytes(work, CPU) == pytest.approx(8_000_000, rel=0.01)
