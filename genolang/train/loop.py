"""The one training loop, for `genoc train` and for the scores of a search."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.optim import Optimizer

from genolang.diagnostics import GenoError
from genolang.semantics.settings import TrainSettings
from genolang.train.captured import Recordings, Work
from genolang.train.epochs import EXPLODED, GPU_LOOK_STEPS, all_finite, fault, in_memory, lost, run_epochs, seed_step
from genolang.train.evaluate import answer_of, evaluate
from genolang.train.network import TrainableNetwork, logits_of
from genolang.train.optimizers import build_optimizer, clip_gradients, set_lr
from genolang.train.phase import Phase, Sitting
from genolang.train.precision import Precision
from genolang.train.reporter import EpochRecord
from genolang.train.schedules import step_value
from genolang.train.state import copies, pack_state, select, unpack_state
from genolang.train.tasks import TASKS, Task, known, named

EvaluationBatches = Callable[[], Iterable[tuple[Tensor, Tensor]]]


class TrainingBatches(Protocol):
    """Batches by number, as `genolang.train.batches.Batches` draws them."""

    def __len__(self) -> int: ...

    def batch(self, epoch: int, step: int) -> tuple[Tensor, Tensor]: ...


@dataclass(frozen=True, slots=True)
class Fitted:
    """The end of a training: its epochs and the weights of the best one, on the CPU.

    Best is the highest score of the task on the validation images, or in training where nothing is
    held out: for classification the accuracy. Of equals it is the earliest. The module itself holds
    the last weights.
    """

    history: tuple[EpochRecord, ...]
    best_epoch: int
    best_score: float
    best_weights: dict[str, Tensor]


@dataclass(slots=True)
class _Progress:
    """Where the run stands, in numbers that JSON keeps exactly."""

    epoch: int = 0
    step: int = 0
    loss_sum: float = 0.0
    tally: list[float] = field(default_factory=list)
    images: int = 0
    seconds: float = 0.0
    best_epoch: int = -1
    best_score: float = 0.0
    history: list[EpochRecord] = field(default_factory=list)


def fit(
    module: TrainableNetwork,
    settings: TrainSettings,
    batches: TrainingBatches,
    held_out: EvaluationBatches | None,
    phase: Phase,
) -> Fitted:
    """Trains a module that is on the phase's device.

    Raises G701 and G702 when the loss is lost, G705 and G706 for a checkpoint that does not serve, G709
    when the folder cannot be written, G710 when interrupted, G711 when a GPU's memory is too small.
    """
    loop = _Loop(module, settings, batches, held_out, phase)
    with phase.working() as interrupt:
        run_epochs(loop, interrupt)
    progress = loop.progress
    return Fitted(tuple(progress.history), progress.best_epoch, progress.best_score, loop.best)


@dataclass(slots=True)
class _Loop:
    """`genolang.train.epochs.Epochs` of a training."""

    module: TrainableNetwork
    settings: TrainSettings
    batches: TrainingBatches
    held_out: EvaluationBatches | None
    phase: Phase
    sitting: Sitting = field(init=False)
    epochs: int = field(init=False)
    steps: int = field(init=False)
    optimizer: Optimizer = field(init=False)
    precision: Precision = field(init=False)
    task: Task = field(init=False)
    recordings: Recordings = field(init=False)
    differentiate: Work = field(init=False)
    answer: Work = field(init=False)
    best: dict[str, Tensor] = field(init=False)
    progress: _Progress = field(default_factory=_Progress)
    # Per step, the number of images, and on the device the loss and the tally of the metrics.
    unread: list[tuple[int, Tensor, Tensor]] = field(default_factory=list)
    loss_limit: float = math.inf

    def __post_init__(self) -> None:
        self.epochs, self.steps = self.settings.epochs, len(self.batches)
        assert self.steps > 0, "training needs a batch"
        shapes = [(name, tuple(tensor.shape)) for name, tensor in self.module.state_dict().items()]
        self.sitting = Sitting(self.phase, self.settings, self.phase.seed, self.steps, shapes)
        weights = list(self.module.parameters())
        self.optimizer = build_optimizer(self.settings.optimizer, weights)
        self.precision = Precision(self.phase.device, self.settings.precision)
        self.task = TASKS[self.settings.task]
        self.best = copies(self.module.state_dict())
        self.recordings = Recordings(self.phase.device, self.module.captured)
        self.differentiate = self.recordings.work(
            "steps", self._differentiate, self._seed, weights, list(self.module.buffers())
        )
        self.answer = self.recordings.work("answers", lambda images: answer_of(self.module, images))

    def over(self) -> bool:
        patience, progress = self.settings.patience, self.progress
        impatient = patience is not None and progress.epoch - 1 - progress.best_epoch >= max(patience, 1)
        return impatient or progress.epoch >= self.epochs

    def begin_epoch(self) -> None:
        self.module.train()

    def _seed(self) -> None:
        seed_step(self.phase.device, self.phase.seed, self.progress.epoch, self.progress.step)

    def step(self) -> None:
        progress, settings = self.progress, self.settings
        at = (progress.epoch, settings.epochs, progress.step, self.steps)
        set_lr(self.optimizer, step_value(settings.optimizer.lr, *at))
        drop_path = step_value(settings.drop_path, *at)
        self.module.set_drop_path(drop_path)
        images, labels = self.batches.batch(progress.epoch, progress.step)
        with in_memory(settings.batch):
            loss, tally = self.differentiate(images, labels, key=drop_path)
            self._update()
        self.unread.append((labels.shape[0], loss, tally))
        progress.step += 1
        if self.phase.device.type != "cuda" or progress.step % GPU_LOOK_STEPS == 0:
            self._read_losses()

    def _differentiate(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Leaves gradients in the weights; the loss and the tally of the metrics. Can be recorded."""
        smoothing = self.settings.label_smoothing
        with self.precision.autocast():
            output, auxiliary = logits_of(self.module, images)
        output = output.float()
        loss = self.task.loss(output, labels, smoothing)
        if auxiliary is not None:
            extra = self.task.loss(auxiliary.float(), labels, smoothing)
            loss = loss + self.module.auxiliary_weight * extra
        self.precision.backward(loss)
        guessing = self.task.guessing(output) * (1 + self.module.auxiliary_weight)
        self.loss_limit = EXPLODED * guessing
        return loss.detach(), self.task.tally(output.detach(), labels)

    def _update(self) -> None:
        """A step by the gradients, as they are: what it does may change from one to the next."""
        self.precision.unscale(self.optimizer)
        clip_gradients(self.optimizer, self.settings.optimizer.clip)
        self.precision.step(self.optimizer)

    def check(self) -> None:
        self._read_losses()
        if not all_finite(self.module.parameters()):
            raise self._lost("G701", "a weight is no longer finite")

    def _read_losses(self) -> None:
        """Adds the last steps to the epoch's sums; raises G701 or G702 when one was lost."""
        if not self.unread:
            return
        progress = self.progress
        counts, losses, tallies = zip(*self.unread, strict=True)
        read = torch.stack(losses).tolist(), torch.stack(tallies).tolist()
        for count, loss, tally in zip(counts, *read, strict=True):
            if bad := fault(loss, self.loss_limit):
                raise self._lost(bad[0], f"the loss {bad[1]}")
            progress.loss_sum += loss * count
            held = progress.tally or [0.0] * len(tally)
            progress.tally = [sum(pair) for pair in zip(held, tally, strict=True)]
            progress.images += count
        self.unread.clear()

    def finish_epoch(self) -> tuple[EpochRecord, tuple[()]]:
        progress, settings, task = self.progress, self.settings, self.task
        measured = None if self.held_out is None else self.held_out()
        held_out = None if measured is None else evaluate(self.module, measured, task, self.answer)
        trained = task.metrics(progress.tally)
        train, val = known(trained), known(held_out.metrics) if held_out else {}
        record = EpochRecord(
            epoch=progress.epoch,
            train_loss=progress.loss_sum / progress.images,
            train_accuracy=train.pop("accuracy", None),
            # A validation loss may overflow where training did not; JSON has no infinity.
            val_loss=held_out.loss if held_out and math.isfinite(held_out.loss) else None,
            val_accuracy=val.pop("accuracy", None),
            lr=step_value(settings.optimizer.lr, progress.epoch, settings.epochs, self.steps - 1, self.steps),
            seconds=self.sitting.seconds - sum(done.seconds for done in progress.history),
            metrics=named("train", train) | named("val", val),
        )
        score = task.score(held_out.metrics if held_out else trained)
        if progress.best_epoch < 0 or score > progress.best_score:
            progress.best_epoch, progress.best_score = progress.epoch, score
            self.best = copies(self.module.state_dict())
        progress.history.append(record)
        progress.epoch, progress.step = progress.epoch + 1, 0
        progress.loss_sum, progress.tally, progress.images = 0.0, [], 0
        self.phase.append(asdict(record))
        return record, ()

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        tensors = {
            **pack_state("module", self.module),
            **pack_state("optimizer", self.optimizer),
            **pack_state("best", self.best),
        }
        return tensors, {"scaler": self.precision.state()}

    def restore(self, tensors: Mapping[str, Tensor], meta: Mapping[str, Any]) -> None:
        unpack_state("module", tensors, self.module)
        unpack_state("optimizer", tensors, self.optimizer)
        self.best = select("best", tensors)
        self.precision.load_state(meta["scaler"])
        history = [EpochRecord(**record) for record in meta["progress"]["history"]]
        self.progress = _Progress(**{**meta["progress"], "history": history})

    def _lost(self, code: str, what: str) -> GenoError:
        return lost(self, code, what, "train again with a lower `lr`, or with `clip` set")
