"""How good a network is on given images."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from genolang.train.network import TrainableNetwork, logits_of


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Mean cross-entropy and the share (0 to 1) of right answers over `count` images."""

    loss: float
    accuracy: float
    count: int


def evaluate(module: TrainableNetwork, batches: Iterable[tuple[Tensor, Tensor]]) -> Evaluation:
    """Runs the network in float32 over images (B, C, H, W) and labels (B,), without gradients.

    The module is left in evaluation mode.
    """
    module.eval()
    sums: list[Tensor] = []
    count = 0
    with torch.no_grad():
        for images, labels in batches:
            logits, _ = logits_of(module, images)
            loss = cross_entropy(logits, labels, reduction="sum")
            sums.append(torch.stack([loss, correct_answers(logits, labels)]))
            count += labels.shape[0]
    assert count > 0, "an evaluation needs images"
    # One transfer at the end; summed in double precision, so that the batch size hardly matters.
    loss_sum, correct = torch.stack(sums).cpu().double().sum(0).tolist()
    return Evaluation(loss_sum / count, correct / count, count)


def correct_answers(logits: Tensor, labels: Tensor) -> Tensor:
    """The number of right answers, as a float32 scalar on the device."""
    return (logits.argmax(1) == labels).sum().float()
