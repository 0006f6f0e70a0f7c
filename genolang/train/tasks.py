"""What a network is trained for: how far its answers are from the labels, and how that is measured."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping, Sequence
from typing import Protocol

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from genolang.semantics.settings import TaskKind

IGNORED = 255
"""The label of a pixel that counts for nothing (Pascal VOC's void)."""

Metrics = Mapping[str, float]


class Task(Protocol):
    """A loss and its metrics; `metric` names the one that tells the best epoch.

    Outputs are float32. A tally holds sums over images, so that tallies of batches can be added.
    """

    name: TaskKind
    metric: str

    def loss(self, output: Tensor, labels: Tensor, smoothing: float = 0.0) -> Tensor:
        """The mean loss of a batch, as a scalar; `smoothing` is that of the labels, where any."""
        ...

    def loss_sum(self, output: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """The sum of the losses of a batch and the number of its terms, as scalars."""
        ...

    def guessing(self, output: Tensor) -> float:
        """The mean loss of answers that know nothing, as the yardstick of an exploded loss."""
        ...

    def tally(self, output: Tensor, labels: Tensor) -> Tensor:
        """What the metrics are made of, summed over a batch: (T,), on the output's device."""
        ...

    def metrics(self, tally: Sequence[float]) -> dict[str, float]:
        """The metrics by name, shares from 0 to 1 except for errors; nan where nothing counts."""
        ...

    def score(self, metrics: Metrics) -> float:
        """How good the metrics are, as a finite number that is higher for better ones."""
        ...


class Classification:
    """Logits (B, classes) against labels (B,): cross-entropy, the share of right answers."""

    name: TaskKind = "classification"
    metric = "accuracy"

    def loss(self, output: Tensor, labels: Tensor, smoothing: float = 0.0) -> Tensor:
        return cross_entropy(output, labels, label_smoothing=smoothing)

    def loss_sum(self, output: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        return cross_entropy(output, labels, reduction="sum"), output.new_full((), len(labels))

    def guessing(self, output: Tensor) -> float:
        return math.log(max(output.shape[1], 2))

    def tally(self, output: Tensor, labels: Tensor) -> Tensor:
        return torch.stack([correct_answers(output, labels), output.new_full((), len(labels))])

    def metrics(self, tally: Sequence[float]) -> dict[str, float]:
        right, answers = tally
        return {"accuracy": _share(right, answers)}

    def score(self, metrics: Metrics) -> float:
        return _finite(metrics["accuracy"])


class Segmentation:
    """Logits (B, classes, H, W) against a label per pixel (B, H, W), `IGNORED` ones left out.

    The loss is the mean cross-entropy over the pixels of a batch. Metrics: overall accuracy over
    pixels, and over classes the mean accuracy and the mean intersection over union. The means leave
    out classes that no pixel has (for the second: or is taken for). Source: J. Long et al., Fully
    Convolutional Networks (CVPR 2015), section 5.
    """

    name: TaskKind = "segmentation"
    metric = "miou"

    def loss(self, output: Tensor, labels: Tensor, smoothing: float = 0.0) -> Tensor:
        total = cross_entropy(output, labels.long(), ignore_index=IGNORED, reduction="sum", label_smoothing=smoothing)
        # A batch may be all void: its loss is 0, not 0 / 0.
        return total / (labels != IGNORED).sum().clamp_min(1)

    def loss_sum(self, output: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        total = cross_entropy(output, labels.long(), ignore_index=IGNORED, reduction="sum")
        return total, (labels != IGNORED).sum().to(total.dtype)

    def guessing(self, output: Tensor) -> float:
        return math.log(max(output.shape[1], 2))

    def tally(self, output: Tensor, labels: Tensor) -> Tensor:
        """Per class the pixels that are rightly, truly and supposedly of it: (3 * classes,)."""
        guess, truth = output.argmax(1), labels.long()
        counted = truth != IGNORED
        return torch.cat(
            [
                _histogram(truth, counted & (guess == truth), output.shape[1]),
                _histogram(truth, counted, output.shape[1]),
                _histogram(guess, counted, output.shape[1]),
            ]
        )

    def metrics(self, tally: Sequence[float]) -> dict[str, float]:
        classes = len(tally) // 3
        right, true, guessed = (tally[i * classes : (i + 1) * classes] for i in range(3))
        rows = list(zip(right, true, guessed, strict=True))
        return {
            "accuracy": _share(sum(right), sum(true)),
            "mean_accuracy": _mean([r / t for r, t, _ in rows if t]),
            "miou": _mean([r / (t + g - r) for r, t, g in rows if t + g]),
        }

    def score(self, metrics: Metrics) -> float:
        return _finite(metrics["miou"])


class Counting:
    """Density maps (B, 1, H, W), whose sums are counts, against true ones (B, H, W).

    The loss of an image is half the squared distance of the maps. Metrics: the mean absolute error
    of the counts, and as `rmse` the root of their mean squared error, which papers on crowd
    counting define so and print as MSE. Source: Y. Zhang et al., Single-Image Crowd Counting via
    Multi-Column CNN (CVPR 2016); Y. Li et al., CSRNet (CVPR 2018).
    """

    name: TaskKind = "counting"
    metric = "mae"

    def loss(self, output: Tensor, labels: Tensor, smoothing: float = 0.0) -> Tensor:
        assert smoothing == 0, "densities are no labels to smooth"
        total, images = self.loss_sum(output, labels)
        return total / images

    def loss_sum(self, output: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        assert output.shape[2:] == labels.shape[1:], "densities of one size"
        return (output[:, 0] - labels).square().sum() / 2, output.new_full((), len(labels))

    def guessing(self, output: Tensor) -> float:
        """The loss of maps that are wrong by one everywhere: no density is so high."""
        return output[0].numel() / 2

    def tally(self, output: Tensor, labels: Tensor) -> Tensor:
        errors = output.sum((1, 2, 3)) - labels.sum((1, 2))
        images = output.new_full((), len(labels))
        return torch.stack([errors.abs().sum(), errors.square().sum(), images])

    def metrics(self, tally: Sequence[float]) -> dict[str, float]:
        absolute, squared, images = tally
        return {"mae": _share(absolute, images), "rmse": math.sqrt(_share(squared, images))}

    def score(self, metrics: Metrics) -> float:
        return _finite(-metrics["mae"])


CLASSIFICATION = Classification()
TASKS: dict[TaskKind, Task] = {task.name: task for task in (CLASSIFICATION, Segmentation(), Counting())}


def correct_answers(logits: Tensor, labels: Tensor) -> Tensor:
    """The number of right answers, as a float32 scalar on the device."""
    return (logits.argmax(1) == labels).sum().float()


def known(metrics: Metrics) -> dict[str, float | None]:
    """Metrics as JSON has them: None for what is not a finite number."""
    return {name: value if math.isfinite(value) else None for name, value in metrics.items()}


def named(part: str, metrics: Mapping[str, float | None]) -> dict[str, float | None]:
    """Metrics of a part of the data by the names that journals and results have: `val_miou`."""
    return {f"{part}_{name}": value for name, value in metrics.items()}


def _histogram(values: Tensor, counted: Tensor, size: int) -> Tensor:
    """How often each of 0 to size - 1 stands where `counted` holds: (size,), int64."""
    places = torch.where(counted, values, size).flatten()
    # Not bincount, which a GPU has to wait for.
    found = torch.zeros(size + 1, dtype=torch.int64, device=values.device)
    return found.scatter_add_(0, places, torch.ones_like(places))[:size]


def _share(part: float, whole: float) -> float:
    return part / whole if whole else math.nan


def _mean(values: Sequence[float]) -> float:
    return _share(sum(values), len(values))


def _finite(value: float) -> float:
    return value if math.isfinite(value) else -sys.float_info.max
