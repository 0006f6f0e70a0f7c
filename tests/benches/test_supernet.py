import json
from pathlib import Path

import torch

from benches.supernet import main


def test_the_supernet_benchmark_checks_its_forms_and_writes_their_ratios(tmp_path: Path) -> None:
    out, threads = tmp_path / "found.json", torch.get_num_threads()
    try:
        main(["--channels", "4", "--depth", "1", "--batch", "2", "--rounds", "2", "--json", str(out)])
    finally:
        torch.set_num_threads(threads)
    found = json.loads(out.read_text(encoding="utf-8"))
    assert [row["pass"] for row in found["rows"]] == ["forward", "backward", "both"]
    both = found["rows"][2]
    assert set(both["forms"]) == {"eager", "plain", "fused"} and both["name"] == "darts/search by hand"
    assert max(both["distance_in_float64"].values()) < 1e-9
    assert both["saved_bytes"]["fused"] < both["saved_bytes"]["plain"]
    assert found["environment"]["threads"] == 1
