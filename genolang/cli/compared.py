"""What `genoc search --method all` writes and prints: an answer per method, and their table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from genolang.cli.answers import origin, write_answer

if TYPE_CHECKING:
    from genolang.cli.request import Request
    from genolang.search.comparison import Answer, Comparison
    from genolang.semantics.check import Checked
    from genolang.semantics.program import Program
    from genolang.semantics.settings import SearchSettings
    from genolang.train.run_folder import RunFolder


def write_comparison(
    request: Request,
    checked: Checked,
    program: Program,
    given: Mapping[str, Any],
    settings: SearchSettings,
    result: Comparison,
    run: RunFolder,
) -> dict[str, Any]:
    """Writes `found-METHOD.geno` for every method, `found.geno` for the best score, and metrics."""
    from genolang.search.comparison import REFERENCES

    rows = [_row(answer, result) for answer in result.answers]
    for answer, row in zip(result.answers, rows, strict=True):
        if answer.label in REFERENCES:
            continue
        header = [
            f"found by: {answer.method} seed {settings.seed}, supernet of {settings.epochs} epochs,"
            f" score {answer.score:.4f}",
            *origin(request, checked, settings),
        ]
        names = [f"found-{answer.label}.geno", *(["found.geno"] if answer is result.best else [])]
        for name in names:
            write_answer(Path(run.path) / name, checked, program, answer.genotype, given, header)
        row["found"] = str(Path(run.path) / names[0])
    found = {
        "found": str(Path(run.path) / "found.geno"),
        "score": result.best.score,
        "best": result.best.label,
        "methods": rows,
        "supernet_seconds": result.supernet_seconds,
        "plain_seconds": result.plain_seconds,
        "seconds": result.seconds,
        "run": str(run.path),
        "spread": result.spread,
        "verdicts": [one.to_json() for one in result.verdicts],
        "warnings": [asdict(one) for one in result.signs],
    }
    run.write_metrics({**found, "seed": settings.seed})
    said = [
        *(one.sentence for one in result.verdicts),
        *(f"warning: {one.text}" for one in result.signs),
        f"wrote {found['found']}, and one per method",
    ]
    return found | {"summary": [*table(rows, result.slots), *said]}


def _row(answer: Answer, result: Comparison) -> dict[str, Any]:
    return {
        "method": answer.method,
        "label": answer.label,
        "score": answer.score,
        "supernet_accuracy": answer.supernet_accuracy,
        "time_increment": answer.increment.median,
        "time_increment_quartiles": [answer.increment.low, answer.increment.high],
        "connections": answer.connections,
        "slots": result.slots,
        "params": answer.params,
        "macs": answer.macs,
        "seconds": answer.seconds,
        "evaluations": answer.evaluations,
        "schemes": answer.schemes,
    }


def table(rows: list[dict[str, Any]], slots: int) -> list[str]:
    """The rows as text: accuracy and relative increment of inference time, as in the paper's table."""
    heads = ("method", "accuracy", "time increment", "connections", "parameters", "MACs", "schemes", "seconds")
    cells = [heads]
    for row in rows:
        low, high = row["time_increment_quartiles"]
        cells.append(
            (
                row["method"],
                f"{row['score']:.4f}",
                f"{row['time_increment']:+.1%} ({low:+.1%} to {high:+.1%})",
                f"{row['connections']}/{slots}" if slots else "-",
                f"{row['params']:,}",
                f"{row['macs']:,}",
                f"{row['schemes']} of {row['evaluations']}" if row["evaluations"] else "-",
                f"{row['seconds']:.1f}",
            )
        )
    widths = [max(len(line[column]) for line in cells) for column in range(len(heads))]
    return [
        "  ".join(
            text.ljust(width) if column == 0 else text.rjust(width)
            for column, (text, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in cells
    ]
