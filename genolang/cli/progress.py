"""Progress of a run on stderr: a live line on a terminal, one line per epoch elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from genolang.train.reporter import EpochRecord

_REDRAW_S = 0.2


class ConsoleReporter:
    """Tells a person what a run is doing: losses, accuracies, messages, time left in the phase.

    With `tell` it is one of several: whole lines go there, each with its phase.
    """

    def __init__(self, *, quiet: bool = False, tell: Callable[[str], None] | None = None) -> None:
        self.quiet, self.tell = quiet, tell
        self.live = sys.stderr.isatty() and not quiet and tell is None
        self.phase = ""
        self.epochs = self.epoch = 0
        self.drawn = 0.0
        self.durations: list[float] = []

    def epoch_started(self, phase: str, epoch: int, epochs: int) -> None:
        if phase != self.phase:
            self.phase, self.durations = phase, []
        self.epoch, self.epochs = epoch, epochs

    def step_done(self, step: int, steps: int, loss: float) -> None:
        now = time.monotonic()
        if not self.live or now - self.drawn < _REDRAW_S:
            return
        self.drawn = now
        done = int(20 * step / steps)
        bar = "=" * done + " " * (20 - done)
        self._write(f"\r\x1b[K{self._where()} [{bar}] step {step}/{steps}  loss {loss:.4f}{self._left()}")

    def epoch_done(self, record: EpochRecord) -> None:
        self.durations.append(record.seconds)
        parts = [f"train loss {record.train_loss:.4f}{_metrics(record, 'train')}"]
        if record.val_loss is not None:
            parts.append(f"val loss {record.val_loss:.4f}{_metrics(record, 'val')}")
        self.epoch = record.epoch
        self.message(f"{self._where()}  {'  '.join(parts)}  {record.seconds:.1f} s{self._left()}")

    def message(self, text: str) -> None:
        if self.tell is not None:
            self.tell(text if text.startswith(self.phase) else f"{self.phase}: {text}")
        elif not self.quiet:
            self._write(f"\r\x1b[K{text}\n" if self.live else f"{text}\n")

    def _where(self) -> str:
        width = len(str(self.epochs))
        return f"{self.phase} epoch {self.epoch + 1:>{width}}/{self.epochs}"

    def _left(self) -> str:
        if not self.durations:
            return ""
        recent = self.durations[-5:]
        left = (self.epochs - self.epoch - 1) * sum(recent) / len(recent)
        return f"  {_duration(left)} left" if left >= 1 else ""

    def _write(self, text: str) -> None:
        sys.stderr.write(text)
        sys.stderr.flush()


def _metrics(record: EpochRecord, part: str) -> str:
    values = {f"{part}_accuracy": getattr(record, f"{part}_accuracy"), **record.metrics}
    return "".join(
        f" {name.removeprefix(f'{part}_').replace('_', ' ')} {value:.4f}"
        for name, value in values.items()
        if name.startswith(part) and value is not None
    )


def _duration(seconds: float) -> str:
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02} min"
