"""Attention residual learning, (1 + M) * T, against naive learning, M * T, as modules are stacked.

Source: Wang et al., Residual Attention Network (2017), section 3.1; here on 32x32 cluttered digits.

    python -m benches.arl_nal --json benches/results/arl-nal.json
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from pathlib import Path

import torch

from benches.rank import accuracy
from genolang.api import load
from genolang.semantics.sections import train_settings
from genolang.train.datasets import load_data


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--modules", type=int, nargs="+", default=[1, 2, 4], help="in each of two stages")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--batch", type=int)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    spec = load("residual_attention/digits")
    changes = {k: v for k in ("epochs", "batch") if (v := getattr(arguments, k))}
    settings = train_settings(spec.checked.module.sections("train"), changes)
    data = load_data(settings.data)
    rows = []
    for modules in arguments.modules:
        for learn in ("residual", "naive"):
            program = spec.network(m=modules, learn=learn).program
            begun = time.process_time()
            scores = [accuracy(program, settings, data, seed) for seed in range(arguments.seeds)]
            rows.append(
                {
                    "modules": modules,
                    "trunk_depth": 24 * modules + 8,
                    "learn": learn,
                    "params": program.params,
                    "test_accuracy": scores,
                    "mean": statistics.mean(scores),
                    "deviation": statistics.stdev(scores) if len(scores) > 1 else None,
                    "processor_seconds": time.process_time() - begun,
                }
            )
            print(f"{24 * modules + 8:4} {learn:9} {rows[-1]['mean']:.4f}  {scores}", flush=True)
    summary = {
        "spec": "residual_attention/digits",
        "data": settings.data,
        "epochs": settings.epochs,
        "batch": settings.batch,
        "rows": rows,
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
    }
    if arguments.json:
        arguments.json.parent.mkdir(parents=True, exist_ok=True)
        arguments.json.write_text(json.dumps(summary, indent=1) + "\n")


if __name__ == "__main__":
    main()
