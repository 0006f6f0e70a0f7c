import json
from pathlib import Path

import pytest

from benches.relative_attention import main


@pytest.mark.filterwarnings("ignore")
def test_the_benchmark_checks_its_variants_and_writes_their_ratios(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["--small", "--rounds", "2", "--json", str(tmp_path / "found.json")])
    (row,) = json.loads((tmp_path / "found.json").read_text(encoding="utf-8"))["rows"]
    assert row["distance"] < 1e-4
    for base in ("materialised", "augmented"):
        assert set(row[f"ratio_to_{base}"]) == {"forward", "backward", "step"}
    assert set(row["peak_bytes"]) == set(row["times"]) == {"ours", "materialised", "augmented"}
    assert "B1 5x5, 2 heads of 4 and 3" in capsys.readouterr().out
