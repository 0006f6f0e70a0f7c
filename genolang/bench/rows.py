"""One measurement of a variant in several forms, as JSON and as a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from genolang.bench.interleaved import spread

if TYPE_CHECKING:
    from rich.table import Table


@dataclass(frozen=True, slots=True)
class Row:
    """Times of one pass (`forward`, `backward`, `both`, or `inference` without gradients) in milliseconds.

    Medians over the rounds; `quartiles` has the first and third of each. `eager` is the plain reference,
    `fused` ours, `compiled` the reference under `torch.compile`, `graphs` that with CUDA graphs; None
    where not measured. `ratio` is eager over fused, the median over rounds. `peak_bytes` is the most
    memory that ours held above its inputs and weights, `eager_peak_bytes` the reference. `distance` is
    the largest relative distance of outputs and gradients; a row with `refused` was not timed.
    """

    name: str
    shape: str
    dtype: str
    pass_: str
    eager_ms: float | None = None
    compiled_ms: float | None = None
    graphs_ms: float | None = None
    fused_ms: float | None = None
    ratio: float | None = None
    peak_bytes: int | None = None
    eager_peak_bytes: int | None = None
    distance: float | None = None
    quartiles: Mapping[str, tuple[float, float]] | None = None
    why: str = ""
    refused: str = ""

    def to_json(self) -> dict[str, Any]:
        found = asdict(self)
        return {"name": found.pop("name"), "shape": found.pop("shape"), "dtype": found.pop("dtype"),
                "pass": found.pop("pass_"), **found}  # fmt: skip


def timed_row(
    row: Row, seconds: Mapping[str, Mapping[str, Sequence[float]]], phase: str
) -> dict[str, Any]:
    """The times of a row by field, from the seconds of every variant and phase of a round."""
    own = {name: list(phases[phase]) for name, phases in seconds.items()}
    spreads = {name: spread(values) for name, values in own.items()}
    pairs = sorted(e / f for e, f in zip(own["eager"], own["fused"], strict=True))
    middle = len(pairs) // 2
    ratio = pairs[middle] if len(pairs) % 2 else (pairs[middle - 1] + pairs[middle]) / 2
    found: dict[str, Any] = {f"{name}_ms": s["median_ms"] for name, s in spreads.items()}
    found["quartiles"] = {name: (s["q1_ms"], s["q3_ms"]) for name, s in spreads.items()}
    return found | {"ratio": round(ratio, 3)}


def table(rows: Sequence[Row]) -> Table:
    """The rows for people."""
    from rich.table import Table

    made = Table(box=None, pad_edge=False)
    columns = ("name", "shape", "dtype", "pass", "eager", "compiled", "graphs", "fused", "eager/fused",
               "peak", "eager peak")  # fmt: skip
    kept = [c for c in columns if c not in ("compiled", "graphs") or any(_time(r, c) for r in rows)]
    for column in kept:
        made.add_column(column, justify="left" if column in columns[:4] else "right", no_wrap=True)
    for row in rows:
        cells = {"name": row.name, "shape": row.shape, "dtype": row.dtype, "pass": row.pass_}
        cells |= {c: _time(row, c) for c in ("eager", "compiled", "graphs", "fused")}
        cells["eager/fused"] = "-" if row.ratio is None else f"{row.ratio:.2f}x"
        cells |= {"peak": _size(row.peak_bytes), "eager peak": _size(row.eager_peak_bytes)}
        made.add_row(*(cells[column] for column in kept))
    return made


def _time(row: Row, name: str) -> str:
    value = getattr(row, f"{name}_ms")
    return "" if value is None else f"{value:.2f} ms"


def _size(count: int | None) -> str:
    return "" if count is None else f"{count / 2**20:.1f} MiB"
