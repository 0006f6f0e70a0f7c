"""`method darts`: logits and weights of a supernet, trained in turns on two halves of the data.

Source: DARTS (Liu, Simonyan, Yang, 2019), algorithm 1, and quark0/darts. The network stays in
training mode throughout an epoch; its running statistics move once in a first-order step of the
choices (three times in a second-order one) and once in a step of the weights, as in that code.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy
from torch.optim import Optimizer

from genolang.diagnostics import GenoError
from genolang.search.choice_gradients import exact_products, first_order, fixed, second_order, virtual_step
from genolang.search.collapse import Watch, curvature
from genolang.search.halves import Halves
from genolang.search.normalising import fresh_accuracy
from genolang.search.progress import Progress
from genolang.search.strategy import Derives, Searched, SearchEpoch, logits_of_choices, openness, summarise
from genolang.semantics.program import Program
from genolang.semantics.settings import Collapse, SearchSettings
from genolang.train.batches import Batches, generator_for
from genolang.train.captured import Recordings, Work
from genolang.train.datasets import Dataset
from genolang.train.epochs import EXPLODED, GPU_LOOK_STEPS, all_finite, fault, in_memory, lost, run_epochs, seed_step
from genolang.train.evaluate import answer_of, correct_answers, evaluate
from genolang.train.network import logits_of
from genolang.train.optimizers import build_optimizer, clip_gradients, set_lr
from genolang.train.phase import Phase, Sitting
from genolang.train.precision import Precision
from genolang.train.schedules import step_value
from genolang.train.state import Packable, pack_state, unpack_state

if TYPE_CHECKING:
    from genolang.compiler.driver import NetworkModule

Batch = tuple[Tensor, Tensor]


def search_one(
    module: NetworkModule,
    settings: SearchSettings,
    data: Dataset,
    phase: Phase,
    program: Program,
    *,
    trained: bool = False,
    derives: Derives | None = None,
) -> Searched:
    """Searches from the module's present weights and from fresh logits drawn by the phase's seed.

    Per step: first the choices (Adam, on a validation batch), then the weights (on the training
    batch). The halves are drawn by `settings.seed`. Mixed precision, on a GPU that has bfloat16,
    leaves second-order gradients in float32. Raises what `genolang.train.loop.fit` raises.
    """
    module.to(phase.device)
    loop = _Loop(module, settings, Halves(settings, data, phase.device), phase, program, derives)
    with phase.working() as interrupt:
        run_epochs(loop, interrupt)
        accuracy = loop.finish()
    progress = loop.progress
    return Searched(
        logits_of_choices(module.choices),
        accuracy,
        tuple(progress.history),
        entropy=openness(summarise(module)),
        stopped=progress.stopped,
    )


@dataclass(slots=True)
class _Loop:
    """`genolang.train.epochs.Epochs` of a search."""

    module: NetworkModule
    settings: SearchSettings
    halves: Halves
    phase: Phase
    program: Program
    derives: Derives | None
    sitting: Sitting = field(init=False)
    epochs: int = field(init=False)
    steps: int = field(init=False)
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

    def __post_init__(self) -> None:
        settings, halves, choices = self.settings, self.halves, self.module.choices
        self.train = halves.batches(halves.weights, self.phase.seed, "weights")
        self.val = halves.batches(halves.choices, self.phase.seed, "choices")
        for key in choices:
            draw = torch.randn(choices[key].shape, generator=generator_for(self.phase.seed, "init", key))
            choices[key] = settings.init * draw
        self.weights, self.logits = list(self.module.parameters()), list(choices.values())
        self.weights_optimizer = build_optimizer(settings.weights, self.weights)
        self.choices_optimizer = build_optimizer(settings.choices, self.logits)
        self.precision = Precision(self.phase.device, settings.precision)
        if self.precision.dtype == torch.float16:
            # Scaled losses would have to be carried through every gradient by the logits.
            self.precision = Precision(self.phase.device, "float32")
        self.epochs, self.steps = settings.epochs, len(self.train)
        named = [*self.module.state_dict().items(), *choices.items()]
        shapes = [(name, tuple(tensor.shape)) for name, tensor in named]
        self.sitting = Sitting(self.phase, settings, self.phase.seed, self.steps, len(halves.choices), shapes)
        self.module.set_drop_path(0.0)
        if settings.collapse != Collapse():
            self.watch = Watch(settings, self.program, self.module.choices, self.derives)
        # The passes of a second-order step would need their memory beside that of the recordings.
        self.recordings = Recordings(self.phase.device, self.module.captured and settings.order == 1)
        work, kept = self.recordings.work, list(self.module.buffers())
        self.for_choices = work("steps of the choices", self._first_order, self._seed, (), kept)
        self.for_weights = work("steps of the weights", self._differentiate, self._seed, self.weights, kept)
        self.answer = work("answers", lambda images: answer_of(self.module, images))

    def over(self) -> bool:
        return self.progress.epoch >= self.epochs or self.progress.stopped is not None

    def begin_epoch(self) -> None:
        self.module.train()
        if self.watch is not None:
            self.watch.begin_epoch(self.progress.epoch)

    def step(self) -> None:
        progress, settings = self.progress, self.settings
        at = (progress.epoch, settings.epochs, progress.step, self.steps)
        set_lr(self.weights_optimizer, step_value(settings.weights.lr, *at))
        set_lr(self.choices_optimizer, step_value(settings.choices.lr, *at))
        batch = self.train.batch(progress.epoch, progress.step)
        choices_loss = torch.zeros((), device=self.phase.device)
        with in_memory(settings.batch):
            if progress.epoch >= settings.choices_start:
                choices_loss = self._move_choices(batch)
            loss, correct = self._move_weights(batch)
        self.unread.append((len(batch[1]), torch.stack([loss, choices_loss, correct])))
        progress.step += 1
        if self.phase.device.type != "cuda" or progress.step % GPU_LOOK_STEPS == 0:
            self._read_losses()

    def _move_choices(self, batch: Batch) -> Tensor:
        """A step of the choices; the validation loss that it stood on."""
        settings, val = self.settings, self._val_batch()
        if settings.order == 1:
            loss, *found = self.for_choices(*val)
            gradients = tuple(found)
        else:
            with exact_products(self.phase.device):
                loss, gradients = second_order(
                    self._exact_loss(batch),
                    self._exact_loss(val),
                    self.module,
                    self.logits,
                    virtual_step(self.weights_optimizer, self.weights),
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
        seed_step(self.phase.device, self.phase.seed, self.progress.epoch, self.progress.step)

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
        passes = -(-self.steps // len(self.val))
        return self.val.batch(epoch * passes + step // len(self.val), step % len(self.val))

    def check(self) -> None:
        self._read_losses()
        for what, tensors in (("weight", self.weights), ("logit", self.logits)):
            if not all_finite(tensors):
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
                if bad := fault(value, self.loss_limit):
                    raise self._lost(bad[0], f"the {what} {bad[1]}")
            progress.loss_sum += loss * count
            progress.choices_loss_sum += choices_loss
            progress.correct += correct
            progress.images += count
        self.unread.clear()

    def finish_epoch(self) -> tuple[SearchEpoch, list[str]]:
        progress, settings, steps = self.progress, self.settings, self.steps
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
            seconds=self.sitting.seconds - sum(done.seconds for done in progress.history),
            choices_loss=progress.choices_loss_sum / steps if moved else None,
            choices=summarise(self.module),
        )
        progress.history.append(record)
        progress.epoch, progress.step = progress.epoch + 1, 0
        progress.loss_sum = progress.choices_loss_sum = progress.correct = 0.0
        progress.images = 0
        logits = logits_of_choices(self.module.choices)
        self.phase.append({**record.to_json(), "logits": logits})
        if moved and self.watch is not None:
            self.watch.end_epoch(progress, logits, self._curvature)
        lines = [str(line) for line in record.choices]
        if progress.stopped is not None:
            lines.append(f"the search ends here: {progress.stopped}")
        return record, lines

    def _curvature(self) -> float:
        """The dominant eigenvalue on a validation batch of its own."""
        epoch = self.progress.epoch
        loss = self._exact_loss(self.val.random_batch(epoch, self.steps))
        generator = generator_for(self.phase.seed, "eigenvalue", epoch)
        return curvature(loss, self.module, self.weights, self.logits, generator)

    def finish(self) -> float:
        """Takes the logits that are the answer; the accuracy of the mixture with them."""
        earlier = self.watch is not None and self.watch.take(self.progress)
        accuracy = fresh_accuracy(self.settings, self.module, self.halves, self.phase.seed)
        if accuracy is None and earlier:
            accuracy = evaluate(self.module, self.halves.measured()).accuracy
        accuracy = self.progress.history[-1].val_accuracy if accuracy is None else accuracy
        assert accuracy is not None
        return accuracy

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        kept = {name: pack_state(name, owner) for name, owner in self._owners().items()}
        return {name: tensor for part in kept.values() for name, tensor in part.items()}, {}

    def restore(self, tensors: Mapping[str, Tensor], meta: Mapping[str, Any]) -> None:
        for name, owner in self._owners().items():
            unpack_state(name, tensors, owner)
        history = [SearchEpoch.from_json(record) for record in meta["progress"]["history"]]
        self.progress = Progress(**{**meta["progress"], "history": history})

    def _owners(self) -> dict[str, Packable]:
        return {
            "module": self.module,
            "choices": self.module.choices,
            "weights_optimizer": self.weights_optimizer,
            "choices_optimizer": self.choices_optimizer,
        }

    def _lost(self, code: str, what: str) -> GenoError:
        return lost(
            self,
            code,
            what,
            "search again with a lower `lr` of `weights`, or with `clip` set",
            f" of `{self.phase.name}`",
        )
