"""Where a differentiable search stands, and what it says when it is lost."""

from __future__ import annotations

from dataclasses import dataclass, field

from genolang.diagnostics import GenoError, fail
from genolang.search.strategy import SearchEpoch
from genolang.train.run_folder import RunFolder

Rows = dict[str, list[list[float]]]


@dataclass(slots=True)
class Progress:
    """Numbers that JSON keeps exactly; the sums are the epoch's.

    Of the epochs in which the choices moved, `eigenvalues` has one number each and `kept` the logits of
    the last few, where a search may stop by them; `stopped` says why it has.
    """

    epoch: int = 0
    step: int = 0
    loss_sum: float = 0.0
    choices_loss_sum: float = 0.0
    correct: float = 0.0
    images: int = 0
    seconds: float = 0.0
    history: list[SearchEpoch] = field(default_factory=list)
    eigenvalues: list[float] = field(default_factory=list)
    kept: list[Rows] = field(default_factory=list)
    stopped: str | None = None


def lost(
    code: str, what: str, progress: Progress, epochs: int, steps: int, phase: str, run: RunFolder | None
) -> GenoError:
    """The end of a search whose numbers are no longer good, with where to go on from."""
    notes, last = [], None if run is None else run.last_checkpoint(phase)
    if run is not None and last is not None:
        notes.append(f"the last good checkpoint is `{last}`")
        notes.append(f"`{run.resume_command}` goes on from it, with the same settings")
    return fail(
        code, f"{what} in epoch {progress.epoch + 1} of {epochs} of `{phase}`,"
        f" by step {progress.step} of {steps}",
        help="search again with a lower `lr` of `weights`, or with `clip` set", notes=notes,
    )
