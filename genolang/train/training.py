"""`genoc train`: a network and its data in, weights and metrics out."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass

import torch
from torch import Tensor

from genolang.semantics.settings import TrainSettings
from genolang.train.batches import Batches, evaluation_batches, generator_for
from genolang.train.datasets import Dataset
from genolang.train.evaluate import evaluate
from genolang.train.interrupt import interruptible
from genolang.train.loop import SAVE_EVERY_S, Fitted, fit
from genolang.train.network import TrainableNetwork, parameter_count
from genolang.train.reporter import EpochRecord, Reporter
from genolang.train.run_folder import RunFolder
from genolang.train.state import copies


@dataclass(frozen=True, slots=True)
class TrainResult:
    """How good the best weights are, in evaluation mode and without augmentation.

    Accuracies are shares from 0 to 1, None where there are no such images; `seconds` is the
    wall-clock time of the epochs, over all sittings; `best_epoch` counts from 0.
    """

    train_accuracy: float
    val_accuracy: float | None
    test_accuracy: float | None
    params: int
    seconds: float
    epochs: int
    best_epoch: int
    history: tuple[EpochRecord, ...]


def split_indices(count: int, share: float, seed: int) -> tuple[Tensor, Tensor]:
    """A random permutation of `count` images, cut in two: (the rest, the held-out share).

    The share is rounded down, so that something is left to train on.
    """
    order = torch.randperm(count, generator=generator_for(seed, "split"))
    held_out = math.floor(count * share)
    return order[held_out:], order[:held_out]


def train_network(
    module: TrainableNetwork, settings: TrainSettings, data: Dataset, run: RunFolder | None = None,
    *, seed: int, device: torch.device, resume: bool = False, reporter: Reporter | None = None,
    save_every_s: float = SAVE_EVERY_S,
) -> TrainResult:
    """Trains from the module's present weights and leaves it with the best ones, on `device`.

    With a run folder it writes `weights.safetensors` (best), `last.safetensors` and `metrics.json`.
    Raises what `genolang.train.loop.fit` raises.
    """
    module.to(device)
    trained_on, held_out = split_indices(len(data.train_labels), settings.split, seed)

    def batches_of(images: Tensor, labels: Tensor) -> Iterable[tuple[Tensor, Tensor]]:
        return evaluation_batches(images, labels, settings.batch, data.mean, data.std, device)

    def part(indices: Tensor) -> Iterable[tuple[Tensor, Tensor]]:
        return batches_of(data.train_images[indices], data.train_labels[indices])

    fitted = fit(
        module, settings,
        Batches(data.train_images, data.train_labels, trained_on, settings.batch, seed, data.mean,
                data.std, settings.augment, device, "train"),
        (lambda: part(held_out)) if len(held_out) else None,
        seed=seed, device=device, run=run, resume=resume, reporter=reporter,
        save_every_s=save_every_s,
    )
    last_weights = copies(module.state_dict())
    module.load_state_dict(fitted.best_weights)
    # All epochs are done: an interrupt from here on lets the little that is left come to its end.
    with interruptible():
        result = TrainResult(
            train_accuracy=evaluate(module, part(trained_on)).accuracy,
            val_accuracy=fitted.best_accuracy if len(held_out) else None,
            test_accuracy=(
                evaluate(module, batches_of(data.test_images, data.test_labels)).accuracy
                if len(data.test_labels) else None
            ),
            params=parameter_count(module),
            seconds=sum(record.seconds for record in fitted.history),
            epochs=len(fitted.history),
            best_epoch=fitted.best_epoch,
            history=fitted.history,
        )
        if run is not None:
            _write_results(run, result, fitted, last_weights, seed)
    return result


def _write_results(
    run: RunFolder, result: TrainResult, fitted: Fitted, last_weights: dict[str, Tensor], seed: int
) -> None:
    run.write_tensors("weights.safetensors", fitted.best_weights)
    run.write_tensors("last.safetensors", last_weights)
    run.write_metrics({**asdict(result), "seed": seed, "run": str(run.path)})
