import json
from pathlib import Path
from typing import Any

import pytest

from benches.table import BEGIN, END, block, documents, kernel_block, written

ENVIRONMENT = {
    "device": "cpu",
    "device_name": "Chip, 2 cores",
    "threads": 1,
    "torch": "2.13.0",
    "date": "2026-11-21",
    "commit": "abc",
    "load_average": [1.5, 2.0, 2.0],
}


def row(name: str, shape: str, ratio: float, peaks: tuple[int, int], pass_: str = "both") -> dict[str, Any]:
    times = {"median": ratio, "q1": ratio - 0.1, "q3": ratio + 0.1}
    busy = {"median": ratio + 0.25}
    fused = {"peak_bytes": peaks[0], "ratio": times, "processor_ratio": busy}
    return {
        "name": name,
        "shape": shape,
        "dtype": "float32",
        "pass": pass_,
        "ratio": ratio,
        "refused": "",
        "forms": {"eager": {"peak_bytes": peaks[1]}, "fused": fused},
    }


def keep(path: Path, rows: list[dict[str, Any]]) -> None:
    path.write_text(json.dumps({"environment": ENVIRONMENT, "rows": rows}), "utf-8")


@pytest.mark.parametrize("path", documents(), ids=lambda path: path.parent.name)
def test_documents_have_the_tables_of_the_committed_results(path: Path) -> None:
    text = path.read_text("utf-8")
    assert text == written(text, documents()[path]), "run `python -m benches.table`"


def test_shapes_of_a_kernel_are_put_together_and_networks_stand_apart(tmp_path: Path) -> None:
    keep(tmp_path / "kernels-cpu.json", [row("mixed_sum", "a", 2.0, (1, 2)), row("mixed_sum", "b", 3.5, (3, 4))])
    keep(tmp_path / "discrete-cpu.json", [row("darts/v2 cifar", "1x3x32x32", 1.5, (1, 2), "inference")])
    lines = block(tmp_path).splitlines()
    assert lines[2:4] == [
        "| darts/v2 cifar, 1x3x32x32, inference <sup>1</sup> | 1.50 (1.40 to 1.60) | 0.50 |",
        "| kernel: mixed sum, 2 shapes <sup>2</sup> | 2.00 to 3.50 | 0.50 to 0.75 |",
    ]
    assert lines[-1].startswith("1: Chip, 2 cores, 1 thread, torch 2.13.0, 2026-11-21, commit abc; 2: ")


def test_a_kernel_has_a_line_for_every_shape(tmp_path: Path) -> None:
    keep(tmp_path / "kernels-cpu.json", [row("mixed mask", "1x2x3x4", 2.0, (1, 2)), row("other", "a", 1.0, (1, 1))])
    lines = kernel_block(["mixed mask", "spatial mask"], tmp_path).splitlines()
    assert lines[0].endswith("2026-11-21, commit abc, a load of 1.5:")
    assert lines[2:] == [
        "| | time, plain over ours (quartiles) | processor's time, plain over ours | peak memory, ours over plain |",
        "|---|---|---|---|",
        "| mixed mask 1x2x3x4 | 2.00 (1.90 to 2.10) | 2.25 | 0.50 |",
    ]


def test_what_was_refused_and_what_was_never_measured_is_not_in_the_table(tmp_path: Path) -> None:
    assert block(tmp_path) == ""
    refused = {**row("mixed_sum", "a", 2.0, (1, 2)), "refused": "differs"}
    keep(tmp_path / "kernels-cpu.json", [refused])
    keep(tmp_path / "thresholds-cpu.json", [row("mixed_sum", "a", 2.0, (1, 2))])
    assert block(tmp_path) == ""
    assert kernel_block(["mixed_sum"], tmp_path) == ""
    assert written(f"x\n{BEGIN}\nold\n{END}\ny\n", "") == f"x\n{BEGIN}\n\n{END}\ny\n"
