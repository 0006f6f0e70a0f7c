"""`genoc train`: a network and its data in, weights and metrics out."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from genolang.diagnostics import fail
from genolang.semantics.settings import TaskKind, TrainSettings
from genolang.train.batches import Batches, evaluation_batches, generator_for
from genolang.train.datasets import Dataset
from genolang.train.evaluate import evaluate
from genolang.train.interrupt import interruptible
from genolang.train.lazy import Images
from genolang.train.loop import Fitted, fit
from genolang.train.network import TrainableNetwork, parameter_count
from genolang.train.phase import Phase
from genolang.train.reporter import EpochRecord
from genolang.train.run_folder import RunFolder
from genolang.train.state import copies
from genolang.train.tasks import TASKS, known, named


@dataclass(frozen=True, slots=True)
class TrainResult:
    """How good the best weights are, in evaluation mode and without augmentation.

    Accuracies are shares from 0 to 1 (over pixels, where every pixel has a label), None where there
    are no such images or no classes; `metrics` has the task's others by name (`test_miou`) and
    `metric` the one that chose the best epoch; `seconds` is the wall-clock time of the epochs, over
    all sittings; `best_epoch` counts from 0.
    """

    task: TaskKind
    metric: str
    train_accuracy: float | None
    val_accuracy: float | None
    test_accuracy: float | None
    params: int
    seconds: float
    epochs: int
    best_epoch: int
    history: tuple[EpochRecord, ...]
    metrics: Mapping[str, float | None]

    def to_json(self) -> dict[str, Any]:
        """All of it in one level, the metrics beside the accuracies."""
        found = asdict(self)
        del found["metrics"]
        return found | dict(self.metrics)


def split_indices(count: int, share: float, seed: int) -> tuple[Tensor, Tensor]:
    """A random permutation of `count` images, cut in two: (the rest, the held-out share).

    The share is rounded down, so that something is left to train on.
    """
    order = torch.randperm(count, generator=generator_for(seed, "split"))
    held_out = math.floor(count * share)
    return order[held_out:], order[:held_out]


def train_network(module: TrainableNetwork, settings: TrainSettings, data: Dataset, phase: Phase) -> TrainResult:
    """Trains from the module's present weights and leaves it with the best ones, on the phase's device.

    With a run folder it writes `weights.safetensors` (best), `last.safetensors` and `metrics.json`.
    Raises G503 for settings that the task has no use for, and what `genolang.train.loop.fit` raises.
    """
    if settings.task == "counting" and settings.label_smoothing:
        raise fail("G503", "`label_smoothing` is for classes, and counting has none", help="leave it out")
    assert data.task == settings.task, f"the data is made for {data.task}"
    seed, device = phase.seed, phase.device
    module.to(device)
    task = TASKS[settings.task]
    trained_on, held_out = split_indices(len(data.train_labels), settings.split, seed)

    def batches_of(images: Images, labels: Tensor) -> Iterable[tuple[Tensor, Tensor]]:
        return evaluation_batches(images, labels, settings.batch, data.mean, data.std, device)

    def measured(batches: Iterable[tuple[Tensor, Tensor]]) -> dict[str, float | None]:
        return known(evaluate(module, batches, task).metrics)

    def part(indices: Tensor) -> Iterable[tuple[Tensor, Tensor]]:
        return batches_of(data.train_images[indices], data.train_labels[indices])

    fitted = fit(
        module,
        settings,
        Batches(
            data.train_images,
            data.train_labels,
            trained_on,
            settings.batch,
            seed,
            data.mean,
            data.std,
            settings.augment,
            device,
            "train",
        ),
        (lambda: part(held_out)) if len(held_out) else None,
        phase,
    )
    last_weights = copies(module.state_dict())
    module.load_state_dict(fitted.best_weights)
    # All epochs are done: an interrupt from here on lets the little that is left come to its end.
    with interruptible():
        train = measured(part(trained_on))
        test: dict[str, float | None] = dict.fromkeys(train)
        if len(data.test_labels):
            test = measured(batches_of(data.test_images, data.test_labels))
        best = fitted.history[fitted.best_epoch]
        result = TrainResult(
            task=task.name,
            metric=task.metric,
            train_accuracy=train.pop("accuracy", None),
            val_accuracy=best.val_accuracy,
            test_accuracy=test.pop("accuracy", None),
            metrics={
                **named("train", train),
                **{f"val_{name}": best.metrics.get(f"val_{name}") for name in train},
                **named("test", test),
            },
            params=parameter_count(module),
            seconds=sum(record.seconds for record in fitted.history),
            epochs=len(fitted.history),
            best_epoch=fitted.best_epoch,
            history=fitted.history,
        )
        if phase.run is not None:
            _write_results(phase.run, result, fitted, last_weights, seed)
    return result


def _write_results(
    run: RunFolder, result: TrainResult, fitted: Fitted, last_weights: dict[str, Tensor], seed: int
) -> None:
    run.write_tensors("weights.safetensors", fitted.best_weights)
    run.write_tensors("last.safetensors", last_weights)
    run.write_metrics({**result.to_json(), "seed": seed, "run": str(run.path)})
