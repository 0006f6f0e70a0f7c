"""The value of a `Schedule` at a moment of training."""

from __future__ import annotations

import math

from genolang.semantics.settings import Schedule


def schedule_value(schedule: Schedule, epoch: int, epochs: int, fraction: float = 0.0) -> float:
    """The value in `epoch` of `epochs`, both counted from 0, by the closed forms of `Schedule`.

    `fraction` (0 to 1) is the part of the epoch that is behind; it matters during the warm-up only.
    Source: the cosine is SGDR, equation 5, as DARTS uses it: from 0.025 to 0.001 over 50 epochs it
    is 1.023679e-3 in the last one.
    """
    if epoch + fraction < schedule.warmup:
        return schedule.start * (epoch + fraction) / schedule.warmup
    # A warm-up may end within an epoch, or fill the whole run: progress then stays at 0.
    done = max(0.0, epoch - schedule.warmup) / max(epochs - schedule.warmup, 1e-12)
    match schedule.kind:
        case "constant":
            return schedule.start
        case "cosine":
            swing = (schedule.start - schedule.end) / 2
            return schedule.end + swing * (1 + math.cos(math.pi * done))
        case "linear":
            return schedule.start + (schedule.end - schedule.start) * done
        case "step":
            return schedule.start * schedule.factor ** sum(at <= epoch for at in schedule.at)
        case "exponential":
            return schedule.start * float(schedule.factor**epoch)


def step_value(schedule: Schedule, epoch: int, epochs: int, step: int, steps: int) -> float:
    """The value for `step` of the epoch's `steps`, counted from 0.

    A step takes the value of its end, so that the first step of a warm-up is not lost to a zero.
    """
    return schedule_value(schedule, epoch, epochs, (step + 1) / steps)
