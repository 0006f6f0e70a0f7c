"""Which faults to plant, and which tests to ask about each."""

from __future__ import annotations

import random
from collections.abc import Iterable

from tests.mutation.operators import Mutant, mutants, parses
from tests.mutation.recording import ROOT, Recording
from tests.mutation.running import Task

# More tests than this tell no more.
TESTS = 300


def modules(names: Iterable[str]) -> list[str]:
    """The modules that are named, by file or by folder, as paths from the root."""
    found = []
    for name in names:
        path = ROOT / name
        files = sorted(path.rglob("*.py")) if path.is_dir() else [path]
        found += [str(file.relative_to(ROOT)) for file in files]
    return found


def sample(module: str, count: int, seed: int) -> list[Mutant]:
    """`count` mutants of a module, the same for a seed while the module stays."""
    source = (ROOT / module).read_text("utf-8")
    every = mutants(source)
    random.Random(f"{seed}:{module}").shuffle(every)
    kept: list[Mutant] = []
    for mutant in every:
        if len(kept) == count:
            break
        if parses(source, mutant):
            kept.append(mutant)
    return kept


def task(module: str, mutant: Mutant, recording: Recording, budget: float) -> Task:
    """The tests to run on a mutant: in their order, for as long as they fit into `budget` seconds."""
    tests: list[str] = []
    total = 0.0
    names = recording.for_import(module) if mutant.on_import else recording.for_function(module, mutant.scope)
    for name in names:
        seconds = recording.tests[name].seconds
        if total + seconds <= budget and len(tests) < TESTS:
            tests.append(name)
            total += seconds
    return Task(mutant.key(module, (ROOT / module).read_text("utf-8")), module, mutant, tests, total)
