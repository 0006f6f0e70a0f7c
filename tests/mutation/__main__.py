"""`make mutants`: how many small faults in a module do its tests notice?

python -m tests.mutation record [TESTS]     which tests call what; the named ones are recorded anew
python -m tests.mutation run MODULES        plants faults, and says which ones live
python -m tests.mutation table              the figures so far, by module, and the faults that live
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

from tests.mutation.recording import INTO, ROOT, Recording
from tests.mutation.running import Result, run
from tests.mutation.sampling import modules, sample, task

FOLDER = ROOT / "runs" / "mutants"
PACKAGES = [f"genolang/{name}" for name in ("lang", "semantics", "compiler", "search")]


def results(folder: Path) -> dict[str, Result]:
    """The last result of each mutant."""
    path = folder / "results.jsonl"
    lines = path.read_text("utf-8").splitlines() if path.exists() else []
    return {result.key: result for result in (Result(**json.loads(line)) for line in lines)}


def table(found: list[Result]) -> str:
    """Figures by module and by package."""
    ends: dict[str, Counter[str]] = {}
    for result in sorted(found, key=lambda result: result.module):
        package = "/".join(result.module.split("/")[:2])
        for row in (result.module, package):
            ends.setdefault(row, Counter())[result.end] += 1
    lines = ["| module | mutants | killed | timed out | alive | not called | |", "|---|--:|--:|--:|--:|--:|--:|"]
    for row in sorted(ends):
        end = ends[row]
        total = end.total()
        share = f"{100 * (end['killed'] + end['timed out']) / total:.0f} %"
        counts = (total, end["killed"], end["timed out"], end["alive"], end["not called"], share)
        lines.append(f"| `{row}` | " + " | ".join(map(str, counts)) + " |")
    return "\n".join(lines)


def record(tests: list[str], folder: Path) -> int:
    command = [sys.executable, "-m", "pytest", "-p", "tests.mutation.recording", "-m", "not soak", *tests]
    return subprocess.run(command, cwd=ROOT, env={**os.environ, INTO: str(folder / "calls.json")}).returncode


def main() -> int:
    about = argparse.ArgumentParser(
        prog="python -m tests.mutation", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    about.add_argument("what", choices=("record", "run", "table"))
    about.add_argument("names", nargs="*", help="modules or folders of them; tests where calls are recorded")
    about.add_argument("--per-module", type=int, default=20, help="how many mutants of each module")
    about.add_argument("--seed", type=int, default=0, help="which ones")
    about.add_argument("--seconds", type=float, default=20, help="how long the tests of one mutant may take")
    about.add_argument("--jobs", type=int, default=2, help="how many at a time")
    about.add_argument("--again", action="store_true", help="those that lived are run again")
    about.add_argument("--folder", type=Path, default=FOLDER, help="where calls and results are kept")
    given = about.parse_args()
    if given.what == "record":
        return record(given.names, given.folder)
    names = modules(given.names or PACKAGES)
    if given.what == "run":
        recording = Recording.read(given.folder / "calls.json")
        if not recording.tests:
            raise SystemExit("nothing is recorded: python -m tests.mutation record")
        known = results(given.folder)
        every = [
            task(name, mutant, recording, given.seconds)
            for name in names
            for mutant in sample(name, given.per_module, given.seed)
        ]
        done = {key for key, result in known.items() if not given.again or result.end in ("killed", "timed out")}
        run([task for task in every if task.key not in done], given.folder / "results.jsonl", given.jobs)
    found = [result for result in results(given.folder).values() if result.module in names]
    if given.what == "table":
        for result in found:
            if result.end in ("alive", "not called"):
                print(f"{result.end}: {result.operator}\n{result.diff}")
    print("\n" + table(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
