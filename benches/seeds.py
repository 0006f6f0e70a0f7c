"""Networks of one spec trained alike under several seeds: test accuracies, their mean and spread.

    python -m benches.seeds residual_attention/digits --networks arl,nal --vary depth=1,2 --seeds 5

Every combination of networks and `--vary` values is one row. What the file given by `--json` already
has is not trained again, so that a long comparison can be stopped and gone on with.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import statistics
import time
from pathlib import Path
from typing import Any

import torch

from benches.rank import accuracy
from genolang.api import Spec, load
from genolang.files import write_json
from genolang.semantics.sections import train_settings
from genolang.semantics.settings import crop_size
from genolang.train.datasets import load_data

Row = dict[str, Any]


def combinations(networks: list[str], vary: dict[str, list[str]]) -> list[tuple[str, dict[str, Any]]]:
    """Every network with every combination of the varied parameters."""
    values = [[(name, json.loads(text)) for text in texts] for name, texts in vary.items()]
    return [(n, dict(picked)) for n in networks for picked in itertools.product(*values)]


def summary(row: Row) -> str:
    scores = list(row["test_accuracy"].values())
    spread = statistics.stdev(scores) if len(scores) > 1 else math.nan
    given = " ".join(f"{k}={v}" for k, v in row["set"].items())
    return (
        f"{row['network']:24} {given:20} {row['params']:9,} params  {statistics.mean(scores):.4f}"
        f" +- {spread:.4f}  of {len(scores)} seeds"
    )


def compare(
    spec: Spec,
    rows: list[Row],
    wanted: list[tuple[str, dict[str, Any]]],
    seeds: int,
    epochs: int | None,
    path: Path | None,
    about: dict[str, Any],
) -> list[Row]:
    """Train what is missing, writing after each training."""
    settings = train_settings(spec.checked.module.sections("train"), {"epochs": epochs} if epochs else {})
    data = load_data(settings.data, size=crop_size(settings.augment))
    known = {(row["network"], json.dumps(row["set"])): row for row in rows}
    found = []
    for seed in range(seeds):
        for network, given in wanted:
            program = spec.network(network, **given).program
            row = known.setdefault(
                (network, json.dumps(given)),
                {
                    "network": network,
                    "set": given,
                    "params": program.params,
                    "macs": program.block.macs[0],
                    "test_accuracy": {},
                    "seconds": 0.0,
                },
            )
            if row not in found:
                found.append(row)
            if str(seed) in row["test_accuracy"]:
                continue
            begun = time.perf_counter()
            row["test_accuracy"][str(seed)] = accuracy(program, settings, data, seed)
            row["seconds"] += time.perf_counter() - begun
            print(f"seed {seed}: {summary(row)}", flush=True)
            if path is not None:
                about |= {"epochs": settings.epochs, "data": settings.data, "rows": found}
                write_json(path, about)
    return found


def main() -> None:
    shown = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=shown)
    parser.add_argument("spec")
    parser.add_argument("--networks", required=True, help="names, with commas between")
    parser.add_argument("--vary", action="append", default=[], metavar="NAME=V,V,...")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    vary = {k: v.split(",") for k, v in (item.split("=", 1) for item in arguments.vary)}
    wanted = combinations(arguments.networks.split(","), vary)
    rows: list[Row] = []
    if arguments.json is not None and arguments.json.exists():
        rows = json.loads(arguments.json.read_text())["rows"]
    about = {"spec": arguments.spec, "torch": torch.__version__, "threads": 1}
    for row in compare(load(arguments.spec), rows, wanted, arguments.seeds, arguments.epochs, arguments.json, about):
        print(summary(row))


if __name__ == "__main__":
    main()
