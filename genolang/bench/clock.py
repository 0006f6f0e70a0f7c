"""Time on a device: a GPU's own events, or a CPU's wall clock beside the processor's time."""

from __future__ import annotations

import itertools
import time
from collections.abc import Sequence

import torch

Mark = torch.cuda.Event | tuple[float, float]


class Clock:
    """Marks points in the work that a device is given."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.gpu = device.type == "cuda"

    def mark(self) -> Mark:
        if not self.gpu:
            return time.perf_counter(), time.process_time()
        event = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
        event.record(torch.cuda.current_stream(self.device))
        return event

    def between(self, marks: Sequence[Mark]) -> list[tuple[float, float | None]]:
        """Seconds from each mark to the next, and those that the processor was busy with this process."""
        if self.gpu:
            torch.cuda.synchronize(self.device)
        found: list[tuple[float, float | None]] = []
        for before, after in itertools.pairwise(marks):
            if isinstance(before, tuple):
                assert isinstance(after, tuple)
                found.append((after[0] - before[0], after[1] - before[1]))
            else:
                assert not isinstance(after, tuple)
                found.append((before.elapsed_time(after) / 1000, None))
        return found
