"""What trainings and searches by epochs have in common: the loop over epochs and steps.

Every step is a pure function of the state before it and of (seed, epoch, step): the batch is drawn
by those numbers, and torch's generator is seeded by them before the step. What was stopped at any
step and goes on from its checkpoint is therefore what was never stopped.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Protocol

import torch
from torch import Tensor

from genolang.diagnostics import GenoError, fail
from genolang.train.batches import generator_for
from genolang.train.captured import Recordings
from genolang.train.interrupt import Interrupt
from genolang.train.phase import Resumable, Sitting
from genolang.train.reporter import EpochRecord

EXPLODED = 1e4
"""A step's loss this many times that of guessing has exploded; no start is ever so bad."""

GPU_LOOK_STEPS = 16
"""How often the losses are read back from a GPU: each reading waits for it."""


class Epochs(Resumable, Protocol):
    """What is trained epoch by epoch; `progress` has at least `epoch`, `step`, `loss_sum` and `images`."""

    sitting: Sitting
    recordings: Recordings
    epochs: int
    steps: int

    def over(self) -> bool:
        """Whether there is no epoch left."""
        ...

    def begin_epoch(self) -> None:
        """An epoch begins, or goes on."""
        ...

    def step(self) -> None: ...

    def check(self) -> None:
        """Raises G701 or G702 unless the state is good, before it becomes a record or a checkpoint."""
        ...

    def finish_epoch(self) -> tuple[EpochRecord, Iterable[str]]:
        """Ends the epoch and begins the next; its record, and what else there is to say."""
        ...


def run_epochs(work: Epochs, interrupt: Interrupt) -> None:
    """Takes all steps that are left, inside `Phase.working`. Error: G710, once the state is saved."""
    sitting, phase, reporter = work.sitting, work.sitting.phase, work.sitting.phase.reporter
    try:
        told = sitting.resume(work)
        if told is not None and not work.over():
            told.append(
                f"going on in epoch {work.progress.epoch + 1} of {work.epochs} "
                f"after step {work.progress.step} of {work.steps}"
            )
        interrupt.tell(reporter, told or ())
        while not work.over():
            with interrupt.deferred():
                reporter.epoch_started(phase.name, work.progress.epoch, work.epochs)
            work.begin_epoch()
            while work.progress.step < work.steps:
                work.step()
                interrupt.tell(reporter, work.recordings.news())
                with interrupt.deferred():
                    mean = work.progress.loss_sum / max(work.progress.images, 1)
                    reporter.step_done(work.progress.step, work.steps, mean)
                if sitting.due(interrupt):
                    work.check()
                    sitting.save(work)
                phase.stop_if(interrupt)
            work.check()
            record, lines = work.finish_epoch()
            sitting.save(work)
            interrupt.tell(reporter, work.recordings.news())
            with interrupt.deferred():
                reporter.epoch_done(record)
                for line in lines:
                    reporter.message(line)
            phase.stop_if(interrupt)
    finally:
        work.recordings.close()


def seed_step(device: torch.device, seed: int, epoch: int, step: int) -> None:
    """Seeds torch's generators for one step, so that no generator's state need be saved."""
    number = generator_for(seed, "step", epoch, step).initial_seed()
    # Not torch.manual_seed: where CUDA is present but unused it formats a stack at every call.
    torch.default_generator.manual_seed(number)
    if device.type == "cuda":
        with torch.cuda.device(device):
            torch.cuda.manual_seed(number)


@contextmanager
def in_memory(batch: int) -> Iterator[None]:
    """G711 where a step of `batch` images needs more memory than the GPU has."""
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise fail(
            "G711", f"a batch of {batch} images does not fit into the GPU's memory", help="set a smaller `batch`"
        ) from error


def lost(work: Epochs, code: str, what: str, help: str, of: str = "") -> GenoError:
    """The end of what is no longer good, with where it stood."""
    progress = work.progress
    return work.sitting.phase.lost(
        code,
        f"{what} in epoch {progress.epoch + 1} of {work.epochs}{of}, by step {progress.step} of {work.steps}",
        help,
    )


def fault(loss: float, limit: float) -> tuple[str, str] | None:
    """The code and what happened where a loss is no longer good: `is nan`, `has grown to 1e+05`."""
    if not math.isfinite(loss):
        return "G701", f"is {loss}"
    return ("G702", f"has grown to {loss:.3g}") if loss > limit else None


def all_finite(tensors: Iterable[Tensor]) -> bool:
    """Whether all numbers are finite; a gradient can be lost while the loss is still good."""
    finite = [tensor.detach().isfinite().all() for tensor in tensors]
    return not finite or bool(torch.stack(finite).all())
