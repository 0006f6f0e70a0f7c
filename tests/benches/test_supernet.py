import json
import subprocess
import sys
from pathlib import Path


def test_the_supernet_benchmark_checks_its_variants_and_writes_their_ratios(tmp_path: Path) -> None:
    out = tmp_path / "found.json"
    small = ["--channels", "4", "--depth", "1", "--batch", "2", "--rounds", "2"]
    done = subprocess.run(
        [sys.executable, "-m", "benches.supernet", *small, "--json", str(out)],
        cwd=Path(__file__).parents[2], capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = json.loads(out.read_text(encoding="utf-8"))
    (row,) = found["rows"]
    assert set(row["times"]) == {"fused", "plain", "hand"}
    assert set(row["ratio_to_hand"]) == {"fused", "plain"}
    assert max(row["distance_from_hand_in_float64"].values()) < 1e-9
    assert row["saved_for_backward_mib"]["fused"] < row["saved_for_backward_mib"]["plain"]
    assert found["environment"]["threads"] == 1
