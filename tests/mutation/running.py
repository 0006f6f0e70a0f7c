"""Runs the tests of a module against its mutants, each in a process of its own, in a copy of the tree.

The copy's module holds the fault for as long as its tests run; the tree itself is never written to. A process is
forked from one that has imported what the package needs and nothing of the package, so that a mutant costs its
tests and not torch.
"""

from __future__ import annotations

import difflib
import importlib
import json
import multiprocessing
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import hypothesis
import pytest

from tests.mutation.operators import Mutant, mutants, parses
from tests.mutation.recording import ROOT, Recording

THIRD_PARTY = (
    "click", "hypothesis", "lark", "networkx", "numpy", "rich.console", "safetensors.torch", "scipy.stats",
    "sklearn.datasets", "torch", "torch._dynamo", "torch._inductor.compile_fx", "torch.export", "xml.etree",
)  # fmt: skip
NOT_COPIED = (".git", ".venv", "runs", "__pycache__", ".*_cache", ".hypothesis", ".benchmarks")
MEMORY = 8 << 30
FORK = multiprocessing.get_context("fork")
# More names than this on one command line tell no more and take long to find.
TESTS = 300


@dataclass(frozen=True)
class Result:
    key: str
    module: str
    operator: str
    # "killed", "timed out", "alive", or "not called": no test of the recording calls the function.
    end: str
    diff: str


@dataclass(frozen=True)
class Task:
    module: str
    mutant: Mutant
    key: str
    tests: list[str]
    # What these tests take where nothing is wrong.
    seconds: float


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
    tests, total = [], 0.0
    for name in recording.for_function(module, mutant.scope):
        seconds = recording.tests[name].seconds
        if total + seconds <= budget and len(tests) < TESTS:
            tests.append(name)
            total += seconds
    return Task(module, mutant, mutant.key(module, (ROOT / module).read_text("utf-8")), tests, total)


def run(tasks: list[Task], into: Path, jobs: int) -> None:
    """Adds the result of each task to `into`, a line each."""
    for name in THIRD_PARTY:
        importlib.import_module(name)
    into.parent.mkdir(parents=True, exist_ok=True)
    workers = [FORK.Process(target=_work, args=(tasks[i::jobs], into)) for i in range(jobs)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
        if worker.exitcode:
            raise SystemExit(worker.exitcode)


def _work(tasks: list[Task], into: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="genolang-mutants-") as folder:
        copy = Path(folder) / "tree"
        shutil.copytree(ROOT, copy, symlinks=True, ignore=shutil.ignore_patterns(*NOT_COPIED))
        there = _collected(copy, {name.partition("::")[0] for task in tasks for name in task.tests})
        for task in tasks:
            result = _result(copy, task, [name for name in task.tests if name in there])
            with into.open("a", encoding="utf-8") as file:
                file.write(json.dumps(asdict(result)) + "\n")
            print(".t"[result.end == "timed out"] if result.end in ("killed", "timed out")
                  else f"\n{result.end}: {result.operator}\n{result.diff}", end="", flush=True)  # fmt: skip


def _result(copy: Path, task: Task, tests: list[str]) -> Result:
    path = copy / task.module
    source = path.read_text("utf-8")
    changed = task.mutant.apply(source)
    diff = "".join(difflib.unified_diff(
        source.splitlines(True), changed.splitlines(True), task.module, task.module, n=1
    ))  # fmt: skip
    if not tests:
        return Result(task.key, task.module, task.mutant.operator, "not called", diff)
    try:
        _write(path, changed)
        end = _end(copy, tests, task.seconds)
    finally:
        _write(path, source)
    return Result(task.key, task.module, task.mutant.operator, end, diff)


def _write(path: Path, text: str) -> None:
    """Writes a module, and drops what was compiled of it: two texts of a size within a second look the same."""
    path.write_text(text, "utf-8")
    for compiled in (path.parent / "__pycache__").glob(f"{path.stem}.*.pyc"):
        compiled.unlink()


def _end(copy: Path, tests: list[str], seconds: float) -> str:
    limit = 15 + 3 * seconds
    process = FORK.Process(target=_tests, args=(copy, ["-x", *tests], int(limit)))
    process.start()
    process.join(3 * limit)
    if process.exitcode is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid or 0, signal.SIGKILL)
        process.join()
        return "timed out"
    if process.exitcode == -signal.SIGXCPU:
        return "timed out"
    return "alive" if process.exitcode in (0, pytest.ExitCode.NO_TESTS_COLLECTED) else "killed"


def _collected(copy: Path, files: Iterable[str]) -> set[str]:
    """The tests that are still there: a name that pytest does not know would end like a test that fails."""
    into = copy.parent / "collected"
    process = FORK.Process(target=_tests, args=(copy, ["--collect-only", *sorted(files)], 600, into))
    process.start()
    process.join()
    if process.exitcode:
        raise SystemExit(f"tests cannot be collected:\n{into.read_text('utf-8')[-2000:]}")
    return {line for line in into.read_text("utf-8").splitlines() if "::" in line}


def _tests(copy: Path, arguments: list[str], limit: int, into: Path | None = None) -> None:
    """Runs pytest in the copy and ends this process with its code."""
    os.setpgrp()
    resource.setrlimit(resource.RLIMIT_CPU, (limit, limit + 5))
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))
    output = os.open(into or os.devnull, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.chdir(copy)
    os.environ["PYTHONPATH"] = str(copy)
    sys.path[:] = [str(copy), *(path for path in sys.path if Path(path or ".").resolve() not in (ROOT, copy))]
    for name in [name for name in sys.modules if name.partition(".")[0] in ("genolang", "tests")]:
        del sys.modules[name]
    # A failure is as good as its smallest example.
    phases = (hypothesis.Phase.explicit, hypothesis.Phase.generate)
    hypothesis.settings.register_profile("mutation", phases=phases)
    hypothesis.settings.load_profile("mutation")
    code = pytest.main([
        "-o", "addopts=-q --import-mode=importlib", "--tb=no", "-p", "no:cacheprovider", "-p", "no:xdist",
        "-W", "ignore::pytest.PytestAssertRewriteWarning", "-m", "not soak", *arguments,
    ])  # fmt: skip
    sys.stdout.flush()
    os._exit(int(code))
