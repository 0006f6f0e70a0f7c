"""How good a trained network is: all that one wants to know of it on a data set."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from genolang.train.batches import evaluation_batches
from genolang.train.card import Card
from genolang.train.datasets import Dataset
from genolang.train.evaluate import answer_of, evaluate
from genolang.train.network import TrainableNetwork
from genolang.train.tasks import TASKS, known, named

TOP = 5


@dataclass(frozen=True, slots=True)
class Assessment:
    """The mean loss over `images` test images, the task's metrics, and what they are made of.

    `confusion` counts images (pixels, in segmentation) by true and by answered class; a count has none.
    `top5_accuracy` is the share of images whose class is among the five likeliest; None for other tasks.
    """

    loss: float
    images: int
    metrics: dict[str, float | None]
    top5_accuracy: float | None
    class_names: tuple[str, ...]
    confusion: Tensor | None

    def to_json(self) -> dict[str, Any]:
        found: dict[str, Any] = {"loss": self.loss, **named("test", self.metrics), "images": self.images}
        if self.top5_accuracy is not None:
            found["top5_accuracy"] = self.top5_accuracy
        if self.confusion is not None:
            rows = self.confusion.tolist()
            found["classes"] = [
                {"name": name, "count": sum(row), "accuracy": row[number] / sum(row) if any(row) else None}
                for number, (name, row) in enumerate(zip(self.class_names, rows, strict=True))
            ]
            found["confusion"] = rows
        return found


def assess(
    module: TrainableNetwork, data: Dataset, card: Card | None, *, batch: int, device: torch.device
) -> Assessment:
    """A network on the test images of a data set, normalised as in its training where a card says how."""
    task = TASKS[data.task]
    mean, std = (data.mean, data.std) if card is None else (card.mean, card.std)
    confusion = None if data.task == "counting" else torch.zeros(data.classes, data.classes, dtype=torch.int64)
    among = 0
    answers: list[Tensor] = []

    def answer(images: Tensor) -> tuple[Tensor]:
        (output,) = answer_of(module, images)
        answers.append(output)
        return (output,)

    module.to(device)
    batches = evaluation_batches(data.test_images, data.test_labels, batch, mean, std, device)

    def watched() -> Any:
        nonlocal among
        for images, labels in batches:
            yield images, labels
            output = answers.pop()
            if confusion is not None:
                confusion.add_(_confusion(output, labels, data.classes))
            if data.task == "classification":
                likeliest = output.topk(min(TOP, output.shape[1]), 1).indices
                among += int((likeliest == labels[:, None]).sum())

    found = evaluate(module, watched(), task, answer)
    top = among / found.count if data.task == "classification" else None
    return Assessment(found.loss, found.count, known(found.metrics), top, data.class_names, confusion)


def _confusion(output: Tensor, labels: Tensor, classes: int) -> Tensor:
    """Counts by true and by answered class (classes, classes); labels that are none count for nothing."""
    truth, guess = labels.flatten().long(), output.argmax(1).flatten()
    counted = truth < classes
    return torch.bincount(truth[counted] * classes + guess[counted], minlength=classes**2).view(classes, classes).cpu()
