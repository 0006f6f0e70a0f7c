"""How good is a found spec? Its test accuracy among random answers of the same space, trained alike.

python -m benches.rank quickstart runs/quickstart/search/found.geno --json benches/results/rank.json
python -m benches.rank apnas/clutter apnas/found:clutter_unit --beside apnas/found:clutter_se
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import time
from pathlib import Path
from typing import Any

import torch

from genolang.api import load
from genolang.compiler import driver
from genolang.search.space import random_genotype
from genolang.search.writeback import discrete_program
from genolang.semantics.program import Program
from genolang.semantics.sections import train_settings
from genolang.semantics.settings import TrainSettings, crop_size
from genolang.train.datasets import Dataset, load_data
from genolang.train.phase import Phase
from genolang.train.training import train_network


def accuracy(program: Program, settings: TrainSettings, data: Dataset, seed: int) -> float:
    """Test accuracy of the best weights of a training from scratch."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        module = driver.to_module(program)
    result = train_network(module, settings, data, Phase(seed, torch.device("cpu")))
    assert result.test_accuracy is not None
    return result.test_accuracy


def named(text: str) -> Program:
    """The network of `spec` or `spec:network`."""
    spec, _, network = text.partition(":")
    return load(spec).network(network or None).program


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("space")
    parser.add_argument("found")
    parser.add_argument("--beside", action="append", default=[], metavar="SPEC:NETWORK")
    parser.add_argument("--random", type=int, default=10)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    space = load(arguments.space)
    settings = train_settings(
        space.checked.module.sections("train"), {"epochs": arguments.epochs} if arguments.epochs else {}
    )
    data = load_data(settings.data, size=crop_size(settings.augment))
    program = space.network().program
    generator = random.Random(0)
    programs = {"found": named(arguments.found)}
    programs |= {text: named(text) for text in arguments.beside}
    for number in range(arguments.random):
        genotype = random_genotype(program, generator)
        programs[f"random {number}"] = discrete_program(space.checked, program, genotype, {})
    rows: list[dict[str, Any]] = []
    for name, candidate in programs.items():
        begun = time.perf_counter()
        scores = [accuracy(candidate, settings, data, seed) for seed in range(arguments.seeds)]
        rows.append(
            {
                "name": name,
                "params": candidate.params,
                "test_accuracy": scores,
                "mean": statistics.mean(scores),
                "seconds": time.perf_counter() - begun,
            }
        )
        print(f"{name:10} {candidate.params:7,}  {statistics.mean(scores):.4f}  {scores}", flush=True)
    mean = rows[0]["mean"]
    rivals = [row for row in rows if row["name"].startswith("random ")]
    better = sum(row["mean"] > mean for row in rivals)
    summary = {
        "space": arguments.space,
        "epochs": settings.epochs,
        "data": settings.data,
        "rows": rows,
        "rank": better + 1,
        "of": len(rivals) + 1,
        "random_mean": statistics.mean(row["mean"] for row in rivals),
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
    }
    print(f"rank {better + 1} of {len(rivals) + 1}; mean of random {summary['random_mean']:.4f}")
    if arguments.json:
        arguments.json.parent.mkdir(parents=True, exist_ok=True)
        arguments.json.write_text(json.dumps(summary, indent=1) + "\n")


if __name__ == "__main__":
    main()
