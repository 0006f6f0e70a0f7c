"""The one training loop, for `genoc train` and for the scores of a search.

Every step is a pure function of the state before it and of (seed, epoch, step): the batch is drawn
by those numbers, and torch's generator is seeded by them before the step. A run that was stopped at
any step and goes on from its checkpoint is therefore the run that was never stopped.
"""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.optim import Optimizer

from genolang.diagnostics import GenoError, fail
from genolang.semantics.settings import TrainSettings
from genolang.train.batches import generator_for
from genolang.train.captured import Recordings, Work
from genolang.train.evaluate import answer_of, evaluate
from genolang.train.interrupt import Interrupt, interrupted, interruptible
from genolang.train.network import TrainableNetwork, logits_of
from genolang.train.optimizers import build_optimizer, clip_gradients, set_lr
from genolang.train.precision import Precision
from genolang.train.reporter import EpochRecord, Reporter, SilentReporter
from genolang.train.run_folder import RunFolder
from genolang.train.schedules import step_value
from genolang.train.state import copies, pack_state, select, unpack_state
from genolang.train.tasks import TASKS, Task, known, named

SAVE_EVERY_S = 60.0
"""The longest time between checkpoints inside an epoch."""

EXPLODED = 1e4
"""A step's loss this many times that of guessing has exploded; no start is ever so bad."""

GPU_LOOK_STEPS = 16
"""How often the losses are read back from a GPU: each reading waits for it."""

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
    module: TrainableNetwork, settings: TrainSettings, batches: TrainingBatches,
    held_out: EvaluationBatches | None, *, seed: int, device: torch.device, phase: str = "train",
    run: RunFolder | None = None, resume: bool = False, reporter: Reporter | None = None,
    save_every_s: float = SAVE_EVERY_S,
) -> Fitted:
    """Trains a module that is on `device`; with a run folder it journals and saves under `phase`.

    `resume` goes on from the phase's checkpoint, or from the start where there is none. Raises
    G701 and G702 when the loss is lost, G705 and G706 for a checkpoint that does not serve, G709
    when the folder cannot be written, G710 when interrupted, G711 when a GPU's memory is too small.
    """
    loop = _Loop(module, settings, batches, held_out, seed, device, phase, run,
                 reporter or SilentReporter(), save_every_s)
    if resume:
        loop.restore()
    # The caller's generators are left as they were.
    with (
        torch.random.fork_rng(devices=[device] if device.type == "cuda" else []),
        interruptible() as interrupt,
    ):
        try:
            loop.run_epochs(interrupt)
        finally:
            loop.recordings.close()
    progress = loop.progress
    return Fitted(tuple(progress.history), progress.best_epoch, progress.best_score, loop.best)


def seed_step(device: torch.device, seed: int, epoch: int, step: int) -> None:
    """Seeds torch's generators for one step, so that no generator's state need be saved."""
    number = generator_for(seed, "step", epoch, step).initial_seed()
    # Not torch.manual_seed: where CUDA is present but unused it formats a stack at every call.
    torch.default_generator.manual_seed(number)
    if device.type == "cuda":
        with torch.cuda.device(device):
            torch.cuda.manual_seed(number)


