"""A process that trains for tiny searches, and tiny searches that let such processes train."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import torch
from search.tiny_space import COMMAND, CPU, SETTINGS, checked_text, program_of

from genolang.search.channel import Channel
from genolang.search.job import Job
from genolang.search.search import SearchResult, run_search
from genolang.search.serving import serve
from genolang.search.workers import Workers
from genolang.semantics.settings import OptimizerSettings, Schedule
from genolang.train.datasets import Dataset
from genolang.train.phase import Phase
from genolang.train.reporter import SilentReporter
from genolang.train.run_folder import RunFolder, read_journal

PLAIN = replace(SETTINGS, epochs=2, score_epochs=1, random=3)
EXPLODING = OptimizerSettings(lr=Schedule("constant", 1e12))
SETTINGS_OF = {
    "plain": PLAIN,
    "exploding": replace(PLAIN, seeds=1, random=2, score=EXPLODING),
    "long": replace(PLAIN, seeds=1, random=1, epochs=1, score_epochs=1000),
}


def images() -> Dataset:
    """Noise: a worker that had to read real digits would take long to begin."""
    generator = torch.Generator().manual_seed(5)
    pixels = torch.randint(256, (60, 1, 8, 8), generator=generator, dtype=torch.uint8)
    labels = torch.randint(3, (60,), generator=generator)
    return Dataset("noise", pixels[:48], labels[:48], pixels[48:], labels[48:], 3, ("a", "b", "c"), (0.5,), (0.3,))


class Patient(SilentReporter):
    """Waits at its first step until a worker has journalled an epoch; keeps what it is told."""

    WAITS_S = 20.0

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.messages: list[str] = []
        self.phases: set[str] = set()
        self.began = self.counted()
        self.waited = False

    def epoch_started(self, phase: str, epoch: int, epochs: int) -> None:
        self.phases.add(phase)

    def step_done(self, step: int, steps: int, loss: float) -> None:
        end = time.monotonic() + self.WAITS_S
        while not self.waited:
            time.sleep(0.01)
            phases = (self.counted() - self.began).keys()
            self.waited = bool(phases - self.phases - {"results"}) or time.monotonic() > end
        # Long enough for others to do something beside it.
        time.sleep(0.02)

    def counted(self) -> Counter[str]:
        return Counter(entry["phase"] for entry in read_journal(self.folder))

    def message(self, text: str) -> None:
        self.messages.append(text)


def run_in(
    folder: Path,
    jobs: int,
    name: str = "plain",
    reporter: SilentReporter | None = None,
    module: str = "search.side_worker",
) -> SearchResult:
    """The tiny search in a folder, begun or gone on with."""
    with opened(folder) as run, workers_in(run, jobs - 1, name, module) as workers:
        return run_search(
            checked_text(),
            None,
            {},
            SETTINGS_OF[name],
            images(),
            phase_of(run, reporter or SilentReporter()),
            workers if jobs > 1 else None,
        )


def phase_of(run: RunFolder, reporter: SilentReporter) -> Phase:
    return Phase(3, CPU, run, resume=True, reporter=reporter, save_every_s=0.0)


def opened(folder: Path) -> RunFolder:
    if (folder / "run.json").exists():
        return RunFolder.resume(folder)
    return RunFolder.create(folder, "geno 1\n", COMMAND)


def workers_in(run: RunFolder, most: int, name: str = "plain", module: str = "search.side_worker") -> Workers:
    return Workers(run, ("-m", module), {"settings": name}, most)


def job_in(run: RunFolder, name: str, reporter: SilentReporter, workers: Workers | None = None) -> Job:
    return Job(checked_text(), program_of(), {}, SETTINGS_OF[name], images(), phase_of(run, reporter), workers)


def main() -> None:
    channel = Channel()

    class Told(SilentReporter):
        def epoch_started(self, phase: str, epoch: int, epochs: int) -> None:
            channel.tell(line=f"{phase} epoch {epoch}")

    def prepare(setup, run) -> Job:
        print("what a worker prints is not taken for what it tells")
        return job_in(run, setup["settings"], Told())

    serve(channel, prepare)


if __name__ == "__main__":
    main()
