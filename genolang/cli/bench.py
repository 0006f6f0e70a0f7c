"""`genoc bench`: fused against eager, checked first, timed in turn."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from genolang.cli.options import json_option, network_option, set_option

if TYPE_CHECKING:
    import torch

    from genolang.bench.asked import Asked
    from genolang.bench.rows import Row


@click.command("bench")
@click.argument("subject", default="kernels")
@network_option
@click.option("--device", default="auto", show_default=True, help="cpu, cuda or auto.")
@click.option("--batch", "batches", type=click.IntRange(1), multiple=True, help="Images per step; may be repeated.")
@click.option("--rounds", default=9, show_default=True, type=click.IntRange(2), help="How often each form is timed.")
@click.option("--compiled", is_flag=True, help="Time torch.compile too, on a GPU also with CUDA graphs.")
@click.option("--captured", is_flag=True, help="Time eager and fused also recorded as CUDA graphs.")
@click.option("--threads", type=click.IntRange(1), help="Threads on the CPU; by default torch's.")
@click.option(
    "--dtype",
    "dtypes",
    multiple=True,
    type=click.Choice(["float32", "bfloat16", "float16"]),
    help="Of kernels; may be repeated. By default float32, on a GPU also bfloat16.",
)
@click.option(
    "--only",
    multiple=True,
    metavar="TEXT",
    help="Kernels with this in their name and shape, or passes of this name; may be repeated.",
)
@click.option("--small", is_flag=True, help="Tiny shapes, to see that everything runs.")
@click.option("-o", "--output", type=click.Path(dir_okay=False, path_type=Path), help="Write the rows here as JSON.")
@click.option(
    "--plot", type=click.Path(dir_okay=False, path_type=Path), help="Draw the ratios with their quartiles here as SVG."
)
@set_option("Change a parameter of the network: --set channels=16.")
@json_option
def bench(
    subject: str,
    network: str | None,
    device: str,
    batches: tuple[int, ...],
    rounds: int,
    compiled: bool,
    captured: bool,
    threads: int | None,
    dtypes: tuple[str, ...],
    only: tuple[str, ...],
    small: bool,
    output: Path | None,
    plot: Path | None,
    values: dict[str, str],
    as_json: bool,
) -> None:
    """Time kernels, supernets, discrete networks or a network of a spec against plain PyTorch.

    Every form is compared with the plain one first; one that computes something else is not timed.
    `thresholds` times both choices wherever a size decides which one runs, `passes` a supernet's step
    with and without each pass of the compiler.

    \b
    genoc bench kernels --plot kernels.svg
    genoc bench supernet --batch 8
    genoc bench discrete --batch 1 --batch 32
    genoc bench thresholds
    genoc bench passes --set depth=3 --only layout
    genoc bench darts/v2 --network cifar --batch 1 --batch 32
    """
    import torch

    from genolang.bench.asked import Asked
    from genolang.cli.output import fail_with, print_json
    from genolang.cli.runs import choose_device
    from genolang.diagnostics import GenoError

    try:
        target = choose_device(device)
        if threads is not None:
            torch.set_num_threads(threads)
        extra = _extra(target, compiled, captured)
        asked = Asked(subject, target, network, batches, extra, values, small, dtypes, only)
        rows = _measure(asked, rounds, output, as_json)
        if plot is not None:
            _plot(plot, subject, rows, target)
    except GenoError as error:
        fail_with(error, as_json)
    if as_json:
        for row in rows:
            print_json(row.to_json())
    else:
        _show(rows)
    if any(row.refused for row in rows):
        sys.exit(1)


def _extra(device: torch.device, compiled: bool, captured: bool) -> tuple[str, ...]:
    """The competitors beside the plain form that are timed on this device."""
    found: tuple[str, ...] = ()
    if compiled:
        found += ("compiled", "compiled_graphs") if device.type == "cuda" else ("compiled",)
    if captured and device.type == "cuda":
        found += ("captured",)
    elif captured:
        print("CUDA graphs are a GPU's: on a CPU there is nothing to capture", file=sys.stderr)
    return found


def _measure(asked: Asked, rounds: int, output: Path | None, as_json: bool) -> list[Row]:
    """All rows, written after every subject: a long run that is ended early leaves what it has."""
    from genolang.bench.floors import measure_ceilings
    from genolang.bench.interleaved import environment, write_results

    ceilings = {str(dtype).removeprefix("torch."): measure_ceilings(asked.device, dtype) for dtype in asked.types}
    about = environment(asked.device) | {
        "subject": asked.what,
        "rounds": rounds,
        "ceilings": {name: one.to_json() for name, one in ceilings.items()},
    }
    rows: list[Row] = []
    for one in asked.subjects():
        if not as_json:
            print(f"{one.name}, {one.shape} ...", file=sys.stderr)
        rows += one.measure(rounds, ceilings[str(one.dtype).removeprefix("torch.")])
        if output is not None:
            write_results(output, about, [row.to_json() for row in rows])
    return rows


def _show(rows: list[Row]) -> None:
    from rich.console import Console

    from genolang.bench.rows import table

    timed = [row for row in rows if not row.refused]
    console = Console(width=None if sys.stdout.isatty() else 200)
    if timed:
        console.print(table(timed))
    for row in rows:
        if row.refused:
            print(f"{row.name}, {row.shape}: not timed: {row.refused}")
        elif row.failed and row.pass_ in ("both", "inference"):
            for form, reason in row.failed.items():
                print(f"{row.name}, {row.shape}: {form} left out: {reason}")


def _plot(path: Path, subject: str, rows: list[Row], device: torch.device) -> None:
    from genolang.cli.reporting.ratios import Interval, ratio_chart
    from genolang.files import write_text

    found = []
    for row in rows:
        if row.pass_ not in ("both", "inference") or row.refused:
            continue
        name = f"{row.name} {row.shape}" + ("" if row.dtype == "float32" else f" {row.dtype}")
        found.append(
            (
                name,
                {
                    form: Interval(one["ratio"]["q1"], one["ratio"]["median"], one["ratio"]["q3"])
                    for form, one in row.forms.items()
                    if form != "eager"
                },
            )
        )
    if found:
        title = f"{subject} on {device.type}: plain PyTorch's time over that of each form"
        write_text(path, ratio_chart(title, found))
