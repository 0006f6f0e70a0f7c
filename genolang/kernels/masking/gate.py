"""How a mask is made of its logits, and how it meets its map."""

from __future__ import annotations

from dataclasses import dataclass

MIXED, SPATIAL, CHANNEL = "mixed", "spatial", "channel"
KINDS = (MIXED, SPATIAL, CHANNEL)


@dataclass(frozen=True, slots=True)
class Gate:
    """`mixed`: the sigmoid. `spatial`: the sigmoid of the logits standardised over the positions of
    their channel. `channel`: the logits over the Euclidean norm of their position's channels, then a
    sigmoid only if asked for. `residual` adds 1 to the mask."""

    kind: str
    residual: bool
    eps: float
    sigmoid: bool
