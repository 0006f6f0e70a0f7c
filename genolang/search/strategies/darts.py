"""`method darts`: logits and weights of a supernet, trained in turns on two halves of the data.

Every step is a pure function of the state before it and of (seed, epoch, step), so a search that
was stopped at any step and goes on from its checkpoint is the search that was never stopped.
Source: DARTS (Liu, Simonyan, Yang, 2019), algorithm 1, and quark0/darts. The network stays in
training mode throughout an epoch; its running statistics move once in a first-order step of the
choices (three times in a second-order one) and once in a step of the weights, as in that code.
"""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy
from torch.optim import Optimizer

from genolang.diagnostics import GenoError, fail
from genolang.search.choice_gradients import (
    exact_products,
    first_order,
    fixed,
    second_order,
    virtual_step,
)
from genolang.search.collapse import Watch, curvature
from genolang.search.halves import Halves
from genolang.search.normalising import fresh_accuracy
from genolang.search.progress import Progress, lost
from genolang.search.strategy import (
    Derives,
    Searched,
    SearchEpoch,
    logits_of_choices,
    openness,
    summarise,
)
from genolang.semantics.program import Program
from genolang.semantics.settings import Collapse, SearchSettings
from genolang.train.batches import Batches, generator_for
from genolang.train.captured import Recordings, Work
from genolang.train.datasets import Dataset
from genolang.train.evaluate import answer_of, correct_answers, evaluate
from genolang.train.interrupt import Interrupt, interrupted, interruptible
from genolang.train.loop import EXPLODED, GPU_LOOK_STEPS, SAVE_EVERY_S, seed_step
from genolang.train.network import logits_of
from genolang.train.optimizers import build_optimizer, clip_gradients, set_lr
from genolang.train.precision import Precision
from genolang.train.reporter import Reporter, SilentReporter
from genolang.train.run_folder import RunFolder
from genolang.train.schedules import step_value
from genolang.train.state import pack_state, unpack_state

if TYPE_CHECKING:
    from genolang.compiler.driver import NetworkModule

Batch = tuple[Tensor, Tensor]


def search_one(
    module: NetworkModule, settings: SearchSettings, data: Dataset, run: RunFolder | None = None,
    *, seed: int, device: torch.device, phase: str = "search", resume: bool = False,
    reporter: Reporter | None = None, save_every_s: float = SAVE_EVERY_S,
    program: Program | None = None, trained: bool = False,
    derives: Derives | None = None,
) -> Searched:
    """Searches from the module's present weights and from fresh logits drawn by `seed`.

    Per step: first the choices (Adam, on a validation batch), then the weights (on the training
    batch). The halves are drawn by `settings.seed`. Mixed precision, on a GPU that has bfloat16,
    leaves second-order gradients in float32. Raises what `genolang.train.loop.fit` raises.
    """
    module.to(device)
    loop = _Loop(module, settings, Halves(settings, data, device), seed, device, phase, run,
                 reporter or SilentReporter(), save_every_s, program, derives)
    told = loop.restore() if resume else []
    # The caller's generators are left as they were.
    with (
        torch.random.fork_rng(devices=[device] if device.type == "cuda" else []),
        interruptible() as interrupt,
    ):
        interrupt.tell(loop.reporter, told)
        try:
            loop.run_epochs(interrupt)
        finally:
            loop.recordings.close()
        accuracy = loop.finish()
    progress = loop.progress
    return Searched(logits_of_choices(module.choices), accuracy, tuple(progress.history),
                    entropy=openness(summarise(module)), stopped=progress.stopped)


