"""What a run tells whoever watches it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class EpochRecord:
    """One finished epoch, counted from 0.

    `train_loss` is what was minimised (smoothing and auxiliary loss included) and `train_accuracy`
    the share of right answers, both running means over the augmented batches; the validation pair
    is plain cross-entropy and accuracy in evaluation mode, None where nothing is held out. `lr` is
    that of the last step; `seconds` wall-clock time.
    """

    epoch: int
    train_loss: float
    train_accuracy: float
    val_loss: float | None
    val_accuracy: float | None
    lr: float
    seconds: float


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
