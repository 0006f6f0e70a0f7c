"""`genoc bench`: fused against eager, checked first, timed in turn."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from genolang.cli.options import json_option, network_option, set_option

if TYPE_CHECKING:
    from genolang.bench.rows import Row
    from genolang.bench.subject import Subject

SUPERNETS = ("darts/search", "att_darts/search")


@click.command("bench")
@click.argument("subject", default="kernels")
@network_option
@click.option("--device", default="auto", show_default=True, help="cpu, cuda or auto.")
@click.option("--batch", "batches", type=click.IntRange(1), multiple=True,
              help="Images per step; may be repeated.")
@click.option("--rounds", default=9, show_default=True, type=click.IntRange(2),
              help="How often each form runs.")
@click.option("--compiled", is_flag=True, help="Time torch.compile too, on a GPU also with CUDA graphs.")
@click.option("--threads", type=click.IntRange(1), help="Threads on the CPU; by default torch's.")
@click.option("--small", is_flag=True, help="Tiny shapes, to see that everything runs.")
@click.option("-o", "--output", type=click.Path(dir_okay=False, path_type=Path),
              help="Write the rows here as JSON.")
@set_option("Change a parameter of the network: --set channels=16.")
@json_option
def bench(
    subject: str, network: str | None, device: str, batches: tuple[int, ...], rounds: int, compiled: bool,
    threads: int | None, small: bool, output: Path | None, values: dict[str, str], as_json: bool,
) -> None:  # fmt: skip
    """Time fused kernels, supernets or a network of a spec against plain PyTorch.

    Every form is compared with the plain one first; one that computes something else is not timed.

    \b
    genoc bench kernels
    genoc bench supernet --batch 8
    genoc bench darts/v2 --network cifar --batch 1 --batch 32
    """
    import torch

    from genolang.cli.output import fail_with, print_json
    from genolang.cli.runs import choose_device
    from genolang.diagnostics import GenoError

    try:
        target = choose_device(device)
        if threads is not None:
            torch.set_num_threads(threads)
        forms = () if not compiled else ("compiled", "graphs") if target.type == "cuda" else ("compiled",)
        subjects = _subjects(subject, network, target, batches, forms, values, small)
        rows = [row for one in subjects for row in _told(one, rounds, as_json)]
    except GenoError as error:
        fail_with(error, as_json)
    if output is not None:
        _write(output, rows, target)
    if as_json:
        for row in rows:
            print_json(row.to_json())
    else:
        _show(rows)
    if any(row.refused for row in rows):
        sys.exit(1)


def _subjects(
    what: str, name: str | None, device: object, batches: tuple[int, ...], forms: tuple[str, ...],
    values: dict[str, str], small: bool,
) -> list[Subject]:  # fmt: skip
    import torch

    from genolang.api import load
    from genolang.bench.kernels import kernel_subjects
    from genolang.bench.networks import network_subjects

    assert isinstance(device, torch.device)
    if what == "kernels":
        dtypes = [torch.float32] if device.type == "cpu" else [torch.float32, torch.bfloat16]
        return list(kernel_subjects(device, dtypes, forms, small=small))
    if what == "supernet":
        sizes: dict[str, Any] = {"channels": 4, "depth": 2} if small else {}
        batch = batches or ((2,) if small else (64,) if device.type == "cuda" else (8,))
        nets = {spec: load(spec).network(None, **(sizes | values)) for spec in SUPERNETS}
        return [subject for spec, net in nets.items()
                for subject in network_subjects(net, batch, device, forms, name=spec)]  # fmt: skip
    return network_subjects(load(what).network(name, **values), batches or (1, 32), device, forms)


def _told(subject: Subject, rounds: int, as_json: bool) -> list[Row]:
    if not as_json:
        print(f"{subject.name}, {subject.shape} ...", file=sys.stderr)
    return subject.measure(rounds)


def _show(rows: list[Row]) -> None:
    from rich.console import Console

    from genolang.bench.rows import table

    timed = [row for row in rows if not row.refused]
    console = Console(width=None if sys.stdout.isatty() else 160)
    if timed:
        console.print(table(timed))
    for row in rows:
        if row.refused:
            print(f"{row.name}, {row.shape}: not timed: {row.refused}")


def _write(path: Path, rows: list[Row], device: object) -> None:
    import torch

    from genolang.bench.interleaved import environment, write_json

    assert isinstance(device, torch.device)
    write_json(path, {"environment": environment(device), "rows": [row.to_json() for row in rows]})