@dataclass(slots=True)
class _Loop:
    module: NetworkModule
    settings: SearchSettings
    halves: Halves
    seed: int
    device: torch.device
    phase: str
    run: RunFolder | None
    reporter: Reporter
    save_every_s: float
    program: Program | None
    derives: Derives | None
    train: Batches = field(init=False)
    val: Batches = field(init=False)
    weights: list[Tensor] = field(init=False)
    logits: list[Tensor] = field(init=False)
    weights_optimizer: Optimizer = field(init=False)
    choices_optimizer: Optimizer = field(init=False)
    precision: Precision = field(init=False)
    recordings: Recordings = field(init=False)
    for_choices: Work = field(init=False)
    for_weights: Work = field(init=False)
    answer: Work = field(init=False)
    progress: Progress = field(default_factory=Progress)
    watch: Watch | None = None
    # Per step the number of images and, on the device, losses and the number of right answers.
    unread: list[tuple[int, Tensor]] = field(default_factory=list)
    loss_limit: float = math.inf
    started: float = field(default_factory=time.monotonic)
    saved: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        settings, halves, choices = self.settings, self.halves, self.module.choices
        self.train = halves.batches(halves.weights, self.seed, "weights")
        self.val = halves.batches(halves.choices, self.seed, "choices")
        for key in choices:
            draw = torch.randn(choices[key].shape, generator=generator_for(self.seed, "init", key))
            choices[key] = settings.init * draw
        self.weights, self.logits = list(self.module.parameters()), list(choices.values())
        self.weights_optimizer = build_optimizer(settings.weights, self.weights)
        self.choices_optimizer = build_optimizer(settings.choices, self.logits)
        self.precision = Precision(self.device, settings.precision)
        if self.precision.dtype == torch.float16:
            # Scaled losses would have to be carried through every gradient by the logits.
            self.precision = Precision(self.device, "float32")
        self.module.set_drop_path(0.0)
        if settings.collapse != Collapse():
            assert self.program is not None, "cells are those of a program"
            self.watch = Watch(settings, self.program, self.module.choices, self.derives)
        # The passes of a second-order step would need their memory beside that of the recordings.
        self.recordings = Recordings(self.device, self.module.captured and settings.order == 1)
        work, kept = self.recordings.work, list(self.module.buffers())
        self.for_choices = work("steps of the choices", self._first_order, self._seed, (), kept)
        self.for_weights = work("steps of the weights", self._differentiate, self._seed, self.weights, kept)
        self.answer = work("answers", lambda images: answer_of(self.module, images))

    def run_epochs(self, interrupt: Interrupt) -> None:
        progress, epochs, steps = self.progress, self.settings.epochs, len(self.train)
        while progress.epoch < epochs and progress.stopped is None:
            with interrupt.deferred():
                self.reporter.epoch_started(self.phase, progress.epoch, epochs)
            self.module.train()
            if self.watch is not None:
                self.watch.begin_epoch(progress.epoch)
            while progress.step < steps:
                self._step()
                interrupt.tell(self.reporter, self.recordings.news())
                with interrupt.deferred():
                    mean = progress.loss_sum / max(progress.images, 1)
                    self.reporter.step_done(progress.step, steps, mean)
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
                for line in record.choices:
                    self.reporter.message(str(line))
                if progress.stopped is not None:
                    self.reporter.message(f"the search ends here: {progress.stopped}")
            self._stop_if(interrupt)

    def _step(self) -> None:
        progress, settings = self.progress, self.settings
        at = (progress.epoch, settings.epochs, progress.step, len(self.train))
        set_lr(self.weights_optimizer, step_value(settings.weights.lr, *at))
        set_lr(self.choices_optimizer, step_value(settings.choices.lr, *at))
        batch = self.train.batch(progress.epoch, progress.step)
        choices_loss = torch.zeros((), device=self.device)
        try:
            if progress.epoch >= settings.choices_start:
                choices_loss = self._move_choices(batch)
            loss, correct = self._move_weights(batch)
        except torch.OutOfMemoryError as error:
            raise fail(
                "G711", f"a batch of {settings.batch} images does not fit into the GPU's memory",
                help="set a smaller `batch`",
            ) from error
        self.unread.append((len(batch[1]), torch.stack([loss, choices_loss, correct])))
        progress.step += 1
        if self.device.type != "cuda" or progress.step % GPU_LOOK_STEPS == 0:
            self._read_losses()

    def _move_choices(self, batch: Batch) -> Tensor:
        """A step of the choices; the validation loss that it stood on."""
        settings, val = self.settings, self._val_batch()
        if settings.order == 1:
            loss, *found = self.for_choices(*val)
            gradients = tuple(found)
        else:
            with exact_products(self.device):
                loss, gradients = second_order(
                    self._exact_loss(batch), self._exact_loss(val), self.module,
                    self.logits, virtual_step(self.weights_optimizer, self.weights),
                    settings.unrolled_radius,
                )
        for logits, gradient in zip(self.logits, gradients, strict=True):
            logits.grad = gradient
        clip_gradients(self.choices_optimizer, settings.choices.clip)
        self.choices_optimizer.step()
        self.choices_optimizer.zero_grad()
        return loss

    def _first_order(self, *batch: Tensor) -> tuple[Tensor, ...]:
        """The validation loss and its gradients by the logits. Can be recorded."""
        loss, gradients = first_order(
            lambda: self._forward(batch, self.precision.autocast())[0], self.weights, self.logits
        )
        return loss, *gradients

    def _move_weights(self, batch: Batch) -> Batch:
        """A step of the weights; the loss and the number of right answers before it."""
        loss, correct = self.for_weights(*batch)
        clip_gradients(self.weights_optimizer, self.settings.weights.clip)
        self.precision.step(self.weights_optimizer)
        return loss, correct

    def _differentiate(self, *batch: Tensor) -> Batch:
        """Leaves gradients in the weights; the loss and the number of right answers. Can be recorded."""
        with fixed(self.logits):
            loss, output = self._forward(batch, self.precision.autocast())
            self.precision.backward(loss)
        guessing = math.log(max(output.shape[1], 2)) * (1 + self.module.auxiliary_weight)
        self.loss_limit = EXPLODED * guessing
        return loss.detach(), correct_answers(output.detach(), batch[1])

    def _exact_loss(self, batch: Batch) -> Callable[[], Tensor]:
        def loss() -> Tensor:
            self._seed()
            return self._forward(batch, nullcontext())[0]

        return loss

    def _seed(self) -> None:
        """All passes of a step draw the same dropout masks."""
        seed_step(self.device, self.seed, self.progress.epoch, self.progress.step)

    def _forward(self, batch: tuple[Tensor, ...], context: AbstractContextManager[object]) -> Batch:
        """The loss and the output of a pass."""
        images, labels = batch
        with context:
            output, auxiliary = logits_of(self.module, images)
        loss = cross_entropy(output.float(), labels)
        if auxiliary is not None:
            extra = cross_entropy(auxiliary.float(), labels)
            loss = loss + self.module.auxiliary_weight * extra
        return loss, output

    def _val_batch(self) -> Batch:
        epoch, step = self.progress.epoch, self.progress.step
        if self.settings.fresh_validation:
            return self.val.random_batch(epoch, step)
        # One pass per epoch, begun again, in another order, where this half is the smaller one.
        passes = -(-len(self.train) // len(self.val))
        return self.val.batch(epoch * passes + step // len(self.val), step % len(self.val))

    def _check(self) -> None:
        """Raises unless the state is good, before it becomes a record or a checkpoint."""
        self._read_losses()
        for what, tensors in (("weight", self.weights), ("logit", self.logits)):
            # A gradient can be lost while the loss is still finite.
            if not bool(torch.stack([tensor.detach().isfinite().all() for tensor in tensors]).all()):
                raise self._lost("G701", f"a {what} is no longer finite")

    def _read_losses(self) -> None:
        """Adds the last steps to the epoch's sums; raises G701 or G702 when one was lost."""
        if not self.unread:
            return
        progress = self.progress
        counts, values = zip(*self.unread, strict=True)
        rows = torch.stack(values).tolist()
        for count, (loss, choices_loss, correct) in zip(counts, rows, strict=True):
            # In the order of the step: what is lost in the first is lost in the second too.
            for what, value in (("validation loss", choices_loss), ("loss", loss)):
                if not math.isfinite(value):
                    raise self._lost("G701", f"the {what} is {value}")
                if value > self.loss_limit:
                    raise self._lost("G702", f"the {what} has grown to {value:.3g}")
            progress.loss_sum += loss * count
            progress.choices_loss_sum += choices_loss
            progress.correct += correct
            progress.images += count
        self.unread.clear()

    def _finish_epoch(self) -> SearchEpoch:
        progress, settings, steps = self.progress, self.settings, len(self.train)
        measured = evaluate(self.module, self.halves.measured(), answer=self.answer)
        moved = progress.epoch >= settings.choices_start
        record = SearchEpoch(
            epoch=progress.epoch,
            train_loss=progress.loss_sum / progress.images,
            train_accuracy=progress.correct / progress.images,
            # A validation loss may overflow where training did not; JSON has no infinity.
            val_loss=measured.loss if math.isfinite(measured.loss) else None,
            val_accuracy=measured.accuracy,
            lr=step_value(settings.weights.lr, progress.epoch, settings.epochs, steps - 1, steps),
            seconds=self._seconds() - sum(done.seconds for done in progress.history),
            choices_loss=progress.choices_loss_sum / steps if moved else None,
            choices=summarise(self.module),
        )
        progress.history.append(record)
        progress.epoch, progress.step = progress.epoch + 1, 0
        progress.loss_sum = progress.choices_loss_sum = progress.correct = 0.0
        progress.images = 0
        logits = logits_of_choices(self.module.choices)
        if self.run is not None:
            self.run.append(self.phase, {**record.to_json(), "logits": logits})
        if moved and self.watch is not None:
            self.watch.end_epoch(progress, logits, self._curvature)
        return record

    def _curvature(self) -> float:
        """The dominant eigenvalue on a validation batch of its own."""
        epoch = self.progress.epoch
        loss = self._exact_loss(self.val.random_batch(epoch, len(self.train)))
        generator = generator_for(self.seed, "eigenvalue", epoch)
        return curvature(loss, self.module, self.weights, self.logits, generator)

    def finish(self) -> float:
        """Takes the logits that are the answer; the accuracy of the mixture with them."""
        earlier = self.watch is not None and self.watch.take(self.progress)
        accuracy = fresh_accuracy(self.settings, self.module, self.halves, self.seed)
        if accuracy is None and earlier:
            accuracy = evaluate(self.module, self.halves.measured()).accuracy
        accuracy = self.progress.history[-1].val_accuracy if accuracy is None else accuracy
        assert accuracy is not None
        return accuracy

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
            **pack_state("choices", self.module.choices),
            **pack_state("weights_optimizer", self.weights_optimizer),
            **pack_state("choices_optimizer", self.choices_optimizer),
        }
        progress = {**asdict(self.progress), "seconds": self._seconds()}
        self.run.save(self.phase, tensors, {
            "fingerprint": self._fingerprint(), "seed": self.seed, "progress": progress,
        })
        self.saved = time.monotonic()

    def restore(self) -> list[str]:
        """Takes up the phase's checkpoint, if there is one; what there is to say about it."""
        assert self.run is not None, "resuming needs a run folder"
        checkpoint = self.run.restore(self.phase)
        if checkpoint is None:
            return []
        if checkpoint.meta["fingerprint"] != self._fingerprint():
            raise fail(
                "G706", f"the run in `{self.run.path}` was made with other settings, another seed, "
                "other data or another network",
                help="undo the change, or start a new run in another folder",
            )
        unpack_state("module", checkpoint.tensors, self.module)
        unpack_state("choices", checkpoint.tensors, self.module.choices)
        unpack_state("weights_optimizer", checkpoint.tensors, self.weights_optimizer)
        unpack_state("choices_optimizer", checkpoint.tensors, self.choices_optimizer)
        stored: dict[str, Any] = checkpoint.meta["progress"]
        history = [SearchEpoch.from_json(record) for record in stored.pop("history")]
        self.progress = Progress(**stored, history=history)
        self.started = self.saved = time.monotonic()
        told = [f"`{path}` is damaged: going on from the one before it"
                for path in checkpoint.damaged]
        if self.progress.epoch < self.settings.epochs and self.progress.stopped is None:
            told.append(
                f"going on in epoch {self.progress.epoch + 1} of {self.settings.epochs} "
                f"after step {self.progress.step} of {len(self.train)}"
            )
        return told

    def _fingerprint(self) -> str:
        """What must be the same for a checkpoint to mean the same."""
        named = [*self.module.state_dict().items(), *self.module.choices.items()]
        shapes = [(name, tuple(tensor.shape)) for name, tensor in named]
        facts = repr((self.settings, self.seed, len(self.train), len(self.halves.choices), shapes))
        return hashlib.sha256(facts.encode()).hexdigest()

    def _lost(self, code: str, what: str) -> GenoError:
        return lost(code, what, self.progress, self.settings.epochs, len(self.train), self.phase, self.run)
