"""Where a differentiable search stands."""

from __future__ import annotations

from dataclasses import dataclass, field

from genolang.search.strategy import SearchEpoch

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
