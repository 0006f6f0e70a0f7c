"""What a run tells whoever watches it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True, slots=True)
class EpochRecord:
    """One finished epoch, counted from 0.

    `train_loss` is what was minimised (smoothing and auxiliary loss included) and `train_accuracy`
    the share of right answers, both running means over the augmented batches; the validation pair
    is the plain loss and accuracy in evaluation mode, None where nothing is held out. Accuracies
    are over pixels where every pixel has a label, and None where there are no classes; `metrics`
    are the task's others (`train_miou`, `val_mae`). `lr` is that of the last step; `seconds`
    wall-clock time.
    """

    epoch: int
    train_loss: float
    train_accuracy: float | None
    val_loss: float | None
    val_accuracy: float | None
    lr: float
    seconds: float
    metrics: Mapping[str, float | None] = field(default_factory=dict, kw_only=True)


class Reporter(Protocol):
    """Receives progress; a KeyboardInterrupt raised in here counts as an interrupt of the run."""

    def epoch_started(self, phase: str, epoch: int, epochs: int) -> None:
        """An epoch begins or, after a resume, goes on."""
        ...

    def step_done(self, step: int, steps: int, loss: float) -> None:
        """`step` (counted from 1) of `steps` is done; `loss` is the mean over the epoch so far."""
        ...

    def epoch_done(self, record: EpochRecord) -> None:
        """An epoch has ended."""
        ...

    def message(self, text: str) -> None:
        """One line for a person."""
        ...


class SilentReporter:
    """A reporter that says nothing."""

    def epoch_started(self, phase: str, epoch: int, epochs: int) -> None:
        pass

    def step_done(self, step: int, steps: int, loss: float) -> None:
        pass

    def epoch_done(self, record: EpochRecord) -> None:
        pass

    def message(self, text: str) -> None:
        pass
