import json
from pathlib import Path

import pytest

from benches.mixed_sum import main


def test_the_mixed_sum_benchmark_checks_its_variants_and_writes_their_ratio(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["--small", "--rounds", "2", "--json", str(tmp_path / "found.json")])
    (row,) = json.loads((tmp_path / "found.json").read_text(encoding="utf-8"))["rows"]
    assert row["distance"] < 1e-5 and set(row["ratio_to_written_out"]) == {"forward", "backward", "step"}
    assert row["saved_bytes"]["ours"] < 0.6 * row["saved_bytes"]["written out"]
    assert "B2 C4 8x8 T3" in capsys.readouterr().out
