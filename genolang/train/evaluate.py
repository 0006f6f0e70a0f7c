"""How good a network is on given images."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from genolang.train.network import TrainableNetwork, logits_of
from genolang.train.tasks import CLASSIFICATION, Metrics, Task, correct_answers

__all__ = ["Evaluation", "correct_answers", "evaluate"]


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The mean loss and the task's metrics over `count` images."""

    loss: float
    metrics: Metrics
    count: int

    @property
    def accuracy(self) -> float:
        """The share (0 to 1) of right answers; over pixels, where every pixel has one."""
        return self.metrics["accuracy"]


def evaluate(
    module: TrainableNetwork,
    batches: Iterable[tuple[Tensor, Tensor]],
    task: Task = CLASSIFICATION,
    answer: Callable[[Tensor], tuple[Tensor, ...]] | None = None,
) -> Evaluation:
    """Runs the network in float32 over images (B, C, H, W) and their labels, without gradients.

    The module is left in evaluation mode. `answer` is how it runs, where it is not just called: it gives
    the logits and nothing else.
    """
    module.eval()
    answer = answer or (lambda images: answer_of(module, images))
    losses: list[Tensor] = []
    tallies: list[Tensor] = []
    count = 0
    with torch.no_grad():
        for images, labels in batches:
            (output,) = answer(images)
            losses.append(torch.stack(task.loss_sum(output, labels)))
            tallies.append(task.tally(output, labels))
            count += labels.shape[0]
    assert count > 0, "an evaluation needs images"
    # Transfers at the end; summed in double precision, so that the batch size hardly matters.
    loss_sum, terms = torch.stack(losses).cpu().double().sum(0).tolist()
    tally = torch.stack(tallies).cpu().double().sum(0).tolist()
    return Evaluation(loss_sum / max(terms, 1.0), task.metrics(tally), count)


def answer_of(module: TrainableNetwork, images: Tensor) -> tuple[Tensor]:
    """The logits of a network in evaluation, alone."""
    return (logits_of(module, images)[0],)
