"""Tables of measured figures, made from the committed results: the README's, and one for each kernel.

python -m benches.table            # writes them between their marks
python -m benches.table FOLDER     # prints the README's of another folder's results
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benches" / "results"
BEGIN, END = "<!-- benches: written by `python -m benches.table` -->", "<!-- /benches -->"
# In this order; of kernels the shapes are put together.
KINDS = ("supernet", "discrete", "kernels")
KERNELS = {
    "mixed_sum": ("mixed_sum",),
    "relative_attention": ("relative_attention",),
    "masking": ("mixed mask", "spatial mask", "channel mask", "recalibration"),
}
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
        yield (
            f"kernel: {words}, {shapes}",
            _range([row["ratio"] for row in same]),
            _range([_peak(row) for row in same]),
        )


def _peak(row: Row, form: str = "fused") -> float:
    forms = row["forms"]
    return float(forms[form]["peak_bytes"] / forms["eager"]["peak_bytes"])


def kernel_block(names: Sequence[str], folder: Path = RESULTS) -> str:
    """Every shape of a kernel: how plain PyTorch compares with each other form."""
    parts = []
    for kind, environment, rows in results(folder):
        same = [row for row in rows if kind == "kernels" and row["name"] in names]
        if not same:
            continue
        others = [form for form in same[0]["forms"] if form not in ("eager", "fused")]
        forms = ["ours", *(form.replace("_", " ") for form in others)]
        heads = [
            "time, plain over ours (quartiles)",
            *(f"processor's time, plain over {f}" for f in forms),
            *(f"peak memory, {f} over plain" for f in forms),
        ]
        where = f"{_where(environment)}, a load of {environment['load_average'][0]}"
        lines = [
            f"Forward and backward; {where}:",
            "",
            "| | " + " | ".join(heads) + " |",
            "|---" * (len(heads) + 1) + "|",
        ]
        lines += [_kernel_line(row, others, len(names) > 1) for row in same]
        parts.append("\n".join(lines))
    return "\n\n".join(parts)


def _kernel_line(row: Row, others: Sequence[str], named: bool) -> str:
    forms = row["forms"]
    one, used = forms["fused"]["ratio"], [forms[form] for form in ("fused", *others)]
    words = [row["name"] if named else "", row["shape"], "" if row["dtype"] == "float32" else row["dtype"]]
    cells = [" ".join(word for word in words if word)]
    cells.append(f"{one['median']:.2f} ({one['q1']:.2f} to {one['q3']:.2f})")
    busy = [form.get("processor_ratio") for form in used]
    cells += ["" if one is None else f"{one['median']:.2f}" for one in busy]
    cells += [f"{_peak(row, form):.2f}" for form in ("fused", *others)]
    return "| " + " | ".join(cells) + " |"


def _range(values: list[float]) -> str:
    low, high = f"{min(values):.2f}", f"{max(values):.2f}"
    return low if low == high else f"{low} to {high}"


def _where(environment: dict[str, Any]) -> str:
    e = environment
    threads = "" if e["device"] != "cpu" else f", {e['threads']} thread" + ("s" if e["threads"] > 1 else "")
    return f"{e['device_name']}{threads}, torch {e['torch']}, {e['date']}, commit {e['commit']}"


def written(text: str, table: str) -> str:
    """A document with the table in it."""
    before, rest = text.split(BEGIN)
    _, after = rest.split(END)
    return f"{before}{BEGIN}\n{table}\n{END}{after}"


def documents() -> dict[Path, str]:
    """Every document that has a table, with the table that it should have."""
    kernels = ROOT / "genolang" / "kernels"
    found = {kernels / folder / "README.md": kernel_block(names) for folder, names in KERNELS.items()}
    return {ROOT / "README.md": block(), **found}


def main() -> None:
    if len(sys.argv) > 1:
        print(block(Path(sys.argv[1])))
        return
    for path, table in documents().items():
        path.write_text(written(path.read_text(encoding="utf-8"), table), encoding="utf-8")


if __name__ == "__main__":
    main()