@dataclass(slots=True)
class _Loop:
    module: TrainableNetwork
    settings: TrainSettings
    batches: TrainingBatches
    held_out: EvaluationBatches | None
    seed: int
    device: torch.device
    phase: str
    run: RunFolder | None
    reporter: Reporter
    save_every_s: float
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
    started: float = field(default_factory=time.monotonic)
    saved: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        self.steps = len(self.batches)
        assert self.steps > 0, "training needs a batch"
        weights = list(self.module.parameters())
        self.optimizer = build_optimizer(self.settings.optimizer, weights)
        self.precision = Precision(self.device, self.settings.precision)
        self.task = TASKS[self.settings.task]
        self.best = copies(self.module.state_dict())
        self.recordings = Recordings(self.device, self.module.captured)
        self.differentiate = self.recordings.work(
            "steps", self._differentiate, self._seed, weights, list(self.module.buffers())
        )
        self.answer = self.recordings.work("answers", lambda images: answer_of(self.module, images))

    def run_epochs(self, interrupt: Interrupt) -> None:
        progress, epochs = self.progress, self.settings.epochs
        while progress.epoch < epochs and not self._out_of_patience():
            with interrupt.deferred():
                self.reporter.epoch_started(self.phase, progress.epoch, epochs)
            self.module.train()
            while progress.step < self.steps:
                self._step()
                interrupt.tell(self.reporter, self.recordings.news())
                with interrupt.deferred():
                    mean = progress.loss_sum / max(progress.images, 1)
                    self.reporter.step_done(progress.step, self.steps, mean)
                if interrupt.requested or time.monotonic() - self.saved >= self.save_every_s:
                    self._check()
                    self._save()
                self._stop_if(interrupt)
            self._check()
            record = self._finish_epoch()
            self._save()
            interrupt.tell(self.reporter, self.recordings.news())
            with interrupt.deferred():
                self.reporter.epoch_done(record)
            self._stop_if(interrupt)

    def _seed(self) -> None:
        seed_step(self.device, self.seed, self.progress.epoch, self.progress.step)

    def _step(self) -> None:
        progress, settings = self.progress, self.settings
        at = (progress.epoch, settings.epochs, progress.step, self.steps)
        set_lr(self.optimizer, step_value(settings.optimizer.lr, *at))
        drop_path = step_value(settings.drop_path, *at)
        self.module.set_drop_path(drop_path)
        images, labels = self.batches.batch(progress.epoch, progress.step)
        try:
            loss, tally = self.differentiate(images, labels, key=drop_path)
            self._update()
        except torch.OutOfMemoryError as error:
            raise fail(
                "G711", f"a batch of {settings.batch} images does not fit into the GPU's memory",
                help="set a smaller `batch`",
            ) from error
        self.unread.append((labels.shape[0], loss, tally))
        progress.step += 1
        if self.device.type != "cuda" or progress.step % GPU_LOOK_STEPS == 0:
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

    def _check(self) -> None:
        """Raises unless the state is good, before it becomes a record or a checkpoint."""
        self._read_losses()
        # A gradient can be lost while the loss is still finite.
        finite = [parameter.detach().isfinite().all() for parameter in self.module.parameters()]
        if finite and not bool(torch.stack(finite).all()):
            raise self._lost("G701", "a weight is no longer finite")

    def _read_losses(self) -> None:
        """Adds the last steps to the epoch's sums; raises G701 or G702 when one was lost."""
        if not self.unread:
            return
        progress = self.progress
        counts, losses, tallies = zip(*self.unread, strict=True)
        read = torch.stack(losses).tolist(), torch.stack(tallies).tolist()
        for count, loss, tally in zip(counts, *read, strict=True):
            if not math.isfinite(loss):
                raise self._lost("G701", f"the loss is {loss}")
            if loss > self.loss_limit:
                raise self._lost("G702", f"the loss has grown to {loss:.3g}")
            progress.loss_sum += loss * count
            held = progress.tally or [0.0] * len(tally)
            progress.tally = [sum(pair) for pair in zip(held, tally, strict=True)]
            progress.images += count
        self.unread.clear()

    def _finish_epoch(self) -> EpochRecord:
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
            lr=step_value(settings.optimizer.lr, progress.epoch, settings.epochs,
                          self.steps - 1, self.steps),
            seconds=self._seconds() - sum(done.seconds for done in progress.history),
            metrics=named("train", train) | named("val", val),
        )
        score = task.score(held_out.metrics if held_out else trained)
        if progress.best_epoch < 0 or score > progress.best_score:
            progress.best_epoch, progress.best_score = progress.epoch, score
            self.best = copies(self.module.state_dict())
        progress.history.append(record)
        progress.epoch, progress.step = progress.epoch + 1, 0
        progress.loss_sum, progress.tally, progress.images = 0.0, [], 0
        if self.run is not None:
            self.run.append(self.phase, asdict(record))
        return record

    def _out_of_patience(self) -> bool:
        patience, progress = self.settings.patience, self.progress
        return patience is not None and progress.epoch - 1 - progress.best_epoch >= max(patience, 1)

    def _seconds(self) -> float:
        return self.progress.seconds + time.monotonic() - self.started

    def _stop_if(self, interrupt: Interrupt) -> None:
        if interrupt.requested:
            raise interrupted(None if self.run is None else self.run.resume_command)

    def _save(self) -> None:
        if self.run is None:
            return
        tensors = {
            **pack_state("module", self.module),
            **pack_state("optimizer", self.optimizer),
            **pack_state("best", self.best),
        }
        progress = {**asdict(self.progress), "seconds": self._seconds()}
        self.run.save(self.phase, tensors, {
            "fingerprint": self._fingerprint(),
            "seed": self.seed,
            "progress": progress,
            "scaler": self.precision.state(),
        })
        self.saved = time.monotonic()

    def restore(self) -> None:
        assert self.run is not None, "resuming needs a run folder"
        checkpoint = self.run.restore(self.phase)
        if checkpoint is None:
            return
        meta = checkpoint.meta
        if meta["fingerprint"] != self._fingerprint():
            raise fail(
                "G706", f"the run in `{self.run.path}` was made with other settings, another seed, "
                "other data or another network",
                help="undo the change, or start a new run in another folder",
            )
        unpack_state("module", checkpoint.tensors, self.module)
        unpack_state("optimizer", checkpoint.tensors, self.optimizer)
        self.best = select("best", checkpoint.tensors)
        self.precision.load_state(meta["scaler"])
        stored: dict[str, Any] = meta["progress"]
        history = [EpochRecord(**record) for record in stored.pop("history")]
        self.progress = _Progress(**stored, history=history)
        self.started = self.saved = time.monotonic()
        for path in checkpoint.damaged:
            self.reporter.message(f"`{path}` is damaged: going on from the one before it")
        if self.progress.epoch < self.settings.epochs:
            self.reporter.message(
                f"going on in epoch {self.progress.epoch + 1} of {self.settings.epochs} "
                f"after step {self.progress.step} of {self.steps}"
            )

    def _fingerprint(self) -> str:
        """What must be the same for a checkpoint to mean the same."""
        shapes = [(name, tuple(tensor.shape)) for name, tensor in self.module.state_dict().items()]
        facts = repr((self.settings, self.seed, self.steps, shapes))
        return hashlib.sha256(facts.encode()).hexdigest()

    def _lost(self, code: str, what: str) -> GenoError:
        progress = self.progress
        notes = []
        last = None if self.run is None else self.run.last_checkpoint(self.phase)
        if self.run is not None and last is not None:
            notes.append(f"the last good checkpoint is `{last}`")
            notes.append(f"`{self.run.resume_command}` goes on from it, with the same settings")
        return fail(
            code, f"{what} in epoch {progress.epoch + 1} of {self.settings.epochs}, by step "
            f"{progress.step} of {self.steps}",
            help="train again with a lower `lr`, or with `clip` set", notes=notes,
        )
