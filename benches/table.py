"""The README's table of measured figures, made from the committed results.

    python -m benches.table            # writes it between the two marks in README.md
    python -m benches.table FOLDER     # prints that of another folder's results
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benches" / "results"
BEGIN, END = "<!-- benches: written by `python -m benches.table` -->", "<!-- /benches -->"
# In this order; of kernels the shapes are put together.
KINDS = ("supernet", "discrete", "kernels")
WHOLE = ("both", "inference")
Row = dict[str, Any]


def results(folder: Path) -> Iterator[tuple[str, dict[str, Any], list[Row]]]:
    """Kind, environment and timed rows of every file, those of one kind by name."""
    for kind in KINDS:
        for path in sorted(folder.glob(f"{kind}-*.json")):
            found = json.loads(path.read_text(encoding="utf-8"))
            rows = [row for row in found["rows"] if row.get("pass") in WHOLE and not row.get("refused")]
            if rows:
                yield kind, found["environment"], rows


def block(folder: Path = RESULTS) -> str:
    """The table and under it where each file's figures were taken, as Markdown."""
    head = "| | plain PyTorch's time over ours (quartiles) | peak memory, ours over plain |"
    lines = [head, "|---|---|---|"]
    notes = []
    for number, (kind, environment, rows) in enumerate(results(folder), 1):
        mark = f"<sup>{number}</sup>"
        lines += [f"| {name} {mark} | {ratio} | {peak} |" for name, ratio, peak in _lines(kind, rows)]
        notes.append(f"{number}: {_where(environment)}")
    if not notes:
        return ""
    return "\n".join([*lines, "", "; ".join(notes) + "."])


def _lines(kind: str, rows: list[Row]) -> Iterator[tuple[str, str, str]]:
    if kind != "kernels":
        for row in rows:
            one = row["forms"]["fused"]["ratio"]
            doing = "inference" if row["pass"] == "inference" else "forward and backward"
            ratio = f"{one['median']:.2f} ({one['q1']:.2f} to {one['q3']:.2f})"
            yield f"{row['name']}, {row['shape']}, {doing}", ratio, f"{_peak(row):.2f}"
        return
    for name in dict.fromkeys(row["name"] for row in rows if row["dtype"] == "float32"):
        same = [row for row in rows if row["name"] == name and row["dtype"] == "float32"]
        shapes = f"{len(same)} shapes" if len(same) > 1 else same[0]["shape"]
        words = name.replace("_", " ")
        yield (f"kernel: {words}, {shapes}", _range([row["ratio"] for row in same]),
               _range([_peak(row) for row in same]))  # fmt: skip


def _peak(row: Row) -> float:
    forms = row["forms"]
    return float(forms["fused"]["peak_bytes"] / forms["eager"]["peak_bytes"])


def _range(values: list[float]) -> str:
    low, high = f"{min(values):.2f}", f"{max(values):.2f}"
    return low if low == high else f"{low} to {high}"


def _where(environment: dict[str, Any]) -> str:
    e = environment
    threads = "" if e["device"] != "cpu" else f", {e['threads']} thread" + ("s" if e["threads"] > 1 else "")
    return f"{e['device_name']}{threads}, torch {e['torch']}, {e['date']}, commit {e['commit']}"


def written(readme: str, folder: Path = RESULTS) -> str:
    """The README with the table of these results in it."""
    before, rest = readme.split(BEGIN)
    _, after = rest.split(END)
    return f"{before}{BEGIN}\n{block(folder)}\n{END}{after}"


def main() -> None:
    if len(sys.argv) > 1:
        print(block(Path(sys.argv[1])))
        return
    readme = ROOT / "README.md"
    readme.write_text(written(readme.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
