"""`genoc bench` checks before it times, and says what it found in the agreed keys."""

import json
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

from genolang.bench import kernels
from genolang.bench.peak import peak_bytes
from genolang.bench.subject import Subject, Variant
from genolang.cli.main import main

KEYS = {"name", "shape", "dtype", "pass", "eager_ms", "compiled_ms", "fused_ms", "ratio", "peak_bytes"}
CPU = torch.device("cpu")


def rows(*arguments: str, code: int = 0) -> list[dict[str, object]]:
    result = CliRunner().invoke(main, ["bench", *arguments, "--rounds", "2", "--device", "cpu", "--json"])
    assert result.exit_code == code, (result.output, result.exception)
    return [json.loads(line) for line in result.stdout.splitlines() if line.startswith("{")]


def test_kernels_are_timed_forward_backward_and_both(tmp_path: Path) -> None:
    out = tmp_path / "rows.json"
    found = rows("kernels", "--small", "-o", str(out))
    assert {row["name"] for row in found} >= {"mixed_sum", "relative_attention"}
    for row in found:
        assert set(row) >= KEYS
        assert row["eager_ms"] > 0 and row["fused_ms"] > 0 and row["ratio"] > 0  # type: ignore[operator]
        assert (row["peak_bytes"] is None) == (row["pass"] != "both")
    assert [row["pass"] for row in found[:3]] == ["forward", "backward", "both"]
    written = json.loads(out.read_text())
    assert written["rows"] == found and written["environment"]["torch"] == torch.__version__


def test_a_network_is_timed_in_inference_and_in_training(tmp_path: Path) -> None:
    spec = tmp_path / "n.geno"
    spec.write_text("geno 1\nnetwork n {\n input image(3, 9, 7)\n body conv(3, 4) -> batch_norm -> relu\n head global_avg_pool -> linear(3)\n}\n")
    found = rows(str(spec), "--batch", "2")
    assert [row["pass"] for row in found] == ["inference", "forward", "backward", "both"]
    assert {row["shape"] for row in found} == {"2x3x9x7"}


def subject(factor: float) -> Subject:
    x = torch.ones(64, requires_grad=True)
    y = torch.ones(64, requires_grad=True)
    variants = {"eager": Variant(lambda: x * 3, [x]), "fused": Variant(lambda: y * factor, [y])}
    return Subject("triple", "64", torch.float32, CPU, variants, 1e-6)


def test_what_computes_something_else_is_refused_and_not_timed() -> None:
    (row,) = subject(3.1).measure(rounds=2)
    assert "differ by 0.033" in row.refused and row.eager_ms is None and row.ratio is None
    assert len(subject(3.0).measure(rounds=2)) == 3


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
    for forward in (lambda: Wrong.apply(y), lambda: y * 3 + torch.nan):
        variants = {**right.variants, "fused": Variant(forward, [y])}
        (row,) = Subject("wrong", "64", torch.float32, CPU, variants, 1e-6).measure(rounds=2)
        assert row.refused


def test_a_red_kernel_ends_in_exit_code_1(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernels, "kernel_subjects", lambda *a, **k: [subject(2.0)])
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
