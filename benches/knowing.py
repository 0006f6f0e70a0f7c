"""Does a supernet know which schemes are good? Its accuracies beside those of schemes trained from scratch.

    genoc study correlation benches/spaces/slots.geno --network searched --count 24 --json > pairs.json
    python -m benches.knowing benches/spaces/slots.geno pairs.json --network searched

The study trains schemes from scratch, once. Here a supernet is trained under every seed and measures the same
schemes, with stored statistics and with fresh ones of several numbers of batches.
"""

from __future__ import annotations

import argparse
import json
import statistics
from pathlib import Path
from typing import Any

import torch

from genolang.api import load
from genolang.search.evaluator import Evaluator
from genolang.search.halves import Halves
from genolang.search.normalising import FreshStatistics
from genolang.search.schemes import SchemeSpace
from genolang.search.score import fresh_module
from genolang.search.significance import correlation
from genolang.search.supernet import train_supernet
from genolang.semantics.sections import search_settings
from genolang.train.datasets import load_data
from genolang.train.phase import Phase

CPU = torch.device("cpu")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("spec")
    parser.add_argument("pairs", type=Path)
    parser.add_argument("--network")
    parser.add_argument("--batches", type=int, nargs="+", default=[0, 4, 16], help="0 for stored statistics")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    spec = load(arguments.spec)
    program = spec.network(arguments.network).program
    settings = search_settings(spec.checked.module.sections("search"), {})
    data, space = load_data(settings.data), SchemeSpace(program)
    halves = Halves(settings, data, CPU)
    pairs = json.loads(arguments.pairs.read_text())["pairs"]
    schemes = [space.parse(text) for text, _, _ in pairs]
    scratch = [score for _, _, score in pairs]
    rows: list[dict[str, Any]] = []
    for seed in range(arguments.seeds):
        module = fresh_module(program, Phase(seed, CPU))
        train_supernet(module, space, settings, data, Phase(seed, CPU))
        row: dict[str, Any] = {"seed": seed}
        for batches in arguments.batches:
            fresh = FreshStatistics(module, halves, seed, batches) if batches else None
            evaluator = Evaluator(module, space, halves, 1.0, 0.0, fresh)
            inside = [evaluator(scheme).accuracy for scheme in schemes]
            found = correlation(inside, scratch)
            row[str(batches)] = {"accuracies": inside, "pearson": found.pearson, "spearman": found.spearman}
        rows.append(row)
        print(row, flush=True)
    summary = {
        str(batches): {
            "spread": statistics.mean(statistics.stdev(row[str(batches)]["accuracies"]) for row in rows),
            "pearson": statistics.mean(row[str(batches)]["pearson"] for row in rows),
            "spearman": statistics.mean(row[str(batches)]["spearman"] for row in rows),
        }
        for batches in arguments.batches
    }
    print(json.dumps(summary))
    if arguments.json:
        found_all = {
            "spec": arguments.spec,
            "summary": summary,
            "scratch_spread": statistics.stdev(scratch),
            "rows": rows,
            "pairs": pairs,
        }
        arguments.json.write_text(json.dumps(found_all, indent=1) + "\n")


if __name__ == "__main__":
    main()
