import json
import subprocess
import sys
from pathlib import Path


def test_the_comparison_of_learning_mechanisms_writes_every_seed_of_every_depth(tmp_path: Path) -> None:
    out = tmp_path / "found.json"
    small = ["--modules", "1", "--seeds", "1", "--epochs", "1", "--batch", "2000"]
    done = subprocess.run(
        [sys.executable, "-m", "benches.arl_nal", *small, "--json", str(out)],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(out.read_text(encoding="utf-8"))
    assert [(row["trunk_depth"], row["learn"]) for row in found["rows"]] == [(32, "residual"), (32, "naive")]
    for row in found["rows"]:
        assert row["test_accuracy"] == [row["mean"]] and 0 < row["mean"] < 1
