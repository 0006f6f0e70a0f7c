"""Tiny runs that are killed again and again: `python killed_search.py KIND FOLDER KILLS SEED`.

In FOLDER/straight one goes through at once. In FOLDER/killed every sitting is a forked child, which starts
at once; SIGKILL, Ctrl-C or SIGTERM meets it after a drawn number of steps or a drawn time, so also within
its writes. The last sitting is left alone. It prints how many were stopped before their end.
"""

from __future__ import annotations

import json
import os
import random
import select
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from search.slot_space import SLOTS, TWELVE, settings_for
from search.timeless import timeless
from search.tiny_space import COMMAND, CPU, SETTINGS, TEXT, checked_text, small_digits

from genolang.diagnostics import GenoError
from genolang.files import write_atomically
from genolang.search import comparison, timing
from genolang.search.comparison import run_comparison
from genolang.search.job import Job
from genolang.search.search import run_search
from genolang.search.studies import study_correlation, study_schemes
from genolang.search.writeback import discrete_text
from genolang.semantics.check import expand_network
from genolang.semantics.methods import AllSettings, HeuristicSettings, Method
from genolang.semantics.settings import SearchSettings
from genolang.train.phase import Phase
from genolang.train.reporter import SilentReporter
from genolang.train.run_folder import RunFolder

Answer = tuple[dict[str, Any], dict[str, Any]]
"""What a run answers, as JSON, and by their labels the genotypes that it found."""

DARTS = replace(SETTINGS, order=2, epochs=4, score_epochs=2)
METHODS = (
    Method("ean", sampling=TWELVE["ean"]),
    Method("darts"),
    Method("heuristic", sampling=HeuristicSettings(3, 1)),
)
ALL = replace(SETTINGS, method="all", sampling=AllSettings(6, METHODS), epochs=2, score_epochs=1)


class TellSteps(SilentReporter):
    def __init__(self, pipe: int) -> None:
        self.pipe = pipe

    def step_done(self, step: int, steps: int, loss: float) -> None:
        os.write(self.pipe, b".")


def phase_of(run: RunFolder, reporter: SilentReporter) -> Phase:
    return Phase(3, CPU, run, resume=True, reporter=reporter, save_every_s=0.0)


def searched(run: RunFolder, settings: SearchSettings, reporter: SilentReporter) -> Answer:
    found = run_search(checked_text(TEXT), None, {}, settings, small_digits(), phase_of(run, reporter))
    return asdict(found), {"found": found.genotype}


def compared(run: RunFolder, settings: SearchSettings, reporter: SilentReporter) -> Answer:
    found = run_comparison(checked_text(SLOTS), "slots", {}, settings, small_digits(), phase_of(run, reporter))
    answer = asdict(found)
    for one in answer["answers"]:
        one["time_increment"] = one.pop("increment")
    return answer, {one.label: one.genotype for one in found.answers}


def studied(study: Callable[[Job], Any]) -> Callable[[RunFolder, SearchSettings, SilentReporter], Answer]:
    def work(run: RunFolder, settings: SearchSettings, reporter: SilentReporter) -> Answer:
        checked = checked_text(SLOTS)
        job = Job(checked, expand_network(checked, "slots", {}), {}, settings, small_digits(), phase_of(run, reporter))
        job.open()
        return asdict(study(job)), {}

    return work


KINDS: dict[str, tuple[Callable[[RunFolder, SearchSettings, SilentReporter], Answer], SearchSettings, str]] = {
    "search": (searched, DARTS, TEXT),
    "all": (compared, ALL, SLOTS),
    "schemes": (studied(lambda job: study_schemes(job, 2, 2)), settings_for("enas"), SLOTS),
    "correlation": (studied(lambda job: study_correlation(job, 3)), settings_for("ean"), SLOTS),
}


def sitting(kind: str, folder: Path, reporter: SilentReporter) -> None:
    if (folder / "run.json").exists():
        run = RunFolder.resume(folder)
    else:
        run = RunFolder.create(folder, "geno 1\n", COMMAND)
    work, settings, text = KINDS[kind]
    with run:
        answer, genotypes = work(run, settings, reporter)
        checked = checked_text(text)
        program = expand_network(checked, "slots" if text is SLOTS else None, {})
        for label, genotype in genotypes.items():
            write_atomically(folder / f"{label}.geno", discrete_text(checked, program, genotype).encode())
        write_atomically(folder / "answer.json", json.dumps(timeless(answer)).encode())


def started(kind: str, folder: Path) -> tuple[int, int]:
    """A child at work: its process and the pipe that it writes a byte into at every step."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            sitting(kind, folder, TellSteps(writing))
            code = 0
        except GenoError as error:
            code = 130 if [d.code for d in error.diagnostics] == ["G710"] else 1
        except KeyboardInterrupt:
            code = 130
        finally:
            os._exit(code)
    os.close(writing)
    return child, reading


def stopped(kind: str, folder: Path, draw: random.Random) -> bool:
    """One sitting and its end; False where it was faster than the signal."""
    child, pipe = started(kind, folder)
    if draw.random() < 0.5:
        for _ in range(draw.randint(1, 3)):
            os.read(pipe, 1)
        time.sleep(draw.random() * 0.01)
    else:
        select.select([pipe], [], [], 60)
        time.sleep(draw.random() * 0.06)
    os.kill(child, draw.choice([signal.SIGKILL, signal.SIGKILL, signal.SIGINT, signal.SIGTERM]))
    _, status = os.waitpid(child, 0)
    os.close(pipe)
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) in (0, 130), status
    return os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 130


def main(kind: str, folder: Path, stops: int, seed: int) -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)
    comparison.BATCH, timing.SHORTEST_S = 2, 0.0
    # What torch loads at its first step is loaded once, before any child is forked.
    sitting(kind, folder / "straight", SilentReporter())
    draw = random.Random(seed)
    done = sum(stopped(kind, folder / "killed", draw) for _ in range(stops))
    child, pipe = started(kind, folder / "killed")
    _, status = os.waitpid(child, 0)
    assert os.WEXITSTATUS(status) == 0, status
    os.close(pipe)
    print(done)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
