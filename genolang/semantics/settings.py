"""What `train { }` and `search { }` sections mean: plain data, with units and published defaults.

The sections are read by `genolang.semantics.sections`; nothing here imports torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

from genolang.records import record

if TYPE_CHECKING:
    from genolang.semantics.methods import MethodSettings

ScheduleKind = Literal["constant", "cosine", "linear", "step", "exponential"]
OptimizerKind = Literal["sgd", "adam", "adamw", "rmsprop"]
RivalKind = Literal["cheapest", "dearest", "every_second"]
TaskKind = Literal["classification", "segmentation", "counting"]


@record(frozen=True)
class Schedule:
    """A number that changes once per epoch; `e` counts from 0, `n` is the number of epochs.

    constant: start. cosine: end + (start - end) (1 + cos(pi e / n)) / 2. linear: start + (end -
    start) e / n. step: start * factor^(number of `at` epochs <= e). exponential: start * factor^e.
    During the first `warmup` epochs (counted inside n) the value climbs linearly from 0, per step;
    the cosine and linear forms run over the remaining n - warmup epochs.
    """

    kind: ScheduleKind = "constant"
    start: float = 0.0
    end: float = 0.0
    factor: float = 1.0
    at: tuple[int, ...] = ()
    warmup: float = 0.0


@record(frozen=True)
class OptimizerSettings:
    """An optimiser; `decay` is the L2 form except for adamw; `clip` a global norm, None for none."""

    kind: OptimizerKind = "sgd"
    lr: Schedule = Schedule("cosine", 0.025, 0.001)
    momentum: float = 0.9
    nesterov: bool = False
    betas: tuple[float, float] = (0.9, 0.999)
    alpha: float = 0.99
    eps: float = 1e-8
    decay: float = 0.0
    clip: float | None = None


@record(frozen=True)
class Augmentation:
    """One random change of a training image.

    flip, crop(pad), shift(fraction), cutout(size), resized_crop(size) and jitter(amount, hue).
    """

    kind: Literal["flip", "crop", "shift", "cutout", "resized_crop", "jitter"]
    amount: float = 0.0
    hue: float = 0.0


def crop_size(augmentations: Sequence[Augmentation]) -> int | None:
    """The size that `resized_crop` cuts images to; without it None."""
    sizes = [int(change.amount) for change in augmentations if change.kind == "resized_crop"]
    return sizes[-1] if sizes else None


@record(frozen=True)
class NetworkChoice:
    """The network that a section means, and some of its parameters, each as an expression's text."""

    name: str
    given: tuple[tuple[str, str], ...] = ()


@record(frozen=True)
class Collapse:
    """What a differentiable search does about operations without weights that take over.

    It stops as soon as a cell's answer has `skips` edges that hand on their input, 0 for never; or as the
    dominant eigenvalue of the Hessian by the logits, averaged over `window` epochs, is more than
    1 / `eigenvalue` times what it was as many epochs before, 0 for never; and drops skips with the
    probability `dropout`, which falls over the epochs. In any case it warns at its end.
    """

    skips: int = 0
    eigenvalue: float = 0.0
    window: int = 5
    dropout: float = 0.0


@record(frozen=True)
class TrainSettings:
    """Training a discrete network from scratch.

    `network` is the one to train where nobody asks for another, None for the file's only one.
    `split` is the share of the training set that is held out for validation; `seed` the default
    seed; `drop_path` a schedule of probabilities; `patience` epochs without a better validation (or
    training, where nothing is held out) result before stopping, None for never: accuracy, mean
    intersection over union or mean absolute error, by the task; `precision` "auto" is mixed
    precision (bfloat16 or float16 with loss scaling) on a GPU and float32 on a CPU.
    """

    network: NetworkChoice | None = None
    task: TaskKind = "classification"
    data: str = "digits"
    epochs: int = 20
    batch: int = 64
    split: float = 0.1
    optimizer: OptimizerSettings = OptimizerSettings(decay=3e-4, clip=5.0)
    augment: tuple[Augmentation, ...] = ()
    drop_path: Schedule = Schedule()
    label_smoothing: float = 0.0
    patience: int | None = None
    precision: Literal["float32", "auto"] = "auto"
    seed: int = 0


@record(frozen=True)
class SearchSettings:
    """A search: differentiable (DARTS and its attention form) or by samples from a trained supernet.

    `network` is the one to search where nobody asks for another, None for the file's only one.
    `order` 1 or 2 is that of `darts`; `sampling` what the other methods are told, None for `darts`.
    `epochs` is the length of a differentiable search, or of the pre-training of a supernet that is
    sampled, which connects a slot with probability `connect` at every step. `split` the share of
    the training set that trains the weights (the rest trains the choices, or measures schemes).
    `init` the standard deviation of the initial logits; `choices_start` the first epoch in which
    logits move; `fresh_validation` draws a new random validation batch each step (as DARTS),
    otherwise one pass per epoch (as Att-DARTS). `seeds` searches are run and the best kept; each
    answer, `random` random genotypes as the control and the answers that `compare` names, is
    trained from scratch on the weights' half as `score` says and measured on the other half.
    `score` is an optimiser, everything else being as in the search, or a whole training;
    `score_epochs` its length, None for 5 epochs or those of the training. `statistics` is how many
    training batches give batch norms their statistics anew before anything is measured in the
    supernet, 0 for the running ones.
    """

    network: NetworkChoice | None = None
    method: str = "darts"
    order: Literal[1, 2] = 1
    sampling: MethodSettings | None = None
    data: str = "digits"
    epochs: int = 50
    batch: int = 64
    split: float = 0.5
    weights: OptimizerSettings = OptimizerSettings(decay=3e-4, clip=5.0)
    choices: OptimizerSettings = OptimizerSettings("adam", Schedule("constant", 3e-4), betas=(0.5, 0.999), decay=1e-3)
    augment: tuple[Augmentation, ...] = ()
    init: float = 1e-3
    choices_start: int = 0
    fresh_validation: bool = True
    unrolled_radius: float = 0.01
    seed: int = 0
    seeds: int = 1
    random: int = 3
    compare: tuple[RivalKind, ...] = ("cheapest", "dearest", "every_second")
    score: OptimizerSettings | TrainSettings = OptimizerSettings(decay=3e-4, clip=5.0)
    score_epochs: int | None = None
    connect: float = 0.5
    statistics: int = 0
    collapse: Collapse = Collapse()
    precision: Literal["float32", "auto"] = "auto"

    def scoring(self) -> TrainSettings:
        """How an answer is trained from scratch to be measured; the halves are those of the search."""
        if isinstance(self.score, TrainSettings):
            training = self.score
        else:
            training = TrainSettings(
                epochs=5, batch=self.batch, optimizer=self.score, augment=self.augment, precision=self.precision
            )
        epochs = training.epochs if self.score_epochs is None else self.score_epochs
        return replace(training, data=self.data, split=1 - self.split, epochs=epochs)
