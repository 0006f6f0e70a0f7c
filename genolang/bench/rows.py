"""One measurement in several forms, as JSON and as a table."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

from genolang.bench.interleaved import ratios, spread

if TYPE_CHECKING:
    from rich.table import Table


@dataclass(frozen=True, slots=True)
class Row:
    """Times of one pass (`forward`, `backward`, `both`, or `inference` without gradients) in milliseconds.

    `eager` is the plain reference, `fused` ours, `compiled` the reference under torch.compile; medians
    over the rounds, None where not measured. `ratio` is eager over fused, the median over rounds.
    `peak_bytes` is the most memory that ours held above its inputs and weights. `forms` has by form
    `median_ms`, `q1_ms`, `q3_ms`, `min_ms`; `ratio` (eager over it: `median`, `q1`, `q3`, `of_minima`)
    and `processor_ratio`, the same of the processor's time; `peak_bytes`; `first_s`, the seconds of its
    making and first run, compilation included; and where the least `bytes` are known `bytes_per_s` and
    `of_floor`, the share of its time that the floor is, above 1 where data stayed in the cache.
    `distance` is how far fused is from eager; `failed` says why forms were left out, `refused` why nothing
    was timed.
    """

    name: str
    shape: str
    dtype: str
    pass_: str
    eager_ms: float | None = None
    compiled_ms: float | None = None
    fused_ms: float | None = None
    ratio: float | None = None
    peak_bytes: int | None = None
    forms: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    bytes: int | None = None
    floor_ms: float | None = None
    floor_by: str = ""
    distance: float | None = None
    why: str = ""
    failed: Mapping[str, str] = field(default_factory=dict)
    refused: str = ""

    def to_json(self) -> dict[str, Any]:
        found = asdict(self)
        return {
            "name": found.pop("name"),
            "shape": found.pop("shape"),
            "dtype": found.pop("dtype"),
            "pass": found.pop("pass_"),
            **found,
        }


@dataclass(frozen=True, slots=True)
class Measured:
    """Seconds of one form by round, of the wall clock and of the processor; bytes; first seconds."""

    wall: Sequence[float]
    busy: Sequence[float] | None
    peak: int | None
    first: float | None


def timed_row(base: Row, measured: Mapping[str, Measured], least: Mapping[str, Any] | None) -> Row:
    """The row of one pass, from what was measured of every form."""
    eager = measured["eager"]
    forms: dict[str, dict[str, Any]] = {}
    for name, one in measured.items():
        found: dict[str, Any] = spread(one.wall) | {"ratio": ratios(eager.wall, one.wall)}
        if one.busy is not None and eager.busy is not None and min(one.busy) > 0:
            found["processor_ratio"] = ratios(eager.busy, one.busy)
        if one.peak is not None:
            found["peak_bytes"] = one.peak
        if one.first is not None:
            found["first_s"] = round(one.first, 3)
        if least is not None:
            seconds = statistics.median(one.wall)
            found["bytes_per_s"] = float(f"{least['bytes'] / seconds:.4g}")
            found["of_floor"] = round(least["floor_ms"] / 1000 / seconds, 3)
        forms[name] = found
    compiled = forms.get("compiled", {})
    return replace(
        base,
        forms=forms,
        eager_ms=forms["eager"]["median_ms"],
        compiled_ms=compiled.get("median_ms"),
        fused_ms=forms["fused"]["median_ms"],
        ratio=forms["fused"]["ratio"]["median"],
        peak_bytes=forms["fused"].get("peak_bytes"),
        **(least or {}),
    )


def table(rows: Sequence[Row]) -> Table:
    """The rows for people: of every form but fused the median, of fused also how it compares."""
    from rich.table import Table

    made = Table(box=None, pad_edge=False)
    others = list(dict.fromkeys(name for row in rows for name in row.forms if name != "fused"))
    words = ["name", "shape", "dtype", "pass"]
    columns = [*words, *others, "fused", "eager/fused", "GB/s", "of floor", "peak", "eager peak", "compiling"]
    cells = [_cells(row) for row in rows]
    kept = [c for c in columns if c in words or any(row.get(c) for row in cells)]
    for column in kept:
        made.add_column(
            column.replace("_", " "), justify="left" if column in words else "right", no_wrap=column not in words
        )
    for row in cells:
        made.add_row(*(row.get(column, "") for column in kept))
    return made


def _cells(row: Row) -> dict[str, str]:
    found = {"name": row.name, "shape": row.shape, "dtype": row.dtype, "pass": row.pass_}
    found |= {name: f"{one['median_ms']:.4g} ms" for name, one in row.forms.items()}
    fused, eager = row.forms["fused"], row.forms["eager"]
    ratio = fused["ratio"]
    found["eager/fused"] = f"{ratio['median']:.2f}x ({ratio['q1']:.2f}-{ratio['q3']:.2f})"
    if "of_floor" in fused:
        found["GB/s"] = f"{fused['bytes_per_s'] / 1e9:.4g}"
        found["of floor"] = f"{100 * fused['of_floor']:.0f} % ({row.floor_by})"
    if "peak_bytes" in fused:
        found["peak"], found["eager peak"] = (_size(one["peak_bytes"]) for one in (fused, eager))
    if "first_s" in row.forms.get("compiled", {}):
        found["compiling"] = f"{row.forms['compiled']['first_s']:.1f} s"
    return found


def _size(count: int) -> str:
    return f"{count / 2**20:.1f} MiB"
