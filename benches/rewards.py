"""What a supernet's rewards are worth, with stored and with fresh batch-norm statistics; EAN's controller.

    python -m benches.rewards benches/spaces/slots.geno --network searched
    python -m benches.rewards ean/clutter --network se_search --set width=4 --epochs 12 --no-search

Under every seed a supernet is trained. A fixed set of random schemes is measured in it both ways: how far
the accuracies lie apart, and how far two supernets agree on them (Pearson's r, Spearman's rho over every
pair of seeds). In each supernet EAN's controller searches, and its answer is trained from scratch beside a
random scheme with as many connections, under the same seed.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Mapping
from dataclasses import asdict, replace
from itertools import combinations
from pathlib import Path
from typing import Any

import torch

from genolang.api import load
from genolang.search.evaluator import Evaluator
from genolang.search.halves import Halves
from genolang.search.normalising import FreshStatistics
from genolang.search.schemes import Scheme, SchemeSpace
from genolang.search.score import accuracy_of, fresh_module, train_score
from genolang.search.significance import correlation, welch
from genolang.search.strategies import STRATEGIES
from genolang.search.strategy import Logits
from genolang.search.supernet import train_supernet
from genolang.search.writeback import discrete_program
from genolang.semantics.methods import EAN_TEXT, EanSettings
from genolang.semantics.sections import search_settings
from genolang.train.batches import generator_for
from genolang.train.datasets import load_data
from genolang.train.phase import Phase
from genolang.train.state import copies

CPU = torch.device("cpu")
KINDS = ("stored", "fresh")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("spec")
    parser.add_argument("--network")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="of the network")
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--score-epochs", type=int)
    parser.add_argument("--batches", type=int, default=4)
    parser.add_argument("--schemes", type=int, default=32)
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--no-search", action="store_true", help="measure schemes, search and train nothing")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    begun, study = time.perf_counter(), Study(arguments)
    rows = []
    for seed in range(arguments.seeds):
        rows.append(study.row(seed))
        found = {
            "spec": arguments.spec,
            "network": study.program.name,
            "torch": torch.__version__,
            "seconds": time.perf_counter() - begun,
            "schemes": study.texts,
            "rows": rows,
            "summary": summary(rows),
        }
        print(json.dumps(found["summary"]), flush=True)
        if arguments.json:
            arguments.json.write_text(json.dumps(found, indent=1) + "\n")


class Study:
    """A space, its data, and the schemes that every supernet is asked about."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        spec = load(arguments.spec)
        self.arguments, self.checked = arguments, spec.checked
        self.given = dict(text.split("=", 1) for text in arguments.set)
        self.program = spec.network(arguments.network, **self.given).program
        changes = {"epochs": arguments.epochs, "score_epochs": arguments.score_epochs}
        told = {key: value for key, value in changes.items() if value}
        self.settings = search_settings(spec.checked.module.sections("search"), told)
        self.data, self.space = load_data(self.settings.data), SchemeSpace(self.program)
        generator = generator_for("schemes of the study")
        self.schemes: dict[Scheme, None] = {}
        while len(self.schemes) < arguments.schemes:
            self.schemes.setdefault(self.space.draw(generator=generator))
        self.texts = [self.space.text(scheme) for scheme in self.schemes]

    def row(self, seed: int) -> dict[str, Any]:
        settings, found = self.settings, {"seed": seed}
        module = fresh_module(self.program, Phase(seed, CPU))
        train_supernet(module, self.space, settings, self.data, Phase(seed, CPU))
        weights = copies(module.state_dict())
        halves = Halves(settings, self.data, CPU)
        row: dict[str, Any] = found
        for kind in KINDS:
            batches = self.arguments.batches if kind == "fresh" else 0
            fresh = FreshStatistics(module, halves, seed, batches) if batches else None
            evaluator = Evaluator(module, self.space, halves, 1.0, 0.0, fresh)
            row[kind] = {"accuracies": [evaluator(scheme).accuracy for scheme in self.schemes]}
            for name, sampling in (("code", EanSettings()), ("text", EAN_TEXT)):
                if not self.arguments.no_search and (name == "code" or kind == "stored"):
                    steps = self.arguments.steps * (1 if name == "code" else 3)
                    told = replace(settings, method="ean", sampling=replace(sampling, steps=steps), statistics=batches)
                    module.load_state_dict(weights)
                    searched = STRATEGIES["ean"](module, told, self.data, Phase(seed, CPU), self.program, trained=True)
                    module.load_state_dict(weights)
                    row[kind][name] = self.scored(self.scheme_of(searched.logits), seed)
        return row

    def scheme_of(self, logits: Logits) -> Scheme:
        return tuple(row.index(max(row)) for rows in logits.values() for row in rows)

    def scored(self, scheme: Scheme, seed: int) -> dict[str, Any]:
        """A scheme and a random one with as many connections, trained alike."""
        other = self.space.draw_with(self.space.connections(scheme), generator_for("chance", seed))
        return {
            "scheme": self.space.text(scheme),
            "score": self.score(scheme, seed),
            "random": self.space.text(other),
            "random_score": self.score(other, seed),
        }

    def score(self, scheme: Scheme, seed: int) -> float:
        program = discrete_program(self.checked, self.program, self.space.genotype(scheme), self.given)
        return accuracy_of(train_score(program, self.settings, self.data, Phase(seed, CPU)))


def summary(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """The spread of the schemes' accuracies, the agreement of supernets, and answers against chance."""
    found: dict[str, Any] = {"seeds": len(rows)}
    for kind in KINDS:
        accuracies = [row[kind]["accuracies"] for row in rows]
        pairs = [correlation(*pair) for pair in combinations(accuracies, 2)]
        found[kind] = {
            "spread": statistics.mean(map(statistics.stdev, accuracies)),
            "accuracy": statistics.mean(map(statistics.mean, accuracies)),
            "pearson": _mean([pair.pearson for pair in pairs]),
            "spearman": _mean([pair.spearman for pair in pairs]),
        }
        for name in ("code", "text"):
            if name in rows[0][kind]:
                found[kind][name] = _against(rows, kind, name)
    return found


def _against(rows: list[dict[str, Any]], kind: str, name: str) -> Mapping[str, Any]:
    answers = [row[kind][name]["score"] for row in rows]
    chance = [row[kind][name]["random_score"] for row in rows]
    if len(rows) < 2:
        return {}
    ahead = sum(one > other for one, other in zip(answers, chance, strict=True))
    return asdict(welch(answers, chance)) | {"ahead_in": ahead}


def _mean(found: list[float | None]) -> float | None:
    known = [one for one in found if one is not None]
    return statistics.mean(known) if known else None


if __name__ == "__main__":
    main()
