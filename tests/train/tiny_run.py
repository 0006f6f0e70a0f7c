"""One sitting of a tiny run, as a process of its own: `python tiny_run.py FOLDER`.

It prints a line per step, so that a test knows when to kill it, and resumes what is there.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import torch
from train.tiny import CPU, SETTINGS, TinyNet

from genolang.semantics.settings import Augmentation
from genolang.train.datasets import Dataset, load_data
from genolang.train.phase import Phase
from genolang.train.reporter import SilentReporter
from genolang.train.run_folder import RunFolder
from genolang.train.training import TrainResult, train_network

RUN_SETTINGS = replace(SETTINGS, epochs=4, batch=8, split=0.2, augment=(Augmentation("flip"), Augmentation("crop", 1)))


class PrintSteps(SilentReporter):
    def step_done(self, step: int, steps: int, loss: float) -> None:
        print("step", step, flush=True)


def small_digits() -> Dataset:
    """The first images of the real digits, with labels folded into the three classes of TinyNet."""
    data = load_data("digits")
    return replace(
        data,
        train_images=data.train_images[:60],
        train_labels=data.train_labels[:60] % 3,
        test_images=data.test_images[:20],
        test_labels=data.test_labels[:20] % 3,
    )


def sitting(folder: Path) -> TrainResult:
    if (folder / "run.json").exists():
        run = RunFolder.resume(folder)
    else:
        run = RunFolder.create(folder, "geno 1\n", ("genoc", "train", "tiny.geno"))
    with run:
        phase = Phase(5, CPU, run, resume=True, reporter=PrintSteps(), save_every_s=0.0)
        return train_network(TinyNet(), RUN_SETTINGS, small_digits(), phase)


if __name__ == "__main__":
    torch.set_num_threads(1)
    sitting(Path(sys.argv[1]))
